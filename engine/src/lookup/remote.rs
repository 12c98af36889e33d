//! Back ends on the other side of a network: asked for some keys a call, some calls at a time, all within one timeout.
//!
//! Invariant: a batch waits for its timeout at most, and waiting in vain takes a twentieth of the time at most, whether nothing comes or nothing of use.

mod patience;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::{diagnostic::Diagnostic, eval::Answer, plan::LookupDecl};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    time,
};

use super::{CONNECT, Holding, Lookup, News, OpenError, Reloaded, shape::messages};
use crate::{config::Asking, error::WorldError};
use patience::{Patience, Stance};

/// A call with longer keys is cut in two: below what servers take as an address or a statement.
const CALL_BYTES_MAX: usize = 64 << 10;
/// A call goes on for so many timeouts after its batch went on without it: what it brings is for the next batch.
const LATE: u32 = 10;
/// Bounds of that: a server that hangs must not hold our calls for long, and a slow one should have its chance.
const LATE_MIN: Duration = Duration::from_secs(5);
const LATE_MAX: Duration = Duration::from_mins(1);
/// Late answers that wait to be taken; more of them are let go.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Asks for some keys.
pub(super) type Asked<'a> = Pin<Box<dyn Future<Output = Result<Vec<Answer>, Trouble>> + Send + 'a>>;

/// Looks at a server for the first time.
pub(super) type Met<'a> = Pin<Box<dyn Future<Output = Result<(), Unmet>> + Send + 'a>>;

/// A back end that is asked over a network.
pub(super) trait Remote: fmt::Debug + Send + Sync + 'static {
    /// What a person calls the server, at the start of a sentence or within one.
    fn server(&self) -> &'static str;

    /// Whether it is there, and has what the rules declare.
    fn meet(&self) -> Met<'_>;

    /// Answers for distinct keys, in their order. Whoever calls sets the time limit.
    fn ask<'a>(&'a self, keys: &'a [Arc<str>]) -> Asked<'a>;
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody is there: asking again at once would bring the same.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, and not what was asked for.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    /// A server that cannot be asked at all is left alone, whatever it says.
    pub(super) fn away(self) -> Self {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => Self::Unreachable(why),
        }
    }
}

/// Why a server cannot be asked yet.
#[derive(Debug)]
pub(super) enum Unmet {
    /// It is not there, or says no.
    Trouble(Trouble),
    /// What it has is not what the rules declare.
    Shape(Vec<Diagnostic>),
}

impl Unmet {
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Trouble(Trouble::Refused(why.into()))
    }

    /// While there is nothing to ask, the server is left alone for some time.
    pub(super) fn trouble(self) -> Trouble {
        match self {
            Self::Trouble(trouble) => trouble.away(),
            Self::Shape(wrong) => Trouble::Unreachable(messages(&wrong)),
        }
    }
}

impl From<Trouble> for Unmet {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// A remote back end as a lookup.
#[derive(Debug)]
pub(super) struct Asker {
    shared: Arc<Shared>,
    asking: Asking,
    runtime: Handle,
    permits: Arc<Semaphore>,
}

/// What calls need that outlive their batch.
#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    back: Box<dyn Remote>,
    timeout: Duration,
    patience: Mutex<Patience>,
    late: Mutex<Late>,
    has_late: AtomicBool,
}

#[derive(Debug, Default)]
struct Late {
    answers: Vec<(Arc<str>, Answer)>,
    bytes: usize,
}

/// What a call came to: the place of its first key, and its answers.
type Came = (usize, Vec<Answer>);

impl Asker {
    /// Meets the server. One that is away is no reason not to start: its keys fail until it is back.
    pub(super) fn open(
        decl: &LookupDecl,
        back: impl Remote,
        asking: Asking,
        runtime: &Handle,
    ) -> Result<Self, OpenError> {
        let (lookup, server) = (&*decl.name, back.server());
        match runtime.block_on(async { time::timeout(CONNECT, back.meet()).await }) {
            Ok(Ok(())) => {}
            Ok(Err(Unmet::Trouble(Trouble::Unreachable(why)))) => {
                tracing::warn!(lookup, why, "{server} is not there; its keys fail until it is");
            }
            Err(_) => {
                tracing::warn!(lookup, "{server} does not answer; its keys fail until it does");
            }
            Ok(Err(Unmet::Trouble(Trouble::Refused(why)))) => {
                return Err(WorldError::new(format!("[lookup.{lookup}] {why}")).into());
            }
            Ok(Err(Unmet::Shape(wrong))) => return Err(OpenError::Shape(wrong)),
        }
        Ok(Self {
            shared: Arc::new(Shared {
                name: Arc::clone(&decl.name),
                back: Box::new(back),
                timeout: asking.timeout,
                patience: Mutex::new(Patience::new(asking.timeout, Instant::now())),
                late: Mutex::default(),
                has_late: AtomicBool::new(false),
            }),
            asking,
            runtime: runtime.clone(),
            permits: Arc::new(Semaphore::new(asking.concurrency)),
        })
    }

