//! Answers kept for a while: bounded in bytes, fetched once however many ask, renewed before anybody has to wait.
//!
//! Invariant: what is held stays below the bound, whatever keys events bring.

mod flights;
mod rate;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::eval::Answer;
use moka::{Expiry, notification::RemovalCause, sync::Cache};

use crate::config;
use flights::{Boarding, Flights, Whose};
use rate::Rate;

/// A key that failed is not asked for again within a second: a back end in trouble is not hammered with
/// the same keys by every batch, and yet comes back quickly.
const FAILED_TTL: Duration = Duration::from_secs(1);

/// What an answer costs beside its key and its row, with some room: the cache's own books.
const ENTRY_BYTES: usize = 320;

/// The cache in front of one lookup.
pub(super) struct AnswerCache {
    answers: Cache<Arc<str>, Entry>,
    lives: Lives,
    flights: Arc<Flights>,
    rate: Rate,
    /// Entries of an older version are no longer answers, also those that land after the data were replaced.
    version: AtomicU64,
    evicted: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Entry {
    answer: Answer,
    version: u64,
    /// From then on it is given only while it is being renewed.
    fresh_until: Instant,
    /// From then on it is gone.
    until: Instant,
}

/// What the cache gives for the keys of a batch.
pub(super) struct Resolved {
    /// One a key, in their order.
    pub(super) answers: Vec<Answer>,
    /// How many of them were not there, and so were fetched where the back end would ask.
    pub(super) fetched: usize,
    /// How many of them are older than they should be.
    pub(super) stale: usize,
    /// How many of them were not asked for, because that would have been too many a second.
    pub(super) refused: usize,
    /// The old ones that nobody renews yet.
    pub(super) renewal: Option<Renewal>,
}

/// Keys whose answers are renewed while batches go on with the old ones.
pub(super) struct Renewal {
    boarding: Boarding,
    version: u64,
}

/// The two lives of answers that others may remember.
#[derive(Clone, Copy)]
pub(super) enum Life {
    Found,
    Missed,
}

#[derive(Clone, Copy)]
struct Lives {
    found: Duration,
    missed: Duration,
    stale: Duration,
}

/// An entry says itself when it ends.
struct Ends;

impl AnswerCache {
    pub(super) fn new(config: &config::Cache) -> Self {
        let lives =
            Lives { found: config.ttl.0, missed: config.negative_ttl.0, stale: config.stale.0 };
        let evicted = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evicted);
        let bytes = config.bytes.0.max(1);
        // An entry weighs at least its share, so that the same bound keeps bytes and entries.
        let share = bytes.div_ceil(config.entries.max(1)).min(u64::from(u32::MAX)) as u32;
        let mut builder = Cache::builder()
            .max_capacity(bytes)
            .weigher(move |key: &Arc<str>, entry: &Entry| weight(key, entry).max(share))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .expire_after(Ends);
        if let Some(idle) = config.idle {
            builder = builder.time_to_idle(idle.0);
        }
        Self {
            answers: builder.build(),
            lives,
            flights: Arc::default(),
            rate: Rate::new(config.rate, Instant::now()),
            version: AtomicU64::new(0),
            evicted,
        }
    }

    /// Answers for distinct keys, in their order. `fetch` gets the keys that nobody has and nobody is fetching; where the back end would not ask, they
    /// fail without it, and there is nothing to remember.
    pub(super) fn resolve(
        &self,
        keys: &[&str],
        would_ask: bool,
        fetch: impl FnOnce(&[&str]) -> Vec<Answer>,
    ) -> Resolved {
        let (version, now) = (self.version(), Instant::now());
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(keys.len());
        let (mut missing, mut old) = (Vec::new(), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            let entry = self.kept(key, version);
            match &entry {
                None => missing.push(at),
                Some(entry) if entry.fresh_until <= now => old.push(at),
                Some(_) => {}
            }
            answers.push(entry.map(|entry| entry.answer));
        }
        let (mut fetched, mut refused) = (missing.len(), 0);
        if would_ask && !missing.is_empty() {
            (fetched, refused) = self.fetch_missing(keys, &missing, &mut answers, version, fetch);
        }
        let renewal = self.renewal(old.iter().map(|at| keys[*at]), version);
        let answers = answers.into_iter().map(|answer| answer.unwrap_or(Answer::Failed)).collect();
        Resolved { answers, fetched, stale: old.len(), refused, renewal }
    }

    /// Counts the times the data were replaced.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// How long an answer is kept.
    pub(super) fn life(&self, life: Life) -> Duration {
        match life {
            Life::Found => self.lives.found,
            Life::Missed => self.lives.missed,
        }
    }

    /// From now on no answer given before counts.
    pub(super) fn forget(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.answers.invalidate_all();
    }

    /// Takes answers that nobody waits for, in place of what was known.
    pub(super) fn learn(&self, answers: Vec<(Arc<str>, Answer)>) {
        let (version, now) = (self.version(), Instant::now());
        for (key, answer) in answers {
            self.keep(key, answer, version, now);
        }
    }

    /// Fetches keys ahead of their first event.
    pub(super) fn warm(&self, keys: &[&str], fetch: impl FnOnce(&[&str]) -> Vec<Answer>) {
        let version = self.version();
        let missing: Vec<usize> =
            (0..keys.len()).filter(|at| self.kept(keys[*at], version).is_none()).collect();
        let mut answers = vec![None; keys.len()];
        self.fetch_missing(keys, &missing, &mut answers, version, fetch);
    }

