//! A real Apache Kafka broker on loopback: one node, broker and controller in one.

mod archive;
mod cluster;
mod secure;
mod settings;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cluster::KafkaCluster;
pub use secure::{SecureKafka, Tls};

use crate::cache::{Cache, make_folder, write_file};
use crate::error::{Doing, ServiceError};
use crate::fetch::kafka::{Home, home};
use crate::fetch::launcher::launcher;
use crate::folder::RunFolder;
use crate::port::Port;
use crate::process::{Launch, Life};
use crate::server::{Ready, Server};
use crate::tool::JAVA;

/// The variable that names a running broker.
const VARIABLE: &str = "LOGMON_KAFKA";

/// A user of the secure broker, known to SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
}

/// The users of [`SecureKafka`]: the first may do everything, the second nothing at all.
pub const USERS: [User; 2] = [
    User { name: "app", password: "app-secret" },
    User { name: "limited", password: "limited-secret" },
];

/// How a broker of ours is to run.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Java heap: 256 is enough for tests, take 512 for a million messages.
    pub heap_mb: u32,
    /// Whether Java's slower compiler may run too: a slower start, a faster broker once warm.
    pub optimize: bool,
    /// Further broker settings, which win over ours: `("message.max.bytes", "4194304")`.
    pub settings: Vec<(String, String)>,
    /// A loopback port where something stands between clients and the broker. A further listener, [`Kafka::behind`], tells its clients to
    /// come by this port, so that no request goes round it.
    pub proxy: Option<u16>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { heap_mb: 256, optimize: false, settings: Vec::new(), proxy: None }
    }
}

impl KafkaOptions {
    /// For runs whose throughput is measured.
    pub fn throughput() -> Self {
        Self { heap_mb: 512, optimize: true, ..Self::default() }
    }
}

/// A broker, ours or the one that `LOGMON_KAFKA` names.
///
/// Ours has its own ports and data, ends when this is dropped (also when the process is killed), and
/// any number of them may run at once.
#[derive(Debug)]
pub struct Kafka {
    brokers: String,
    behind: Option<String>,
    own: Option<Own>,
}

/// Fields are dropped in order: first the process, then what it used.
#[derive(Debug)]
struct Own {
    server: Server,
    folder: RunFolder,
    _ports: Vec<Port>,
}

impl Kafka {
    /// Uses the broker that `LOGMON_KAFKA` names, else starts one.
    pub fn start() -> Result<Self, ServiceError> {
        match env::var(VARIABLE) {
            Ok(address) if !address.is_empty() => Self::running(address),
            _ => Self::start_own(&KafkaOptions::default()),
        }
    }

    /// Starts a broker of our own, whatever runs elsewhere: one that may be killed, paused and restarted.
    pub fn start_own(options: &KafkaOptions) -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&cache)?;
        let folder = RunFolder::create(&cache, "kafka")?;
        let mut ports = vec![Port::claim()?, Port::claim()?];
        let brokers = address(&ports[0]);
        let mut behind = None;
        let text = if let Some(proxy) = options.proxy {
            ports.push(Port::claim()?);
            behind = Some(address(&ports[2]));
            settings::proxied(folder.path(), &ports, proxy, &options.settings)
        } else {
            settings::plain(folder.path(), &ports, &options.settings)
        };
        let checkpoint = prepared.home.plain_checkpoint();
        let server = prepared.server(folder.path(), options, Life::WithUs, &text, &checkpoint)?;
        server.start()?;
        Ok(Self { brokers, behind, own: Some(Own { server, folder, _ports: ports }) })
    }

    /// Starts a broker with TLS, mutual TLS and SASL listeners beside the plain one.
    pub fn start_secure() -> Result<SecureKafka, ServiceError> {
        SecureKafka::start(&KafkaOptions::default())
    }

    fn running(address: String) -> Result<Self, ServiceError> {
        let error = |reason: String| ServiceError::External {
            variable: VARIABLE,
            address: address.clone(),
            reason,
        };
        let first = address.split(',').next().unwrap_or_default();
        let found = first.to_socket_addrs().map_err(|it| error(it.to_string()))?.next();
        let target = found.ok_or_else(|| error("no such host".to_owned()))?;
        TcpStream::connect_timeout(&target, Duration::from_secs(5))
            .map_err(|it| error(it.to_string()))?;
        Ok(Self { brokers: address, behind: None, own: None })
    }

    /// Bootstrap servers: `127.0.0.1:20417`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The address of the listener whose clients are sent to [`KafkaOptions::proxy`]: where that proxy passes on to.
    pub fn behind(&self) -> Option<&str> {
        self.behind.as_deref()
    }

    /// Where a broker of ours keeps its logs, a folder for each partition.
    pub fn data(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.folder.path().join("data"))
    }

    /// The broker's pid while it runs and is ours.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().and_then(|own| own.server.pid())
    }

    /// Kills it (SIGKILL), as a power cut would.
    pub fn kill(&self) -> Result<(), ServiceError> {
        self.own().map(Server::kill)
    }

    /// Starts it again on the same ports and data, after ending it if it runs.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.own()?.restart()
    }

    /// Pauses it (SIGSTOP): connections stay open, nothing is answered.
    pub fn stop(&self) -> Result<(), ServiceError> {
        self.own().map(Server::pause)
    }

    /// Lets a paused one go on (SIGCONT).
    pub fn cont(&self) -> Result<(), ServiceError> {
        self.own().map(Server::resume)
    }

    fn own(&self) -> Result<&Server, ServiceError> {
        let missing = ServiceError::NotOurs { service: "Kafka", variable: VARIABLE };
        self.own.as_ref().map(|own| &own.server).ok_or(missing)
    }
}

