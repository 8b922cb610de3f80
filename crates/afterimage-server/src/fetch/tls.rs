//! Whom outgoing connections trust.

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;

/// TLS with the certificate authorities of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` replace them on
/// Unix). Where there are none, every `https` address is unreachable, which is logged once here.
///
/// # Errors
/// When the cryptography library has none of the protocol versions that are asked for.
pub fn platform_tls() -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    match builder.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "no certificate authorities found; https addresses cannot be fetched");
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
    }
}