    /// Takes what came of a renewal. Where it failed, the old answer goes on for a second before it is tried again.
    pub(super) fn renew(&self, renewal: Renewal, fetch: impl FnOnce(&[&str]) -> Vec<Answer>) {
        let Renewal { mut boarding, version } = renewal;
        let wanted: Vec<&str> = boarding.keys.iter().map(|key| &**key).collect();
        let allowed = self.rate.take(wanted.len(), Instant::now());
        let fetched = fetch(&wanted[..allowed]);
        let now = Instant::now();
        for (index, key) in boarding.keys.iter().enumerate() {
            match fetched.get(index) {
                Some(answer @ (Answer::Found(_) | Answer::Miss)) => {
                    self.keep(Arc::clone(key), answer.clone(), version, now);
                }
                Some(Answer::Failed) | None => {
                    if let Some(mut entry) = self.kept(key, version) {
                        entry.fresh_until = now + FAILED_TTL;
                        self.answers.insert(Arc::clone(key), entry);
                    }
                }
            }
        }
        boarding.fetched = fetched;
    }

    /// How many answers are kept, some milliseconds late.
    pub(super) fn entries(&self) -> u64 {
        self.answers.entry_count()
    }

    /// About how many bytes they take, some milliseconds late.
    pub(super) fn bytes(&self) -> u64 {
        self.answers.weighted_size()
    }

    /// How many keys are under way.
    pub(super) fn flights(&self) -> usize {
        self.flights.count()
    }

    /// How many answers had to go for others since the last time somebody asked.
    pub(super) fn take_evicted(&self) -> u64 {
        self.evicted.swap(0, Ordering::Relaxed)
    }

    fn kept(&self, key: &str, version: u64) -> Option<Entry> {
        self.answers.get(key).filter(|entry| entry.version == version)
    }

    fn keep(&self, key: Arc<str>, answer: Answer, version: u64, now: Instant) {
        let life = self.lives.of(&answer);
        let stale = match &answer {
            Answer::Found(_) | Answer::Miss if !life.is_zero() => self.lives.stale,
            Answer::Found(_) | Answer::Miss | Answer::Failed => Duration::ZERO,
        };
        let entry = Entry { answer, version, fresh_until: now + life, until: now + life + stale };
        self.answers.insert(key, entry);
    }

    /// The old answers that nobody renews yet.
    fn renewal<'k>(&self, old: impl Iterator<Item = &'k str>, version: u64) -> Option<Renewal> {
        let mut old = old.peekable();
        old.peek()?;
        let now = Instant::now();
        let renewed = |key: &str| {
            let entry = self.kept(key, version).filter(|entry| entry.fresh_until > now);
            entry.map(|entry| entry.answer)
        };
        let (boarding, _) = self.flights.board(old, renewed);
        (!boarding.keys.is_empty()).then_some(Renewal { boarding, version })
    }

    /// Returns how many keys were fetched, and how many were not because of the rate.
    fn fetch_missing(
        &self,
        keys: &[&str],
        missing: &[usize],
        answers: &mut [Option<Answer>],
        version: u64,
        fetch: impl FnOnce(&[&str]) -> Vec<Answer>,
    ) -> (usize, usize) {
        let known = |key: &str| self.kept(key, version).map(|entry| entry.answer);
        let (mut boarding, whose) = self.flights.board(missing.iter().map(|at| keys[*at]), known);
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for (at, whose) in missing.iter().zip(whose) {
            match whose {
                Whose::Mine => mine.push(*at),
                Whose::Theirs(flight) => theirs.push((*at, flight)),
                Whose::Known(answer) => answers[*at] = Some(answer),
            }
        }
        // Ours lands before we wait for others', so no two calls can wait for each other.
        let allowed = self.rate.take(mine.len(), Instant::now());
        if allowed > 0 {
            let wanted: Vec<&str> = boarding.keys[..allowed].iter().map(|key| &**key).collect();
            let fetched = fetch(&wanted);
            let now = Instant::now();
            for ((at, key), answer) in mine.iter().zip(&boarding.keys).zip(&fetched) {
                self.keep(Arc::clone(key), answer.clone(), version, now);
                answers[*at] = Some(answer.clone());
            }
            boarding.fetched = fetched;
        }
        drop(boarding);
        for (at, flight) in theirs {
            answers[at] = flight.wait(keys[at]);
        }
        (allowed, mine.len() - allowed)
    }
}

impl Lives {
    fn of(self, answer: &Answer) -> Duration {
        match answer {
            Answer::Found(_) => self.found,
            Answer::Miss => self.missed,
            Answer::Failed => FAILED_TTL.min(self.missed),
        }
    }
}

fn weight(key: &str, entry: &Entry) -> u32 {
    let row = match &entry.answer {
        Answer::Found(row) => row.weight(),
        Answer::Miss | Answer::Failed => 0,
    };
    u32::try_from(ENTRY_BYTES + key.len() + row).unwrap_or(u32::MAX)
}

impl Expiry<Arc<str>, Entry> for Ends {
    fn expire_after_create(&self, _: &Arc<str>, entry: &Entry, at: Instant) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(at))
    }

    fn expire_after_update(
        &self,
        key: &Arc<str>,
        entry: &Entry,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

impl fmt::Debug for AnswerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
