//! From a selector to job numbers. It must not know what is done with them.

use crate::exit::CliError;
use crate::selector::Selector;
use paceline_common::ids::JobId;
use paceline_common::view::JobView;
use paceline_wire::client::Client;

/// The jobs that `selector` names; for `all`, those that the command makes sense for, oldest first. Numbers are taken as they are: the
/// coordinator refuses those that it does not know.
///
/// # Errors
/// `last` where there is no job, and what the connection brings.
pub async fn resolve(client: &Client, selector: &Selector, suits: impl Fn(&JobView) -> bool) -> Result<Vec<JobId>, CliError> {
    match selector {
        Selector::Numbers(jobs) => Ok(jobs.clone()),
        Selector::All => Ok(client.jobs().await?.iter().filter(|view| suits(view)).map(|view| view.job).collect()),
        Selector::Last => {
            let newest = client.jobs().await?.iter().map(|view| view.job).max();
            let job =
                newest.ok_or_else(|| CliError::BadInput("last: there is no job yet; submit one with `paceline submit`".to_owned()))?;
            Ok(vec![job])
        }
    }
}

/// A suitability for `all`: jobs that are not over.
#[must_use]
pub fn is_active(view: &JobView) -> bool {
    !view.state.is_over()
}
