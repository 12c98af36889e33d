//! A server process that ends when we do.
//!
//! Two things see to that. The handle ends it on drop. And the launcher asks the kernel to kill it when
//! its parent dies, for the ways a test process can end without dropping anything. To the kernel "parent"
//! means the *thread* that forked: a server forked by a test's own thread would die with that test. So
//! every server is forked by a thread of its own, which then does nothing but wait for it. That thread
//! ends after the server, or together with the whole process.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::{Doing, ServiceError};

/// Who ends a server that nobody stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The kernel, when this process ends.
    WithUs,
    /// Nobody: it runs on in the background.
    OnItsOwn,
}

/// What the launcher starts.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The launcher itself.
    pub(crate) launcher: PathBuf,
    /// `exec PROGRAM …` or `chdb LIBRARY …`.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) folder: PathBuf,
    /// Takes what the server prints.
    pub(crate) log: PathBuf,
    pub(crate) life: Life,
}

/// A started process, running or ended.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    end: Arc<End>,
}

#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl End {
    fn status(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that is asked to end writes its state down first; ours have little, so this is plenty.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

impl Process {
    /// Starts a process from a thread that waits for its end.
    pub(crate) fn start(launch: &Launch) -> Result<Self, ServiceError> {
        let mut command = command_of(launch)?;
        let end = Arc::new(End::default());
        let (tell, told) = mpsc::sync_channel(1);
        let ended = Arc::clone(&end);
        let body = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    tell.send(Err(error)).expect("the starter waits for it");
                    return;
                }
            };
            tell.send(Ok(child.id())).expect("the starter waits for it");
            // It can only fail if somebody else reaped the child, and then it has ended as well.
            let status = child.wait().unwrap_or_default();
            *ended.status() = Some(status);
            ended.changed.notify_all();
        };
        let doing = || format!("start {}", launch.launcher.display());
        thread::Builder::new().name("server".to_owned()).spawn(body).doing(doing)?;
        let lost = io::Error::other("the starting thread ended");
        let pid = told.recv().unwrap_or(Err(lost)).doing(doing)?;
        Ok(Self { pid, end })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        *self.end.status()
    }

    /// Waits so long for its end, and says whether it came.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut status = self.end.status();
        while status.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.end.changed.wait_timeout(status, left);
            status = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Sends a signal to the process and its children; nothing happens if it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        // The lock keeps the pid ours: the waiting thread cannot report an end meanwhile.
        let status = self.end.status();
        if status.is_none() {
            signal_group(self.pid, signal);
        }
        drop(status);
    }

    /// Asks it to end, and after a while no longer asks.
    pub(crate) fn stop(&self, patience: Duration) {
        self.end(Signal::TERM, patience);
    }

    /// The same, asked by that signal.
    pub(crate) fn end(&self, signal: Signal, patience: Duration) {
        self.signal(signal);
        // A paused process would see the request only when it goes on.
        self.signal(Signal::CONT);
        if !self.wait(patience) {
            self.kill();
        }
    }

    /// Ends it the hard way, and waits until it is gone.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        // A killed process ends at once, unless the disk hangs; then waiting longer would not help.
        self.wait(PATIENCE);
    }
}

/// Signals a process group by its leader, or the leader alone before the group exists.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) else { return };
    if kill_process_group(pid, signal).is_err() {
        // It may have ended by itself, which is what was wanted or will be seen by who waits for it.
        kill_process(pid, signal).ok();
    }
}

fn command_of(launch: &Launch) -> Result<Command, ServiceError> {
    let log = open_log(&launch.log)?;
    let again = log.try_clone().doing(|| format!("open {} twice", launch.log.display()))?;
    let parent = match launch.life {
        Life::WithUs => std::process::id(),
        Life::OnItsOwn => 0,
    };
    let mut command = Command::new(&launch.launcher);
    command
        .arg(parent.to_string())
        .args(&launch.arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(again);
    Ok(command)
}

fn open_log(path: &Path) -> Result<std::fs::File, ServiceError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.doing(|| format!("open {}", path.display()))
}
