//! TLS towards engines. It trusts what this machine trusts (its certificate store, or `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`), since engines in private networks often stand behind a private authority that no bundled list of
//! public ones knows.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tidegate_core::platform::SendError;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::with_causes;
use crate::outbox::Posting;
use crate::tls::provider;

/// How this process verifies engines; shared by its threads. What the machine trusts is read when the first engine is
/// reached by TLS: it takes two megabytes, which a gateway whose engines stand beside it never needs.
#[derive(Default)]
pub struct ClientTls {
    connector: OnceCell<TlsConnector>,
}

impl ClientTls {
    /// Speaks TLS over `socket` with `host`.
    ///
    /// # Errors
    /// `Local` when this machine trusts nobody, `Connect` when the host cannot prove who it is.
    pub async fn wrap(&self, host: &str, socket: Posting) -> Result<TlsStream<Posting>, SendError> {
        let connector = self.connector.get_or_try_init(of_machine).await;
        let connector = connector.map_err(SendError::Local)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| SendError::Connect(error.to_string()))?;
        let connected = connector.connect(name, socket).await;
        connected.map_err(|error| SendError::Connect(with_causes(&error)))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("is_read", &self.connector.initialized())
            .finish()
    }
}

/// Reads the machine's trusted certificates, on a thread that may wait for the disk.
async fn of_machine() -> Result<TlsConnector, String> {
    let read = spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    let roots = read.await.map_err(|error| error.to_string())?;
    if roots.is_empty() {
        return Err("this machine trusts no certificate authority: set SSL_CERT_FILE".into());
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
