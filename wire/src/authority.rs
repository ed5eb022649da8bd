//! The cluster's own certificate authority: it signs one certificate for the coordinator, one for agents and one for clients,
//! and then forgets its key, so that nothing in the cluster directory can sign another. The role stands in the certificate.

use crate::cluster_dir::{ClusterDir, directory_error, read_private_file};
use crate::error::WireError;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use x509_parser::extensions::GeneralName;

/// The name in the coordinator's certificate. Clients look for this name whatever address they dial, so that a cluster needs no
/// DNS and works over any of a node's interfaces.
pub const COORDINATOR_NAME: &str = "coordinator.paceline";
const ROLE_PREFIX: &str = "paceline:role/";

/// What a certificate allows its holder to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers calls.
    Coordinator,
    /// Calls the service for agents.
    Agent,
    /// Calls the service for clients.
    Client,
}

impl Role {
    const ALL: [Self; 3] = [Self::Coordinator, Self::Agent, Self::Client];

    /// As it stands in certificates and file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }

    /// The role that a verified certificate gives to its holder; `None` for a certificate of another kind.
    #[must_use]
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let role = names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(ROLE_PREFIX),
            _ => None,
        })?;
        Self::ALL.into_iter().find(|known| known.name() == role)
    }
}

/// A certificate with its key, and the authority that the other side's certificate must come from.
#[derive(Debug)]
pub struct Identity {
    /// The authority's certificate.
    pub authority: CertificateDer<'static>,
    /// One's own certificate.
    pub certificate: CertificateDer<'static>,
    /// One's own key.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the identity of `role` from the cluster directory. A key that others could read is refused.
    pub fn read(dir: &ClusterDir, role: Role) -> Result<Self, WireError> {
        let path = |name: String| dir.tls_path().join(name);
        let (authority, certificate, key) = (path("authority.pem".to_owned()), certificate_path(dir, role), key_path(dir, role));
        Ok(Self {
            authority: CertificateDer::from_pem_slice(&read_private_file(&authority)?).map_err(|_| damaged(&authority))?,
            certificate: CertificateDer::from_pem_slice(&read_private_file(&certificate)?).map_err(|_| damaged(&certificate))?,
            key: PrivateKeyDer::from_pem_slice(&read_private_file(&key)?).map_err(|_| damaged(&key))?,
        })
    }
}

fn certificate_path(dir: &ClusterDir, role: Role) -> PathBuf {
    dir.tls_path().join(format!("{}.pem", role.name()))
}

fn key_path(dir: &ClusterDir, role: Role) -> PathBuf {
    dir.tls_path().join(format!("{}.key", role.name()))
}

// The parser's own message is left out: it could quote a key.
fn damaged(path: &Path) -> WireError {
    let directory = path.parent().unwrap_or(path);
    WireError::Directory(format!(
        "{}: is damaged; remove {} and restart the coordinator to make it anew",
        path.display(),
        directory.display()
    ))
}

/// Makes authority and certificates where the directory has none yet. All of them appear at once, by the rename of a directory, so
/// that a coordinator killed here leaves no half of them.
pub fn ensure(dir: &ClusterDir) -> Result<(), WireError> {
    let tls = dir.tls_path();
    if tls.exists() {
        return Ok(());
    }
    let temp = dir.root().join(format!(".tls.{}.tmp", std::process::id()));
    let _ = fs::remove_dir_all(&temp);
    fs::DirBuilder::new().mode(0o700).create(&temp).map_err(|e| directory_error("create", &temp, &e))?;
    for (name, content) in
        generate().map_err(|e| WireError::Directory(format!("{}: the certificates cannot be made: {e}", tls.display())))?
    {
        let path = temp.join(name);
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| directory_error("write", &path, &e))?;
    }
    fs::rename(&temp, &tls).map_err(|e| directory_error("create", &tls, &e))?;
    paceline_common::files::sync_parent(&tls).map_err(WireError::directory)
}

/// File names and contents. The certificates do not expire within a lifetime: nodes' clocks need not agree, and a cluster is
/// renewed by removing the directory that holds them.
fn generate() -> Result<Vec<(String, String)>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "paceline cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut files = vec![("authority.pem".to_owned(), authority.pem())];
    for role in Role::ALL {
        let key = KeyPair::generate()?;
        let certificate = role_params(role)?.signed_by(&key, &authority)?;
        files.push((format!("{}.pem", role.name()), certificate.pem()));
        files.push((format!("{}.key", role.name()), key.serialize_pem()));
    }
    Ok(files)
}

fn role_params(role: Role) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("paceline {}", role.name()));
    params.subject_alt_names = vec![SanType::URI(format!("{ROLE_PREFIX}{}", role.name()).try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Agent | Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    if role == Role::Coordinator {
        params.subject_alt_names.push(SanType::DnsName(COORDINATOR_NAME.try_into()?));
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_role_is_read_back_from_its_own_certificate() {
        let temp = tempfile::tempdir().unwrap();
        let dir = ClusterDir::create(&temp.path().join("c")).unwrap();
        ensure(&dir).unwrap();
        for role in Role::ALL {
            let identity = Identity::read(&dir, role).unwrap();
            assert_eq!(Role::of_certificate(&identity.certificate), Some(role));
            assert_eq!(fs::metadata(key_path(&dir, role)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let authority = Identity::read(&dir, Role::Agent).unwrap().authority;
        assert_eq!(Role::of_certificate(&authority), None);
        let before = fs::read(key_path(&dir, Role::Agent)).unwrap();
        ensure(&dir).unwrap();
        assert_eq!(fs::read(key_path(&dir, Role::Agent)).unwrap(), before, "a restart must not change the keys");
        assert!(!dir.tls_path().join("authority.key").exists());
    }

    #[test]
    fn a_loose_or_damaged_key_is_refused_without_its_content() {
        let temp = tempfile::tempdir().unwrap();
        let dir = ClusterDir::create(&temp.path().join("c")).unwrap();
        ensure(&dir).unwrap();
        let key = key_path(&dir, Role::Client);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Identity::read(&dir, Role::Client).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!!\n").unwrap();
        let refused = Identity::read(&dir, Role::Client).unwrap_err().to_string();
        assert!(refused.contains("damaged") && !refused.contains("c2VjcmV0"), "{refused}");
    }
}
