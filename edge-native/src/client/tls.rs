//! TLS towards engines. It trusts what this machine trusts (its certificate store, or `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`), since engines in private networks often stand behind a private authority that no bundled list of
//! public ones knows.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::with_causes;
use crate::outbox::Posting;
use crate::tls::provider;

/// How this process verifies engines; shared by its threads.
pub struct ClientTls {
    connector: TlsConnector,
    trusts_somebody: bool,
}

impl ClientTls {
    /// Reads the machine's trusted certificates. A machine without any can still reach engines by plain http.
    ///
    /// # Errors
    /// When the cryptography offers no protocol version, which does not happen with the one built in.
    pub fn from_machine() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let trusts_somebody = !roots.is_empty();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            trusts_somebody,
        })
    }

    /// Speaks TLS over `socket` with `host`.
    ///
    /// # Errors
    /// When the host cannot prove who it is.
    pub async fn wrap(&self, host: &str, socket: Posting) -> Result<TlsStream<Posting>, String> {
        if !self.trusts_somebody {
            return Err("this machine trusts no certificate authority: set SSL_CERT_FILE".into());
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        self.connector
            .connect(name, socket)
            .await
            .map_err(|error| with_causes(&error))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("trusts_somebody", &self.trusts_somebody)
            .finish_non_exhaustive()
    }
}
