//! From `--cluster` to a client. It must not know what is asked of it.

use crate::exit::CliError;
use paceline_wire::client::Client;
use paceline_wire::cluster_dir::ClusterDir;
use std::path::PathBuf;

/// The cluster directory that is meant: the flag's, else $PACELINE_CLUSTER (which the flag covers too), else the default one.
///
/// # Errors
/// Where there is no home directory to put the default one.
pub fn cluster_root(flag: Option<PathBuf>) -> Result<PathBuf, CliError> {
    match flag {
        Some(path) if path.as_os_str().is_empty() => Err(CliError::BadInput("--cluster: the path is empty; name a directory".to_owned())),
        Some(path) => Ok(path),
        None => Ok(ClusterDir::default_root()?),
    }
}

/// A client of the coordinator of a cluster directory. Must be called within a runtime.
///
/// # Errors
/// Where no coordinator runs or answers, or the directory cannot be used.
pub async fn connect(cluster: Option<PathBuf>) -> Result<Client, CliError> {
    Ok(Client::connect(&ClusterDir::open(&cluster_root(cluster)?)?).await?)
}
