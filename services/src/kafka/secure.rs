//! A broker with TLS, mutual TLS and SASL listeners, its keys made by `openssl` for this one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, make_folder, write_file};
use crate::error::{Doing, ServiceError};
use crate::folder::RunFolder;
use crate::kafka::settings::{Listener, broker};
use crate::kafka::{Kafka, KafkaOptions, Own, Prepared, USERS, User, address};
use crate::port::Port;
use crate::process::Life;
use crate::tool::{OPENSSL, run};

/// In the order of the ports: the two of every broker first.
const LISTENERS: [Listener; 5] = [
    ("PLAINTEXT", "PLAINTEXT"),
    ("CONTROLLER", "PLAINTEXT"),
    ("TLS", "SSL"),
    ("MTLS", "SSL"),
    ("SASL", "SASL_SSL"),
];

/// A broker whose listeners want certificates and passwords.
///
/// Access is by ACL and nobody has one: `app`, the holder of the client certificate and whoever comes
/// without a name (the plain and the TLS listener) may do everything, `limited` nothing.
#[derive(Debug)]
pub struct SecureKafka {
    kafka: Kafka,
    tls: Tls,
    tls_address: String,
    mtls_address: String,
    sasl_address: String,
}

/// The files a client needs, all PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority that signed the server's and the client's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub client_cert: PathBuf,
    /// The client's key (PKCS#8, no password).
    pub client_key: PathBuf,
    /// An authority that signed neither, to be refused with.
    pub other_ca: PathBuf,
}

impl SecureKafka {
    /// Starts one of our own.
    pub fn start(options: &KafkaOptions) -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&cache)?;
        let folder = RunFolder::create(&cache, "kafka")?;
        let claimed: Result<Vec<Port>, _> = LISTENERS.iter().map(|_| Port::claim()).collect();
        let ports = claimed?;
        let keys = folder.path().join("tls");
        let tls = make_keys(&keys)?;
        let numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        let mut further = security(&keys);
        further.extend(options.settings.iter().cloned());
        let text = broker(folder.path(), &LISTENERS, &numbers, &further);
        let checkpoint = prepared.home.secure_checkpoint();
        let server = prepared.server(folder.path(), options, Life::WithUs, &text, &checkpoint)?;
        server.start()?;
        Ok(Self {
            tls,
            tls_address: address(&ports[2]),
            mtls_address: address(&ports[3]),
            sasl_address: address(&ports[4]),
            kafka: Kafka {
                brokers: address(&ports[0]),
                behind: None,
                own: Some(Own { server, folder, _ports: ports }),
            },
        })
    }

    /// The broker itself; its `brokers()` is the plain listener, for whatever a test prepares.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Listener `security.protocol=ssl` that asks for no client certificate.
    pub fn tls_address(&self) -> &str {
        &self.tls_address
    }

    /// Listener `security.protocol=ssl` that wants the client's certificate.
    pub fn mtls_address(&self) -> &str {
        &self.mtls_address
    }

    /// Listener `security.protocol=sasl_ssl` with SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN.
    pub fn sasl_address(&self) -> &str {
        &self.sasl_address
    }

    /// The certificates and keys.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The users of the SASL listener: the first may do everything, the second nothing.
    pub fn users(&self) -> [User; 2] {
        USERS
    }
}

fn security(keys: &Path) -> Vec<(String, String)> {
    let key = |name: &str| keys.join(name).display().to_string();
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let users: Vec<String> =
        USERS.iter().map(|it| format!("user_{}=\"{}\"", it.name, it.password)).collect();
    let plain = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required {};",
        users.join(" ")
    );
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let jaas = |mechanism: &str| format!("listener.name.sasl.{mechanism}.sasl.jaas.config");
    [
        ("ssl.keystore.type".to_owned(), "PEM".to_owned()),
        ("ssl.keystore.location".to_owned(), key("server-keystore.pem")),
        ("ssl.truststore.type".to_owned(), "PEM".to_owned()),
        ("ssl.truststore.location".to_owned(), key("ca.pem")),
        ("listener.name.mtls.ssl.client.auth".to_owned(), "required".to_owned()),
        ("sasl.enabled.mechanisms".to_owned(), "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN".to_owned()),
        (jaas("scram-sha-256"), scram.to_owned()),
        (jaas("scram-sha-512"), scram.to_owned()),
        (jaas("plain"), plain),
        ("authorizer.class.name".to_owned(), authorizer.to_owned()),
        ("allow.everyone.if.no.acl.found".to_owned(), "false".to_owned()),
        // Without ANONYMOUS the broker could not even talk to itself over the plain listener.
        ("super.users".to_owned(), "User:ANONYMOUS;User:app;User:CN=client".to_owned()),
    ]
    .into()
}

/// Makes two authorities, and a server's and a client's key signed by the first.
fn make_keys(folder: &Path) -> Result<Tls, ServiceError> {
    const CURVE: [&str; 5] =
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = OPENSSL.find()?;
    make_folder(folder)?;
    let call = |arguments: &[&str]| {
        let mut command = Command::new(&openssl);
        run("a certificate", command.args(arguments).current_dir(folder)).map(drop)
    };
    for (name, subject) in [("ca", "/CN=test-ca"), ("other-ca", "/CN=other-ca")] {
        let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
        let rest = ["-days", "3650", "-subj", subject, "-keyout", &key, "-out", &cert];
        let extensions =
            ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
        let mut all = vec!["req", "-x509"];
        all.extend(CURVE);
        all.extend(rest);
        all.extend(["-addext", extensions[0], "-addext", extensions[1]]);
        call(&all)?;
    }
    let extensions =
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
    write_file(&folder.join("leaf.ext"), extensions)?;
    for name in ["server", "client"] {
        let file = |ending: &str| format!("{name}.{ending}");
        let (key, request, cert) = (file("key"), file("csr"), file("pem"));
        let subject = format!("/CN={name}");
        let mut ask = vec!["req", "-new"];
        ask.extend(CURVE);
        ask.extend(["-subj", &subject, "-keyout", &key, "-out", &request]);
        call(&ask)?;
        let mut sign = vec!["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key"];
        sign.extend(["-CAcreateserial", "-days", "3650", "-extfile", "leaf.ext", "-out", &cert]);
        call(&sign)?;
    }
    let mut keystore = String::new();
    for name in ["server.key", "server.pem", "ca.pem"] {
        let path = folder.join(name);
        keystore += &fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    }
    write_file(&folder.join("server-keystore.pem"), &keystore)?;
    let file = |name: &str| folder.join(name);
    Ok(Tls {
        ca: file("ca.pem"),
        client_cert: file("client.pem"),
        client_key: file("client.key"),
        other_ca: file("other-ca.pem"),
    })
}
