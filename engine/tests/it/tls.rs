//! Lookups and sinks over TLS: trusted when the named authority signed for that host, and never otherwise.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use logmon_dsl::{
    eval::{Answer, Lookups},
    plan::LookupDecl,
    span::Span,
    types::{Ty, Type},
};
use logmon_engine::{
    config::Config,
    lookup::{LookupSet, OpenError},
    metrics::Metrics,
    sink::clickhouse::{Client, Endpoint},
};
use logmon_services::Valkey;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Makes a certificate for `localhost` that signs itself.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is needed: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

/// A server's side, for clients with that certificate or for everybody.
fn server(cert: &Path, key: &Path, client: Option<&Path>) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(client).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Answers every request on one connection after the other, over TLS.
fn serve(cert: &Path, key: &Path, client: Option<&Path>) -> u16 {
    let config = server(cert, key, client);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut connection, &mut tcp);
            let mut request = [0; 4096];
            // A client that does not trust us ends here.
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let answer =
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\"yes\"";
                let _closed = stream.write_all(answer.as_bytes());
            }
        }
    });
    port
}

/// Opens the lookup `known` of a configuration.
fn open(text: &str, folder: &Path, runtime: &Runtime) -> Result<LookupSet, Vec<OpenError>> {
    let config = Config::parse(text, &folder.join("logmon.toml"), &|_| None).unwrap();
    let decl = LookupDecl {
        name: "known".into(),
        keys: vec![Ty::required(Type::Text)],
        yields: Ty::optional(Type::Text),
        span: Span::default(),
        fields: Vec::new(),
    };
    LookupSet::open(&[decl], &config, runtime.handle(), &Metrics::new(), None)
}