fn address(port: &Port) -> String {
    format!("127.0.0.1:{}", port.number())
}

/// What every broker shares.
#[derive(Debug)]
pub(crate) struct Prepared {
    home: Home,
    java: PathBuf,
    launcher: PathBuf,
    /// None if it could not be made: a broker starts without it too, only slower.
    archive: Option<PathBuf>,
}

impl Prepared {
    /// Finds Java, fetches Kafka, and archives its classes, as far as that has not been done.
    pub(crate) fn new(cache: &Cache) -> Result<Self, ServiceError> {
        let java = JAVA.find()?;
        let home = home(cache)?;
        let launcher = launcher(cache)?;
        let bare = Self { home, java, launcher, archive: None };
        let archive = archive::archive(cache, &bare)?;
        Ok(Self { archive, ..bare })
    }

    /// A broker for the background, with data in `folder`.
    pub(crate) fn background(&self, folder: &Path, ports: &[Port]) -> Result<Server, ServiceError> {
        let options = KafkaOptions { heap_mb: 512, ..KafkaOptions::default() };
        let text = settings::plain(folder, ports, &options.settings);
        self.server(folder, &options, Life::OnItsOwn, &text, &self.home.plain_checkpoint())
    }

    /// A broker with a freshly formatted data folder, not started yet.
    fn server(
        &self,
        folder: &Path,
        options: &KafkaOptions,
        life: Life,
        settings: &str,
        checkpoint: &Path,
    ) -> Result<Server, ServiceError> {
        self.member(folder, options, life, settings, checkpoint, (1, &settings::uuid()))
    }

    /// The same for one broker of a cluster: its number and the cluster's id.
    fn member(
        &self,
        folder: &Path,
        options: &KafkaOptions,
        life: Life,
        settings: &str,
        checkpoint: &Path,
        identity: (usize, &str),
    ) -> Result<Server, ServiceError> {
        let settings = format_data(folder, settings, checkpoint, identity)?;
        let heap = format!("-Xmx{}m", options.heap_mb);
        let mut java = vec![heap, "-Xms64m".to_owned(), "-XX:+UseSerialGC".to_owned()];
        // A broker out of memory would otherwise hang, and its clients with it.
        java.push("-XX:+ExitOnOutOfMemoryError".to_owned());
        if !options.optimize {
            java.push("-XX:TieredStopAtLevel=1".to_owned());
        }
        if let Some(archive) = &self.archive {
            java.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        Ok(self.broker(folder, life, java, &settings))
    }

    fn broker(&self, folder: &Path, life: Life, java: Vec<String>, settings: &Path) -> Server {
        let mut arguments: Vec<OsString> = vec!["exec".into(), self.java.clone().into()];
        arguments.extend(java.into_iter().map(OsString::from));
        let log4j = self.home.log4j();
        arguments.push(format!("-Dlog4j2.configurationFile={}", log4j.display()).into());
        arguments.extend(["kafka.Kafka".into(), settings.into()]);
        let launch = Launch {
            launcher: self.launcher.clone(),
            arguments,
            environment: vec![("CLASSPATH", self.home.class_path().into())],
            folder: folder.to_owned(),
            log: folder.join("kafka.log"),
            life,
        };
        Server::new("Kafka", launch, Ready::Says("Kafka Server started"))
    }
}

/// Makes the data folder of a new broker, and returns the path of its settings.
fn format_data(
    folder: &Path,
    settings: &str,
    checkpoint: &Path,
    (node, cluster): (usize, &str),
) -> Result<PathBuf, ServiceError> {
    let data = folder.join("data");
    make_folder(&data)?;
    write_file(&data.join("meta.properties"), &settings::meta(node, cluster))?;
    fs::copy(checkpoint, data.join("bootstrap.checkpoint"))
        .doing(|| format!("copy {}", checkpoint.display()))?;
    let place = folder.join("server.properties");
    write_file(&place, settings)?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::Kafka;

    #[test]
    fn what_is_not_ours_is_not_ended() {
        let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = somebody.local_addr().unwrap().to_string();
        let kafka = Kafka::running(format!("{address},127.0.0.1:1")).unwrap();
        assert_eq!(kafka.brokers(), format!("{address},127.0.0.1:1"));
        assert_eq!(kafka.pid(), None);
        let refused =
            "Kafka was not started here (LOGMON_KAFKA names it), so it cannot be stopped here";
        for act in [Kafka::kill, Kafka::restart, Kafka::stop, Kafka::cont] {
            assert_eq!(act(&kafka).unwrap_err().to_string(), refused);
        }
        let nowhere = Kafka::running("no such host".to_owned()).unwrap_err().to_string();
        assert!(
            nowhere.starts_with("LOGMON_KAFKA names no such host, which does not"),
            "{nowhere}"
        );
    }
}