    /// Starts a call, now or as soon as there is room for it before the deadline.
    fn call(
        &self,
        first: usize,
        keys: Vec<Arc<str>>,
        deadline: Option<time::Instant>,
        tell: mpsc::Sender<Came>,
    ) {
        let shared = Arc::clone(&self.shared);
        let permits = Arc::clone(&self.permits);
        let limit = (self.asking.timeout * LATE).clamp(LATE_MIN, LATE_MAX);
        let limit = limit.max(self.asking.timeout);
        self.runtime.spawn(async move {
            let permit = match deadline {
                Some(deadline) => time::timeout_at(deadline, permits.acquire_owned()).await.ok(),
                // Nobody waits: what has no room now is not asked for.
                None => permits.try_acquire_owned().ok().map(Ok),
            };
            let Some(Ok(_permit)) = permit else { return };
            let began = Instant::now();
            let outcome = time::timeout(limit, shared.back.ask(&keys)).await;
            shared.note(outcome.as_ref().ok(), began);
            let Ok(Ok(answers)) = outcome else { return };
            // There is room for every call, so only a batch that has gone on takes nothing.
            if let Err(unsent) = tell.try_send((first, answers)) {
                let (_, answers) = unsent.into_inner();
                shared.keep(keys.into_iter().zip(answers));
            }
        });
    }

    /// Ranges of keys, one a call.
    fn calls(&self, keys: &[&str]) -> Vec<std::ops::Range<usize>> {
        let mut calls = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, key) in keys.iter().enumerate() {
            if at > start && (at - start == self.asking.batch || bytes + key.len() > CALL_BYTES_MAX)
            {
                calls.push(start..at);
                (start, bytes) = (at, 0);
            }
            bytes += key.len();
        }
        if start < keys.len() {
            calls.push(start..keys.len());
        }
        calls
    }
}

impl Lookup for Asker {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        let mut answers = vec![Answer::Failed; keys.len()];
        let began = Instant::now();
        let waits = match self.shared.patience().stance(began) {
            Stance::Silent => return answers,
            Stance::Ask => false,
            Stance::Wait => true,
        };
        let deadline = time::Instant::from_std(began + self.asking.timeout);
        let calls = self.calls(keys);
        let (tell, mut told) = mpsc::channel(calls.len().max(1));
        if !waits {
            told.close();
        }
        for call in calls {
            let first = call.start;
            let asked = keys[call].iter().map(|key| Arc::from(*key)).collect();
            self.call(first, asked, waits.then_some(deadline), tell.clone());
        }
        drop(tell);
        if !waits {
            return answers;
        }
        let mut of_use = false;
        let mut put = |(first, came): Came| {
            of_use = true;
            for (place, answer) in answers[first..].iter_mut().zip(came) {
                *place = answer;
            }
        };
        let collect = async {
            while let Some(came) = told.recv().await {
                put(came);
            }
        };
        let late =
            self.runtime.block_on(async { time::timeout_at(deadline, collect).await }).is_err();
        if late {
            // From here on calls keep what they bring for the next batch.
            told.close();
            while let Ok(came) = told.try_recv() {
                put(came);
            }
        }
        // Calls that are all refused bring as little as calls that hang.
        if (late || !of_use)
            && self.shared.patience().waited_in_vain(began.elapsed(), Instant::now())
        {
            let what = if late { "does not answer in time" } else { "answers nothing of use" };
            tracing::warn!(
                lookup = &*self.shared.name,
                "{what}; batches go on without it, and later answers are for the next ones"
            );
        }
        answers
    }

    fn news(&self) -> News {
        if !self.shared.has_late.swap(false, Ordering::AcqRel) {
            return News::None;
        }
        News::Answers(std::mem::take(&mut *self.shared.late()).answers)
    }

    fn would_ask(&self) -> bool {
        match self.shared.patience().stance(Instant::now()) {
            Stance::Silent => false,
            Stance::Ask => self.permits.available_permits() > 0,
            Stance::Wait => true,
        }
    }

    fn is_paused(&self) -> bool {
        self.shared.patience().stance(Instant::now()) != Stance::Wait
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        Ok(Reloaded::Unchanged)
    }

    fn holds(&self) -> Holding {
        Holding::default()
    }
}

impl Shared {
    /// Learns from the end of a call, whoever still waits for it.
    fn note(&self, outcome: Option<&Result<Vec<Answer>, Trouble>>, began: Instant) {
        let name = &*self.name;
        match outcome {
            None => tracing::debug!(lookup = name, "a call was given up"),
            Some(Ok(_)) => self.answered(began.elapsed() <= self.timeout),
            Some(Err(Trouble::Refused(why))) => {
                tracing::debug!(lookup = name, why, "keys without an answer");
                if let Some(pause) = self.patience().refused(Instant::now()) {
                    tracing::warn!(
                        lookup = name,
                        why,
                        seconds = pause.as_secs(),
                        "answers nothing of use; it is left alone for a while"
                    );
                }
            }
            Some(Err(Trouble::Unreachable(why))) => {
                if let Some(pause) = self.patience().unreachable(Instant::now()) {
                    tracing::warn!(
                        lookup = name,
                        why,
                        seconds = pause.as_secs(),
                        "cannot be reached; it is left alone for a while"
                    );
                }
            }
        }
    }

    fn answered(&self, in_time: bool) {
        if self.patience().answered(in_time) {
            tracing::info!(lookup = &*self.name, "answers again");
        }
    }

    fn keep(&self, answers: impl Iterator<Item = (Arc<str>, Answer)>) {
        let mut late = self.late();
        for (key, answer) in answers {
            let row = match &answer {
                Answer::Found(row) => row.len(),
                Answer::Miss => 0,
                Answer::Failed => continue,
            };
            // An entry costs about this much beside its texts.
            let bytes = key.len() + row + 64;
            if late.bytes + bytes <= KEPT_BYTES_MAX {
                late.bytes += bytes;
                late.answers.push((key, answer));
            }
        }
        self.has_late.store(true, Ordering::Release);
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
