//! One flight a key: what one thread fetches, others wait for, and what is renewed is renewed once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use logmon_dsl::eval::Answer;

/// The keys under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    keys: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
    count: AtomicUsize,
}

/// The keys that one call fetches, until it has landed.
#[derive(Debug, Default)]
pub(super) struct Flight {
    answers: Mutex<Option<HashMap<Arc<str>, Answer>>>,
    landed: Condvar,
}

/// Who fetches a key.
pub(super) enum Whose {
    /// The caller, from now on.
    Mine,
    /// Somebody else, already.
    Theirs(Arc<Flight>),
    /// Nobody has to.
    Known(Answer),
}

/// Our own flight. Its keys have landed when it is dropped, also when its fetch panicked: then they failed.
#[derive(Debug)]
pub(super) struct Boarding {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    /// What is fetched.
    pub(super) keys: Vec<Arc<str>>,
    /// What came of it, in the order of the keys.
    pub(super) fetched: Vec<Answer>,
}

impl Flights {
    /// Takes the keys that nobody fetches yet. `known` is asked once more for each: what landed a moment ago is in the cache.
    pub(super) fn board<'k>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'k str>,
        known: impl Fn(&str) -> Option<Answer>,
    ) -> (Boarding, Vec<Whose>) {
        let flight = Arc::new(Flight::default());
        let mut boarding = Boarding {
            flights: Arc::clone(self),
            flight: Arc::clone(&flight),
            keys: Vec::new(),
            fetched: Vec::new(),
        };
        let mut list = lock(&self.keys);
        let whose = |key: &str| {
            // A flight enters its answers before it leaves the list, so what is in neither was never asked.
            if let Some(theirs) = list.get(key) {
                return Whose::Theirs(Arc::clone(theirs));
            }
            if let Some(answer) = known(key) {
                return Whose::Known(answer);
            }
            let key: Arc<str> = key.into();
            list.insert(Arc::clone(&key), Arc::clone(&flight));
            boarding.keys.push(key);
            Whose::Mine
        };
        let whose = keys.map(whose).collect();
        self.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        (boarding, whose)
    }

    /// How many keys are under way.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Flight {
    /// Waits until it has landed. It does in any case: its fetch is bounded by the lookup's timeout.
    pub(super) fn wait(&self, key: &str) -> Option<Answer> {
        let answers = lock(&self.answers);
        let landed = self.landed.wait_while(answers, |answers| answers.is_none());
        let landed = landed.unwrap_or_else(PoisonError::into_inner);
        landed.as_ref()?.get(key).cloned()
    }
}

impl Drop for Boarding {
    fn drop(&mut self) {
        let keys = self.keys.iter().map(Arc::clone);
        *lock(&self.flight.answers) = Some(keys.zip(self.fetched.drain(..)).collect());
        let mut list = lock(&self.flights.keys);
        for key in &self.keys {
            list.remove(key);
        }
        self.flights.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        self.flight.landed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
