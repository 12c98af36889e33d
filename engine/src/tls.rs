//! Whom `https://` connections trust: the system's authorities, or those of a PEM file.

use std::path::Path;

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::WorldError;

/// A client's side of TLS 1.2 and 1.3. `key` is the setting that named the file, for the sentence.
pub fn client(ca: Option<&Path>, key: &str) -> Result<ClientConfig, WorldError> {
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
        return Ok(builder.with_no_client_auth());
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
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts nobody: for connections that are not encrypted.
pub fn nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider supports both versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}
