//! Answers kept for a while, and one flight a key: what one thread fetches, others wait for.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::eval::Answer;
use moka::{Expiry, sync::Cache};

use crate::config;

/// A key that failed is not asked for again within a second: a back end in trouble is not hammered with
/// the same keys by every batch, and yet comes back quickly.
const FAILED_TTL: Duration = Duration::from_secs(1);

/// The cache in front of one lookup.
pub(super) struct AnswerCache {
    answers: Cache<Arc<str>, Entry>,
    lives: Lives,
    flights: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
    /// Entries of an older version are no longer answers, also those that land after the data were replaced.
    version: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    answer: Answer,
    version: u64,
}

/// The keys that one call fetches, until it has landed.
#[derive(Default)]
struct Flight {
    answers: Mutex<Option<HashMap<Arc<str>, Answer>>>,
    landed: Condvar,
}

#[derive(Clone, Copy)]
struct Lives {
    found: Duration,
    missed: Duration,
}

impl AnswerCache {
    pub(super) fn new(config: &config::Cache) -> Self {
        let lives = Lives { found: config.ttl.0, missed: config.negative_ttl.0 };
        Self {
            answers: Cache::builder().max_capacity(config.entries).expire_after(lives).build(),
            lives,
            flights: Mutex::default(),
            version: AtomicU64::new(0),
        }
    }

    /// Answers for distinct keys, in their order. `fetch` gets the keys that nobody has and nobody is fetching.
    pub(super) fn resolve(
        &self,
        keys: &[&str],
        fetch: impl FnOnce(&[&str]) -> Vec<Answer>,
    ) -> Vec<Answer> {
        let version = self.version();
        let mut answers: Vec<Option<Answer>> =
            keys.iter().map(|key| self.kept(key, version)).collect();
        let missing: Vec<usize> = (0..keys.len()).filter(|at| answers[*at].is_none()).collect();
        if !missing.is_empty() {
            self.fetch_missing(keys, &missing, &mut answers, version, fetch);
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Answer::Failed)).collect()
    }

    /// Counts the times the data were replaced.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// How long an answer is kept.
    pub(super) fn life(&self, answer: &Answer) -> Duration {
        self.lives.of(answer)
    }

    /// From now on no answer given before counts.
    pub(super) fn forget(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.answers.invalidate_all();
    }

    /// Takes answers that nobody waits for, in place of what was known.
    pub(super) fn learn(&self, answers: Vec<(Arc<str>, Answer)>) {
        let version = self.version();
        for (key, answer) in answers {
            self.answers.insert(key, Entry { answer, version });
        }
    }

    /// How many answers are kept, some milliseconds late.
    pub(super) fn entries(&self) -> u64 {
        self.answers.entry_count()
    }

    fn kept(&self, key: &str, version: u64) -> Option<Answer> {
        let entry = self.answers.get(key)?;
        (entry.version == version).then_some(entry.answer)
    }

    fn fetch_missing(
        &self,
        keys: &[&str],
        missing: &[usize],
        answers: &mut [Option<Answer>],
        version: u64,
        fetch: impl FnOnce(&[&str]) -> Vec<Answer>,
    ) {
        let own = Arc::new(Flight::default());
        let mut mine: Vec<(usize, Arc<str>)> = Vec::new();
        let mut theirs: Vec<(usize, Arc<Flight>)> = Vec::new();
        {
            let mut flights = lock(&self.flights);
            for &at in missing {
                // A flight enters its answers before it leaves the list, so what is in neither was never asked.
                if let Some(flight) = flights.get(keys[at]) {
                    theirs.push((at, Arc::clone(flight)));
                } else if let Some(answer) = self.kept(keys[at], version) {
                    answers[at] = Some(answer);
                } else {
                    let key: Arc<str> = keys[at].into();
                    flights.insert(Arc::clone(&key), Arc::clone(&own));
                    mine.push((at, key));
                }
            }
        }
        // Ours lands before we wait for others', so no two calls can wait for each other.
        if !mine.is_empty() {
            let mut landing =
                Landing { cache: self, flight: &own, keys: &mine, fetched: Vec::new() };
            let wanted: Vec<&str> = mine.iter().map(|(_, key)| &**key).collect();
            landing.fetched = fetch(&wanted);
            for ((at, key), answer) in mine.iter().zip(&landing.fetched) {
                let entry = Entry { answer: answer.clone(), version };
                self.answers.insert(Arc::clone(key), entry);
                answers[*at] = Some(answer.clone());
            }
        }
        for (at, flight) in theirs {
            answers[at] = flight.wait(keys[at]);
        }
    }
}

