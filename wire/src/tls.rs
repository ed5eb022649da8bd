//! TLS 1.3 with both sides authenticated: the settings of either end, and what a refused handshake means to a person.

use crate::authority::{COORDINATOR_NAME, Identity};
use crate::error::WireError;
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, AlertDescription, ClientConfig, RootCertStore, ServerConfig, version::TLS13};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The application protocol: a peer that speaks another is refused within the handshake.
pub const ALPN: &[u8] = b"paceline/1";
/// How long a peer may take for its part of a handshake: long enough for a crowd of agents that start at once against two busy
/// cores, short enough that a silent peer does not hold a place for long.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(identity: &Identity) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority.clone())?;
    Ok(Arc::new(roots))
}

fn unusable(error: impl std::fmt::Display) -> WireError {
    WireError::Directory(format!(
        "the certificates of the cluster directory cannot be used: {error}; remove its directory `tls` and restart the coordinator"
    ))
}

/// The coordinator's end: every peer must show a certificate of the same authority.
pub fn acceptor(identity: Identity) -> Result<TlsAcceptor, WireError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(&identity).map_err(unusable)?, provider()).build().map_err(unusable)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate], identity.key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A client's or an agent's end: the peer must show the coordinator's certificate of the same authority, whatever its address.
pub fn connector(identity: Identity) -> Result<(TlsConnector, ServerName<'static>), WireError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(&identity).map_err(unusable)?, provider()).build().map_err(unusable)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate], identity.key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would skip the check of a certificate that was renewed meanwhile, and handshakes are rare.
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from(COORDINATOR_NAME).map_err(unusable)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// What a failed handshake, or a connection that ended before the coordinator's first word, says to the side that dialled.
/// In TLS 1.3 a client's handshake is over before its own certificate is checked, so a refusal may come as late as that.
pub(crate) fn explain(address: &str, error: &io::Error) -> WireError {
    use AlertDescription as Alert;
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => WireError::CertificateRefused(format!(
            "the coordinator at {address} does not have this cluster directory's certificate; another cluster's coordinator listens there, \
             so check --cluster, or restart the coordinator of this directory"
        )),
        Some(rustls::Error::AlertReceived(Alert::NoApplicationProtocol) | rustls::Error::NoApplicationProtocol) => WireError::Version(
            format!("the coordinator at {address} speaks another version of the protocol; install the same paceline on both nodes"),
        ),
        Some(rustls::Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::DecryptError
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied,
        )) => WireError::CertificateRefused(format!(
            "the coordinator at {address} does not accept this cluster directory's certificate; \
             check that --cluster names the directory that it was started with"
        )),
        _ => WireError::Unreachable(format!(
            "the coordinator at {address} broke off while the connection was opened: {error}; see whether it still runs"
        )),
    }
}
