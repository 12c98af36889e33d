//! The demo's engine: the real command in a process of its own, so that what it costs can be told from what the demo costs.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::setup::Stage;

/// How long the engine may take to start.
const START: Duration = Duration::from_mins(1);

/// A running engine.
pub(super) struct Engine {
    child: Mutex<Child>,
    pid: u32,
    address: String,
    log: PathBuf,
}

/// What `/api/status` says of all events.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Events {
    pub(super) read: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) dead_lettered: u64,
    pub(super) open: i64,
}

#[derive(Debug, Deserialize)]
struct Page {
    events: Events,
}

/// A rule on `/api/rules`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rule {
    #[serde(rename = "rule")]
    pub(super) label: String,
    pub(super) matched: u64,
    #[serde(default)]
    pub(super) dropped: std::collections::BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) faults: std::collections::BTreeMap<String, u64>,
}

impl Engine {
    /// Starts it and waits until it listens.
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Self> {
        let log = stage.dir.join("engine.log");
        let file = File::create(&log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("run")
            .arg(&stage.rules)
            .arg("--config")
            .arg(&stage.config)
            // It ends when our end of the pipe closes, so it never outlives the demo.
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            // Ctrl-C is for the demo, which then lets the engine drain.
            .process_group(0)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("the engine cannot be started")?;
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = child.try_wait()? {
                bail!("{said}\nthe engine ended: {status}");
            }
            let address = said
                .split("listening on http://")
                .nth(1)
                .and_then(|rest| rest.split(|c: char| c.is_whitespace() || c == '\u{1b}').next());
            if let Some(address) = address {
                let pid = child.id();
                return Ok(Self {
                    child: Mutex::new(child),
                    pid,
                    address: address.to_owned(),
                    log,
                });
            }
            if started.elapsed() > START {
                let _ended = child.kill();
                bail!("{said}\nthe engine did not start within {} s", START.as_secs());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Where its pages are.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Fails if it ended.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let ended =
            self.child.lock().expect("no thread panics while it holds the child").try_wait()?;
        match ended {
            None => Ok(()),
            Some(status) => bail!("{}\nthe engine ended: {status}", self.said(40)),
        }
    }

    /// What became of the events so far.
    pub(super) fn status(&self) -> anyhow::Result<Events> {
        let page: Page = serde_json::from_str(&self.get("/api/status")?)?;
        Ok(page.events)
    }

    /// The rules with their counters.
    pub(super) fn rules(&self) -> anyhow::Result<Vec<Rule>> {
        Ok(serde_json::from_str(&self.get("/api/rules")?)?)
    }

    /// The last lines of its log.
    pub(super) fn said(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// CPU seconds that it used, all threads, own and system time.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The name in parentheses may hold blanks; utime and stime are the 12th and 13th field behind it.
        let ticks: u64 = stat.rsplit(')').next().map_or(0, |rest| {
            rest.split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|field| field.parse::<u64>().ok())
                .sum()
        });
        ticks as f64 / 100.0
    }

    /// Lets it drain and commit, and waits for its end.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        let mut child = self.child.into_inner().expect("no thread panics while it holds the child");
        drop(child.stdin.take());
        child.wait()?;
        Ok(())
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("the engine's answer has no body")?;
        Ok(body.to_owned())
    }
}
