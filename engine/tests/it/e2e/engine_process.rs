//! A real engine process, its log, and what its HTTP says.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use super::{project::Project, wait_for};

/// A running engine; killed when dropped.
pub(crate) struct Engine {
    child: Child,
    log: PathBuf,
    address: Option<String>,
}

impl Engine {
    /// Starts `run` on the project's rules; `name` names its log.
    pub(crate) fn start(project: &Project, name: &str) -> Self {
        Self::start_in(&project.dir, name, &[])
    }

    /// Starts `run` on the rules of a folder, with these variables set. `LOGMON_ENGINE` names another build than the one beside the tests.
    pub(crate) fn start_in(dir: &Path, name: &str, variables: &[(&str, &str)]) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let built = env!("CARGO_BIN_EXE_logmon-engine");
        let child = Command::new(std::env::var_os("LOGMON_ENGINE").unwrap_or(built.into()))
            .arg("run")
            .arg(dir.join("rules/main.rules"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log, address: None }
    }

    /// Starts and waits until it listens.
    pub(crate) fn start_ready(project: &Project, name: &str) -> Self {
        let mut engine = Self::start(project, name);
        engine.listens();
        engine
    }

    /// Waits until it listens.
    pub(crate) fn listens(&mut self) {
        wait_for("the engine listens", 60, || {
            assert!(self.child.try_wait().unwrap().is_none(), "the engine ended:\n{}", self.log());
            self.address = self
                .log()
                .lines()
                .find_map(|line| line.split("http://").nth(1))
                .and_then(|rest| {
                    rest.split(|c: char| c.is_whitespace() || c == '"' || c == '/').next()
                })
                .map(str::to_owned);
            self.address.is_some()
        });
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGSTOP: it stands still where it is.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT: it goes on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Everything it said.
    pub(crate) fn log(&self) -> String {
        strip_ansi(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// `GET path`: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let address = self.address.as_ref().expect("started with start_ready");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        (status, body)
    }

    /// The value of a metric: the sum over all series whose line starts with `name` and contains every one of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.get("/metrics");
        text.lines()
            .filter(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && labels.iter().all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(30)
    }

    /// SIGTERM, and no waiting.
    pub(crate) fn leave(&self) {
        self.signal("TERM");
    }

    /// SIGKILL: no time to say goodbye.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself a moment ago.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, seconds: u64) -> ExitStatus {
        let mut status = None;
        wait_for("the engine ends", seconds, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn strip_ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match (inside, c) {
            (false, '\u{1b}') => inside = true,
            (true, 'm') => inside = false,
            (true, _) => {}
            (false, c) => out.push(c),
        }
    }
    out
}
