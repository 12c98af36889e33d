//! A real ClickHouse server on loopback: an installed `clickhouse`, or the library that npm has.
//!
//! Both run the same command line, `clickhouse local` told to listen, so what holds for one holds for the
//! other: no Keeper, no replicated tables, no `CREATE USER`. And a login refused on the port of ClickHouse's
//! own protocol ends the whole server (over HTTP it is answered, with code 516).

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, make_folder, write_file};
use crate::error::ServiceError;
use crate::fetch::chdb::library;
use crate::fetch::launcher::launcher;
use crate::folder::RunFolder;
use crate::http::{Target, query};
use crate::port::Port;
use crate::process::{Launch, Life};
use crate::progress::note;
use crate::server::{Ready, Server};
use crate::tool::{on_path, run};

/// The variable that names a running server.
const VARIABLE: &str = "LOGMON_CLICKHOUSE";
const USER: &str = "logmon";
const PASSWORD: &str = "logmon-secret";
const USERS: &str = include_str!("../assets/clickhouse-users.xml");

/// Enough for the tests and the demo, little enough to run beside everything else.
const MEMORY: u64 = 2 << 30;

/// `clickhouse local` has 2, and then says at every merge that its tasks must wait for each other.
const SCHEDULERS: u32 = 8;

/// The oldest installed `clickhouse` worth taking instead of fetching: an older one lacks what we use.
const OLDEST: (u32, u32) = (25, 3);

/// Opens the ports, last the one whose answer counts as ready, and then sleeps for three and a half days: the server ends with its last statement.
const SERVE: &str = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; \
    SELECT sleepEachRow(3) FROM numbers(100000) SETTINGS \
    function_sleep_max_microseconds_per_block=0, max_block_size=1, max_execution_time=0 FORMAT Null";

/// A server, ours or the one that `LOGMON_CLICKHOUSE` names.
///
/// Ours has its own ports and data, ends when this is dropped (also when the process is killed), and
/// any number of them may run at once.
#[derive(Debug)]
pub struct ClickHouse {
    url: String,
    target: Target,
    own: Option<Own>,
}

/// Fields are dropped in order: first the process, then what it used.
#[derive(Debug)]
struct Own {
    server: Server,
    tcp_port: u16,
    _folder: RunFolder,
    _ports: Vec<Port>,
}

impl ClickHouse {
    /// Uses the server that `LOGMON_CLICKHOUSE` names (`http://user:password@host:8123`), else starts one.
    pub fn start() -> Result<Self, ServiceError> {
        match env::var(VARIABLE) {
            Ok(address) if !address.is_empty() => Self::running(&address),
            _ => Self::start_own(),
        }
    }

    /// Starts a server of our own, whatever runs elsewhere: one that may be killed, paused and restarted.
    pub fn start_own() -> Result<Self, ServiceError> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&cache)?;
        let folder = RunFolder::create(&cache, "clickhouse")?;
        let ports = vec![Port::claim()?, Port::claim()?];
        let server = prepared.server(folder.path(), &ports, Life::WithUs)?;
        server.start()?;
        let target = target_on(ports[0].number());
        let url = format!("http://{}", target.address);
        let tcp_port = ports[1].number();
        Ok(Self {
            url,
            target,
            own: Some(Own { server, tcp_port, _folder: folder, _ports: ports }),
        })
    }

    fn running(address: &str) -> Result<Self, ServiceError> {
        let error = |reason: String| ServiceError::External {
            variable: VARIABLE,
            address: address.to_owned(),
            reason,
        };
        let target = parse_url(address)
            .ok_or_else(|| error("it is not http://user:password@host:port".to_owned()))?;
        query(&target, "SELECT 1", &[]).map_err(|it| error(it.to_string()))?;
        Ok(Self { url: format!("http://{}", target.address), target, own: None })
    }

    /// `http://127.0.0.1:20418`, without user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The user to log in as.
    pub fn user(&self) -> &str {
        &self.target.user
    }

    /// That user's password.
    pub fn password(&self) -> &str {
        &self.target.password
    }

    /// A user that may read only, and its password, where the server is ours.
    pub fn reader(&self) -> Option<(&'static str, &'static str)> {
        self.own.as_ref().map(|_| ("reader", "reader-secret"))
    }

    /// The port of ClickHouse's own protocol, where the server is ours.
    pub fn tcp_port(&self) -> Option<u16> {
        self.own.as_ref().map(|own| own.tcp_port)
    }

    /// Runs one statement and returns the answer, tab-separated unless it names a format.
    pub fn query(&self, statement: &str) -> Result<String, ServiceError> {
        self.query_with(statement, &[])
    }

    /// The same with parameters of the request, such as `param_p1` for `{p1:String}`.
    pub fn query_with(
        &self,
        statement: &str,
        params: &[(String, String)],
    ) -> Result<String, ServiceError> {
        query(&self.target, statement, params)
            .map_err(|error| ServiceError::Query(error.to_string()))
    }

    /// The server's pid while it runs and is ours.
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
        let missing = ServiceError::NotOurs { service: "ClickHouse", variable: VARIABLE };
        self.own.as_ref().map(|own| &own.server).ok_or(missing)
    }
}

/// The server on a loopback port, for our own user.
fn target_on(http_port: u16) -> Target {
    let address = format!("127.0.0.1:{http_port}");
    Target { address, user: USER.to_owned(), password: PASSWORD.to_owned() }
}

/// Asks the server on a loopback port one thing.
pub(crate) fn ask(http_port: u16, statement: &str) -> std::io::Result<String> {
    query(&target_on(http_port), statement, &[])
}

