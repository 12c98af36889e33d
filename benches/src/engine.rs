//! The real command in a process of its own, so that what it costs is told by the kernel.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::{process, servers::Servers};

/// How long the engine may take to start.
const START: Duration = Duration::from_mins(1);

/// How often the engine is asked how far it is: each answer costs it something.
const ASK: Duration = Duration::from_millis(100);
/// No progress for so long means that something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary that was named, or a release build by the cargo that runs this bench.
pub fn binary(named: Option<&str>) -> anyhow::Result<PathBuf> {
    match named {
        Some(path) => Ok(path.into()),
        None => build(),
    }
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "-p",
            "logmon-engine",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    ensure!(built.status.success(), "logmon-engine does not build");
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|said| said["target"]["name"] == "logmon-engine")
        .find_map(|said| said["executable"].as_str().map(PathBuf::from))
        .context("cargo names no binary")
}

/// A running engine; killed when dropped.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    address: String,
    log: PathBuf,
}

/// What `/api/status` says of all events.
#[derive(Debug, Clone, Copy, Default, Deserialize, serde::Serialize)]
pub struct Events {
    /// Read from Kafka.
    pub read: u64,
    /// A sink confirmed at least one row.
    pub delivered: u64,
    /// Rules ended them.
    pub dropped: u64,
    /// Lie among the dead letters.
    pub dead_lettered: u64,
    /// Read, but with no fate yet.
    pub open: i64,
}

/// A backlog that was worked off.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// What the engine says then.
    pub events: Events,
    /// When its first record was seen.
    pub first: Instant,
}

#[derive(Deserialize)]
struct Page {
    events: Events,
}

impl Engine {
    /// Starts a binary on the servers' rules and waits until it listens.
    pub fn start(binary: &Path, servers: &Servers) -> anyhow::Result<Self> {
        let log = servers.folder().join("engine.log");
        let file = File::create(&log)?;
        let child = Command::new(binary)
            .arg("run")
            .arg(servers.entry())
            .arg("--config")
            .arg(servers.config())
            // It ends when our end of the pipe closes, so it never outlives the bench.
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let mut engine = Self { child, address: String::new(), log };
        let started = Instant::now();
        loop {
            let said = engine.said();
            let address = said.split("listening on http://").nth(1).and_then(|rest| {
                rest.split(|c: char| c.is_whitespace() || c == '\u{1b}' || c == '/').next()
            });
            if let Some(address) = address {
                address.clone_into(&mut engine.address);
                return Ok(engine);
            }
            engine.check()?;
            ensure!(started.elapsed() < START, "{said}\nthe engine does not start");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails if it ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{}\nthe engine ended: {status}", self.said());
        }
        Ok(())
    }

    /// What became of the events so far.
    pub fn events(&self) -> anyhow::Result<Events> {
        let page: Page = serde_json::from_str(&self.get("/api/status")?)?;
        Ok(page.events)
    }

    /// Waits until that many events are read and every one has its fate, all rows confirmed.
    pub fn drain(&mut self, events: u64) -> anyhow::Result<Drained> {
        let mut first = None;
        let mut last = (Events::default(), Instant::now());
        loop {
            self.check()?;
            let said = self.events()?;
            if said.read > 0 {
                first.get_or_insert_with(Instant::now);
            }
            if said.read >= events && said.open == 0 {
                return Ok(Drained { events: said, first: first.unwrap_or(last.1) });
            }
            if said.read != last.0.read || said.open != last.0.open {
                last = (said, Instant::now());
            }
            ensure!(last.1.elapsed() < PATIENCE, "{}\nnothing moves: {said:?}", self.said());
            std::thread::park_timeout(ASK);
        }
    }

    /// A page.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("the engine's answer has no body")?;
        Ok(body.to_owned())
    }

    /// CPU seconds so far.
    pub fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.child.id())
    }

    /// The most memory it held so far.
    pub fn peak_mib(&self) -> f64 {
        process::peak_mib(self.child.id())
    }

    /// Lets it drain and commit, and waits for its end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "{}\nthe engine ended: {status}", self.said());
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
