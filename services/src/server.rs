//! A server of ours: how it is started, known to be ready, paused, killed and started again.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::clickhouse::ask;
use crate::error::{Doing, ServiceError};
use crate::process::{Launch, Life, PATIENCE, Process};
use crate::tool::{TAIL_LINES, tail};

/// How a server shows that it is ready. Both ways are proof that it is *this* server: a port that
/// answers might be somebody else's.
#[derive(Debug)]
pub(crate) enum Ready {
    /// It writes this to its own log.
    Says(&'static str),
    /// ClickHouse on this port knows this name, which is in its own configuration.
    Answers { http_port: u16, name: String },
}

/// A server that can be started any number of times on the same ports and data.
#[derive(Debug)]
pub(crate) struct Server {
    service: &'static str,
    launch: Launch,
    ready: Ready,
    /// The process started last; None before the first.
    process: Mutex<Option<Process>>,
}

/// A start takes seconds; a machine busy with several builds has been seen to take twenty times longer.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Short against any start, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(25);

impl Server {
    pub(crate) fn new(service: &'static str, launch: Launch, ready: Ready) -> Self {
        Self { service, launch, ready, process: Mutex::new(None) }
    }

    /// Starts the process and waits until it is ready; one that does not get there is ended.
    pub(crate) fn start(&self) -> Result<(), ServiceError> {
        self.start_and(|_| Ok(()))
    }

    /// Starts the process, hands on its pid while it is getting ready, and waits.
    pub(crate) fn start_and(
        &self,
        started: impl FnOnce(u32) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let mut process = self.process();
        let log_start = fs::metadata(&self.launch.log).map_or(0, |it| it.len());
        let fresh = Process::start(&self.launch)?;
        let outcome = started(fresh.pid()).and_then(|()| self.wait_ready(&fresh, log_start));
        if outcome.is_err() {
            fresh.kill();
        }
        *process = Some(fresh);
        outcome
    }

    fn wait_ready(&self, process: &Process, log_start: u64) -> Result<(), ServiceError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if process.wait(LOOK_EVERY) {
                let reason = process.ended().map_or_else(String::new, |it| format!("ended, {it}"));
                return Err(self.start_error(reason, log_start));
            }
            let ready = match &self.ready {
                Ready::Says(line) => read_from(&self.launch.log, log_start)?.contains(line),
                Ready::Answers { http_port, name } => {
                    ask(*http_port, "SELECT getMacro('replica')").is_ok_and(|it| it.trim() == name)
                }
            };
            if ready {
                return Ok(());
            }
            if Instant::now() > deadline {
                let reason = format!("not ready after {} s", START_LIMIT.as_secs());
                return Err(self.start_error(reason, log_start));
            }
        }
    }

    fn start_error(&self, reason: String, log_start: u64) -> ServiceError {
        let text = read_from(&self.launch.log, log_start).unwrap_or_default();
        let log = self.launch.log.clone();
        ServiceError::Start { service: self.service, reason, log, tail: tail(&text, TAIL_LINES) }
    }

    /// The pid, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let process = self.process();
        process.as_ref().filter(|it| it.ended().is_none()).map(Process::pid)
    }

    pub(crate) fn kill(&self) {
        self.each(Process::kill);
    }

    /// Ends it by an interrupt, which some servers take as "now".
    pub(crate) fn interrupt(&self) {
        self.each(|process| process.end(Signal::INT, PATIENCE));
    }

    pub(crate) fn pause(&self) {
        self.each(|process| process.signal(Signal::STOP));
    }

    pub(crate) fn resume(&self) {
        self.each(|process| process.signal(Signal::CONT));
    }

    pub(crate) fn stop(&self) {
        self.stop_within(PATIENCE);
    }

    /// Asks it to end, and kills it if it has not after so long.
    pub(crate) fn stop_within(&self, patience: Duration) {
        self.each(|process| process.stop(patience));
    }

    pub(crate) fn restart(&self) -> Result<(), ServiceError> {
        self.stop();
        self.start()
    }

    fn each(&self, act: impl FnOnce(&Process)) {
        if let Some(process) = self.process().as_ref() {
            act(process);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.launch.life == Life::WithUs {
            self.stop();
        }
    }
}

fn read_from(path: &Path, start: u64) -> Result<String, ServiceError> {
    let doing = || format!("read {}", path.display());
    let mut file = File::open(path).doing(doing)?;
    file.seek(SeekFrom::Start(start)).doing(doing)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).doing(doing)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
