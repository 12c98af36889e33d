//! Whom `https://` connections trust: the system's authorities, or those of a PEM file.

use std::path::{Path, PathBuf};

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::error::WorldError;

/// A client's side of TLS 1.2 and 1.3. `key` is the setting that named the file, for the sentence.
pub fn client(ca: Option<&Path>, key: &str) -> Result<ClientConfig, WorldError> {
    known(ca, None, key)
}

/// The same, and who it says we are: certificate and private key.
pub fn known(
    ca: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
    key: &str,
) -> Result<ClientConfig, WorldError> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| WorldError::because("TLS cannot be set up on this machine", error))?;
    let Some(path) = ca else {
        let builder = builder.with_native_roots().map_err(|error| {
            let sentence = format!(
                "this system keeps no certificate authorities; install the package ca-certificates or name a PEM file in {key}"
            );
            WorldError::because(sentence, error)
        })?;
        return with_identity(builder, identity, key);
    };
    let unusable = || format!("{key}: {} holds no usable certificate in PEM form", path.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| WorldError::because(unusable(), error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| WorldError::because(unusable(), error))?;
        roots.add(certificate).map_err(|error| WorldError::because(unusable(), error))?;
    }
    if roots.is_empty() {
        return Err(WorldError::new(unusable()));
    }
    with_identity(builder.with_root_certificates(roots), identity, key)
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&(PathBuf, PathBuf)>,
    key: &str,
) -> Result<ClientConfig, WorldError> {
    let Some((cert, private)) = identity else { return Ok(builder.with_no_client_auth()) };
    let unusable = |path: &Path, what: &str| {
        format!("{key}, cert: {} holds no usable {what} in PEM form", path.display())
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| WorldError::because(unusable(cert, "certificate"), error))?;
    let private = PrivateKeyDer::from_pem_file(private)
        .map_err(|error| WorldError::because(unusable(private, "private key"), error))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| {
        WorldError::because(format!("{key}, cert: certificate and private key do not fit"), error)
    })
}

/// Trusts nobody: for connections that are not encrypted.
pub fn nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider supports both versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}
