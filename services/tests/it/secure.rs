//! The listeners that want certificates and passwords, asked by `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};

use logmon_services::Kafka;

use crate::wire::cluster;

/// Whether a TLS handshake succeeds that trusts this authority.
///
/// Version 1.2, because there a client without certificate fails in the handshake itself.
fn handshake(address: &str, ca: &Path, client: Option<(&Path, &Path)>) -> bool {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", address, "-tls1_2", "-verify_return_error", "-CAfile"]);
    command.arg(ca);
    if let Some((cert, key)) = client {
        command.arg("-cert").arg(cert).arg("-key").arg(key);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    output.status.success()
}

#[test]
fn every_listener_speaks_tls_and_one_wants_a_certificate() {
    let secure = Kafka::start_secure().unwrap();
    let tls = secure.tls();
    let client = Some((tls.client_cert.as_path(), tls.client_key.as_path()));
    assert!(handshake(secure.tls_address(), &tls.ca, None));
    assert!(handshake(secure.sasl_address(), &tls.ca, None));
    assert!(handshake(secure.mtls_address(), &tls.ca, client));
    assert!(!handshake(secure.mtls_address(), &tls.ca, None));
    assert!(!handshake(secure.tls_address(), &tls.other_ca, None));
    assert_eq!(cluster(secure.kafka().brokers()).topics, Vec::<String>::new());
    assert_eq!(secure.users().map(|it| it.name), ["app", "limited"]);
}