/// Ends a flight, also when its fetch panicked: then its keys failed.
struct Landing<'a> {
    cache: &'a AnswerCache,
    flight: &'a Flight,
    keys: &'a [(usize, Arc<str>)],
    fetched: Vec<Answer>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let keys = self.keys.iter().map(|(_, key)| Arc::clone(key));
        let landed = keys.zip(self.fetched.drain(..)).collect();
        *lock(&self.flight.answers) = Some(landed);
        let mut flights = lock(&self.cache.flights);
        for (_, key) in self.keys {
            flights.remove(key);
        }
        drop(flights);
        self.flight.landed.notify_all();
    }
}

impl Flight {
    /// Waits until it has landed. It does in any case: its fetch is bounded by the lookup's timeout.
    fn wait(&self, key: &str) -> Option<Answer> {
        let answers = lock(&self.answers);
        let landed = self.landed.wait_while(answers, |answers| answers.is_none());
        let landed = landed.unwrap_or_else(PoisonError::into_inner);
        landed.as_ref()?.get(key).cloned()
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

impl Expiry<Arc<str>, Entry> for Lives {
    fn expire_after_create(&self, _: &Arc<str>, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(self.of(&entry.answer))
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for AnswerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, atomic::AtomicUsize};

    use super::*;
    use crate::config::Wait;

    fn cache(ttl: Duration) -> AnswerCache {
        let wait = Wait(ttl);
        AnswerCache::new(&config::Cache { entries: 100, ttl: wait, negative_ttl: wait })
    }

    fn echo(keys: &[&str]) -> Vec<Answer> {
        keys.iter().map(|key| Answer::Found((*key).into())).collect()
    }

    #[test]
    fn only_keys_without_an_answer_are_fetched() {
        let cache = cache(Duration::from_mins(1));
        assert_eq!(cache.resolve(&["a", "b"], echo), echo(&["a", "b"]));
        let mut asked = Vec::new();
        let answers = cache.resolve(&["b", "c", "a"], |keys| {
            asked.extend(keys.iter().map(ToString::to_string));
            vec![Answer::Miss; keys.len()]
        });
        assert_eq!(asked, ["c"]);
        assert_eq!(answers[1], Answer::Miss);
        assert_eq!(answers[0], Answer::Found("b".into()));
    }

    #[test]
    fn answers_end_with_their_time_and_with_their_data() {
        let brief = cache(Duration::ZERO);
        brief.resolve(&["a"], echo);
        assert_eq!(brief.resolve(&["a"], |_| vec![Answer::Miss]), [Answer::Miss]);
        let long = cache(Duration::from_mins(1));
        long.resolve(&["a"], echo);
        long.forget();
        assert_eq!(long.resolve(&["a"], |_| vec![Answer::Miss]), [Answer::Miss]);
    }

    #[test]
    fn an_answer_fetched_before_a_reload_is_not_kept_after_it() {
        let cache = cache(Duration::from_mins(1));
        cache.resolve(&["a"], |keys| {
            cache.forget();
            echo(keys)
        });
        assert_eq!(cache.resolve(&["a"], |_| vec![Answer::Miss]), [Answer::Miss]);
    }

    #[test]
    fn one_flight_a_key() {
        let cache = cache(Duration::from_mins(1));
        let fetched = AtomicUsize::new(0);
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    let answers = cache.resolve(&["a", "b"], |keys| {
                        fetched.fetch_add(keys.len(), Ordering::SeqCst);
                        std::thread::yield_now();
                        echo(keys)
                    });
                    assert_eq!(answers, echo(&["a", "b"]));
                });
            }
        });
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
        assert!(lock(&cache.flights).is_empty());
    }

    #[test]
    fn a_fetch_that_panics_lands_as_failed() {
        let cache = cache(Duration::from_mins(1));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cache.resolve(&["a"], |_| panic!("the back end has a bug"))
        }));
        assert!(outcome.is_err());
        assert_eq!(cache.resolve(&["a"], echo), echo(&["a"]));
    }
}