/// Without user and password they are ClickHouse's own: `default` and none.
fn parse_url(url: &str) -> Option<Target> {
    let rest = url.strip_prefix("http://")?.trim_end_matches('/');
    let (login, address) = rest.rsplit_once('@').unwrap_or(("default:", rest));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "8123"));
    let port: u16 = port.parse().ok()?;
    let (user, password) = (user.to_owned(), password.to_owned());
    (!host.is_empty()).then(|| Target { address: format!("{host}:{port}"), user, password })
}

/// What every server shares.
#[derive(Debug)]
pub(crate) struct Prepared {
    launcher: PathBuf,
    /// The first words for the launcher.
    program: Vec<OsString>,
}

impl Prepared {
    /// Finds ClickHouse, or fetches it.
    pub(crate) fn new(cache: &Cache) -> Result<Self, ServiceError> {
        let program = match installed() {
            Some(path) => vec!["exec".into(), path.into(), "local".into()],
            None => vec!["chdb".into(), library(cache)?.into()],
        };
        Ok(Self { launcher: launcher(cache)?, program })
    }

    /// A server with its configuration written, not started yet; the first port is HTTP's.
    pub(crate) fn server(
        &self,
        folder: &Path,
        ports: &[Port],
        life: Life,
    ) -> Result<Server, ServiceError> {
        make_folder(folder)?;
        let (http_port, tcp_port) = (ports[0].number(), ports[1].number());
        // Its own process and count, or `clickhouse` for the one in the background.
        let place = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{place}-{http_port}");
        let config = folder.join("config.xml");
        // Users inside this file would be ignored without a word, so they have one of their own.
        let users = folder.join("users.xml");
        write_file(&users, USERS)?;
        write_file(&config, &configuration(folder, &users, &name))?;
        let mut arguments = self.program.clone();
        arguments.push("--config-file".into());
        arguments.push(config.into());
        arguments.extend([
            "--multiquery".into(),
            format!("--http_port={http_port}").into(),
            format!("--tcp_port={tcp_port}").into(),
            "--listen_host=127.0.0.1".into(),
            // The level in the configuration is not heeded; as it would be, it traces every insert.
            "--log-level=warning".into(),
            format!("--path={}", folder.join("data").display()).into(),
            "--query".into(),
            SERVE.into(),
        ]);
        let launch = Launch {
            launcher: self.launcher.clone(),
            arguments,
            environment: Vec::new(),
            folder: folder.to_owned(),
            log: folder.join("output.log"),
            life,
        };
        Ok(Server::new("ClickHouse", launch, Ready::Answers { http_port, name }))
    }
}

/// An installed `clickhouse`, if it is new enough.
fn installed() -> Option<PathBuf> {
    let path = on_path("clickhouse")?;
    let said = run("ClickHouse's version", Command::new(&path).args(["local", "--version"]));
    let found = said.as_deref().ok().and_then(version);
    if found.is_some_and(|it| it >= OLDEST) {
        return Some(path);
    }
    note(&format!(
        "{} is older than {}.{}, so another ClickHouse is used",
        path.display(),
        OLDEST.0,
        OLDEST.1
    ));
    None
}

/// (26, 7) of `ClickHouse local version 26.7.2.1 (official build).`
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_once("version ")?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn configuration(folder: &Path, users: &Path, name: &str) -> String {
    let place = |of: &str| xml(&folder.join(of).display().to_string());
    let (log, hot, cold, backups) =
        (place("server.log"), place("hot/"), place("cold/"), place("backups/"));
    let (users, name) = (xml(&users.display().to_string()), xml(name));
    format!(
        "<clickhouse>
  <logger><log>{log}</log><size>10M</size><count>2</count></logger>
  <users_config>{users}</users_config>
  <max_server_memory_usage>{MEMORY}</max_server_memory_usage>
  <background_schedule_pool_size>{SCHEDULERS}</background_schedule_pool_size>
  <storage_configuration>
    <disks><hot><path>{hot}</path></hot><cold><path>{cold}</path></cold></disks>
    <policies><hot_cold><volumes><hot><disk>hot</disk></hot><cold><disk>cold</disk></cold></volumes>\
    <move_factor>0.1</move_factor></hot_cold></policies>
  </storage_configuration>
  <backups><allowed_path>{backups}</allowed_path></backups>
  <query_log><database>system</database><table>query_log</table>\
  <flush_interval_milliseconds>1000</flush_interval_milliseconds></query_log>
  <macros><shard>1</shard><replica>{name}</replica></macros>
</clickhouse>
"
    )
}

/// A path may hold what XML takes for its own.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{configuration, parse_url, version};

    #[test]
    fn a_path_with_any_letter_stays_one_path() {
        let text = configuration(Path::new("/a & <b>"), Path::new("/u&"), "n");
        assert!(text.contains("<log>/a &amp; &lt;b&gt;/server.log</log>"), "{text}");
        assert!(text.contains("<users_config>/u&amp;</users_config>"), "{text}");
    }

    #[test]
    fn urls_with_and_without_a_login() {
        let parsed = |url: &str| parse_url(url).map(|it| (it.address, it.user, it.password));
        let all = |a: &str, u: &str, p: &str| Some((a.to_owned(), u.to_owned(), p.to_owned()));
        assert_eq!(parsed("http://h:1/"), all("h:1", "default", ""));
        assert_eq!(parsed("http://h"), all("h:8123", "default", ""));
        assert_eq!(parsed("http://u:p@w@h:1"), all("h:1", "u", "p@w"));
        assert_eq!(parsed("https://h:1"), None);
        assert_eq!(parsed("http://h:port"), None);
        assert_eq!(parsed("http://:1"), None);
    }

    #[test]
    fn versions_of_clickhouse() {
        assert_eq!(version("ClickHouse local version 26.7.2.1 (official build)."), Some((26, 7)));
        assert_eq!(version("nothing of the kind"), None);
    }
}