#[test]
fn only_the_named_authority_is_trusted_and_only_for_its_host() {
    let folder = std::env::temp_dir().join(format!("logmon-tls-{}", std::process::id()));
    let other = folder.join("other");
    std::fs::create_dir_all(&other).unwrap();
    let (cert, key) = certificate(&folder);
    let (stranger, _) = certificate(&other);
    let port = serve(&cert, &key, None);
    let runtime = Runtime::new().unwrap();
    let known = |host: &str, ca: &Path| {
        let text = format!(
            "[lookup.known]\nkind = \"http\"\nurl = \"https://{host}:{port}/{{key}}\"\nca = {ca:?}\ntimeout = \"10s\""
        );
        open(&text, &folder, &runtime)
    };
    let ask = |host: &str, ca: &Path| known(host, ca).unwrap().resolve(0, &["key"]).remove(0);
    assert_eq!(ask("localhost", &cert), Answer::Found("\"yes\"".into()));
    assert_eq!(ask("localhost", &stranger), Answer::Failed, "signed by somebody else");
    assert_eq!(ask("127.0.0.1", &cert), Answer::Failed, "made out to another name");
    let refusal = known("localhost", &key).unwrap_err().remove(0).to_string();
    assert!(
        refusal.starts_with("[lookup.known] ca: ") && refusal.ends_with("in PEM form"),
        "{refusal}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Lets TLS end in front of a server that speaks none.
fn door(runtime: &Runtime, config: Arc<ServerConfig>, behind: SocketAddr) -> u16 {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        loop {
            let (outside, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us, or whom we do not know, ends here.
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let mut inside = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _closed = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

#[test]
fn a_valkey_is_asked_over_tls_and_may_want_to_know_who_asks() {
    let folder = std::env::temp_dir().join(format!("logmon-tls-valkey-{}", std::process::id()));
    let (us, other) = (folder.join("us"), folder.join("other"));
    std::fs::create_dir_all(&us).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let (cert, key) = certificate(&folder);
    let (our_cert, our_key) = certificate(&us);
    let (stranger, stranger_key) = certificate(&other);
    let valkey = Valkey::start_own().unwrap();
    let address = valkey.url().replace("redis://", "").replace("/0", "");
    let client =
        redis::Client::open(valkey.url().replace("//", &format!("//:{}@", valkey.password())));
    let mut connection = client.unwrap().get_connection().unwrap();
    redis::cmd("SET").arg("ann").arg("\"yes\"").exec(&mut connection).unwrap();
    let runtime = Runtime::new().unwrap();
    let port = |client| door(&runtime, server(&cert, &key, client), address.parse().unwrap());
    let (open_to_all, mutual) = (port(None), port(Some(&our_cert)));
    let ask = |host: &str, port: u16, ca: &Path, identity: Option<(&Path, &Path)>| {
        let identity = identity.map_or_else(String::new, |(cert, key)| {
            format!("cert = {cert:?}\ncert_key = {key:?}\n")
        });
        let text = format!(
            "[lookup.known]\nkind = \"redis\"\nurl = \"rediss://{host}:{port}/0\"\npassword = \"{}\"\nca = {ca:?}\ntimeout = \"10s\"\n{identity}",
            valkey.password()
        );
        open(&text, &folder, &runtime).unwrap().resolve(0, &["ann"]).remove(0)
    };
    let yes = Answer::Found("\"yes\"".into());
    assert_eq!(ask("localhost", open_to_all, &cert, None), yes);
    assert_eq!(ask("localhost", open_to_all, &stranger, None), Answer::Failed);
    assert_eq!(ask("127.0.0.1", open_to_all, &cert, None), Answer::Failed, "another name");
    assert_eq!(ask("localhost", mutual, &cert, Some((&our_cert, &our_key))), yes);
    assert_eq!(ask("localhost", mutual, &cert, Some((&stranger, &stranger_key))), Answer::Failed);
    assert_eq!(ask("localhost", mutual, &cert, None), Answer::Failed);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_service_may_want_to_know_who_asks() {
    let folder = std::env::temp_dir().join(format!("logmon-mtls-{}", std::process::id()));
    let (us, other) = (folder.join("us"), folder.join("other"));
    std::fs::create_dir_all(&us).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let (cert, key) = certificate(&folder);
    let (our_cert, our_key) = certificate(&us);
    let (other_cert, other_key) = certificate(&other);
    let port = serve(&cert, &key, Some(&our_cert));
    let runtime = Runtime::new().unwrap();
    let known = |identity: &str| {
        let text = format!(
            "[lookup.known]\nkind = \"http\"\nurl = \"https://localhost:{port}/{{key}}\"\nca = {cert:?}\ntimeout = \"10s\"\n{identity}"
        );
        open(&text, &folder, &runtime)
    };
    let identity = |cert: &Path, key: &Path| format!("cert = {cert:?}\ncert_key = {key:?}\n");
    let ask = |identity: &str| known(identity).unwrap().resolve(0, &["key"]).remove(0);
    assert_eq!(ask(&identity(&our_cert, &our_key)), Answer::Found("\"yes\"".into()));
    assert_eq!(ask(&identity(&other_cert, &other_key)), Answer::Failed);
    assert_eq!(ask(""), Answer::Failed);
    let refusal = known(&identity(&our_cert, &other_key)).unwrap_err().remove(0).to_string();
    assert!(refusal.ends_with("certificate and private key do not fit"), "{refusal}");
}

#[test]
fn a_sink_trusts_the_authority_that_it_names_and_no_other() {
    let folder = std::env::temp_dir().join(format!("logmon-tls-sink-{}", std::process::id()));
    let other = folder.join("other");
    std::fs::create_dir_all(&other).unwrap();
    let (cert, key) = certificate(&folder);
    let (stranger, _) = certificate(&other);
    let url = format!("https://localhost:{}", serve(&cert, &key, None));
    let runtime = Runtime::new().unwrap();
    let ask = |ca: &Path| {
        let endpoint = Endpoint {
            sink: "logs".into(),
            url: url.clone(),
            ca: Some(ca.to_owned()),
            ..Endpoint::default()
        };
        runtime.block_on(Client::new(endpoint)?.query("SELECT 1", &[]))
    };
    assert_eq!(ask(&cert).unwrap(), "\"yes\"");
    let error = ask(&stranger).unwrap_err();
    assert!(error.sentence.starts_with("[sink.logs] url: no secure connection to"), "{error}");
    let error = ask(&key).unwrap_err();
    assert!(error.sentence.starts_with("[sink.logs] ca: "), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
