//! Inputs opened once per node: every stage, lease and job of a runner that names the same file shares one map of it.

use crate::scratch::Scratch;
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::job::InputIdentity;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Open artifacts by path. An artifact is unmapped when the last stage that uses it is closed.
#[derive(Debug, Default)]
pub struct InputCache {
    /// Where inputs are copied to before they are mapped; they are mapped where they stand without it.
    scratch: Option<Scratch>,
    artifacts: Mutex<HashMap<PathBuf, (InputIdentity, Weak<Artifact>)>>,
}

impl InputCache {
    /// A cache that maps copies in `scratch`, or the inputs themselves without one.
    #[must_use]
    pub fn new(scratch: Option<Scratch>) -> Self {
        Self { scratch, artifacts: Mutex::default() }
    }

    /// The artifact that `identity` names, opened now or shared; refused where the file is no longer the one submitted.
    pub fn artifact(&self, identity: &InputIdentity) -> Result<Arc<Artifact>, Failure> {
        // The lock is held while the file is opened, so that two threads never map it twice.
        let mut artifacts = self.artifacts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, artifact)) = artifacts.get(&identity.path)
            && known == identity
            && let Some(artifact) = artifact.upgrade()
        {
            return Ok(artifact);
        }
        let artifact = Arc::new(self.open(identity)?);
        artifacts.retain(|_, (_, artifact)| artifact.strong_count() > 0);
        artifacts.insert(identity.path.clone(), (identity.clone(), Arc::downgrade(&artifact)));
        Ok(artifact)
    }

    fn open(&self, identity: &InputIdentity) -> Result<Artifact, Failure> {
        match &self.scratch {
            Some(scratch) => Artifact::open_copy(&scratch.copy_of(identity)?, &identity.path),
            None => identity.verify().and_then(|()| Artifact::open(&identity.path)),
        }
    }

    /// How many bytes of artifacts are mapped now.
    #[must_use]
    pub fn mapped_bytes(&self) -> u64 {
        let artifacts = self.artifacts.lock().unwrap_or_else(PoisonError::into_inner);
        artifacts.values().filter_map(|(_, artifact)| artifact.upgrade()).map(|artifact| artifact.n_bytes()).sum()
    }
}
