//! Better advice for the mistakes that newcomers make. It must not change what is accepted.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The workloads, which people try as commands.
const WORKLOADS: &[&str] = &["forest", "als", "knn", "popular", "bias", "recommend", "score", "split", "evaluate", "noop"];

/// Says how a workload is started where someone typed it as a command.
pub fn advise(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && WORKLOADS.contains(&typed.as_str())
    {
        let tip =
            format!("`{typed}` is a workload: say `paceline run {typed} …` to run it here, or `paceline submit {typed} …` on a cluster");
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}
