//! One coordinator for each cluster directory: a lock that dies with its process, and a look at who answers where locks may not work.

use crate::coordinator::StartError;
use paceline_common::host::node_name;
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::connect;
use paceline_wire::opening::Service;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// How long another node's coordinator may take to prove that it is alive.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Held while the coordinator runs; the kernel releases it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    host: String,
    pid: u32,
}

impl DirectoryLock {
    /// Takes the lock, or says who holds it.
    pub(crate) async fn take(dir: &ClusterDir) -> Result<Self, StartError> {
        let path = dir.lock_path();
        let fail = |e: std::io::Error| StartError::Directory(format!("{}: cannot be locked: {e}", path.display()));
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
        let has_lock = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(already_running(dir, read_holder(&mut file))),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, path = %path.display(), "this filesystem has no locks: only the epoch guards against a second coordinator");
                false
            }
        };
        refuse_if_another_answers(dir, has_lock).await?;
        let holder = Holder { host: node_name(), pid: std::process::id() };
        let text = serde_json::to_vec(&holder).unwrap_or_default();
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text)).map_err(fail)?;
        Ok(Self { _file: file })
    }
}

/// A lock taken on this node proves that no other process of this node holds it. For other nodes that is only as good as the
/// network filesystem's locks, so the one that is published is asked.
async fn refuse_if_another_answers(dir: &ClusterDir, has_lock: bool) -> Result<(), StartError> {
    let Ok(file) = dir.read_coordinator() else { return Ok(()) };
    if has_lock && file.host == node_name() {
        return Ok(());
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, connect::open(dir, Service::Control)).await;
    if matches!(answer, Ok(Ok(_))) {
        return Err(already_running(dir, Some(Holder { host: file.host, pid: file.pid })));
    }
    Ok(())
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn already_running(dir: &ClusterDir, holder: Option<Holder>) -> StartError {
    let root = dir.root().display();
    let who = holder.map_or("another coordinator".to_owned(), |h| format!("a coordinator (process {} on {})", h.pid, h.host));
    StartError::AlreadyRunning(format!(
        "{root}: {who} runs for this cluster directory; stop it first with `paceline coordinator stop --cluster {root}`"
    ))
}
