//! The servers of one sink: which of them gets the next insert, and which is left alone for a while.
//!
//! Invariant: a block whose outcome is unknown is tried again where it was tried, since only that server knows whether it has it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    block::Block,
    errors::{Class, SinkError},
    http::Client,
    insert::Inserter,
};

/// How long a server is left alone after its first failure; twice as long after each further one.
const COOL: Duration = Duration::from_secs(1);
/// No server is left alone for longer.
const COOL_MAX: Duration = Duration::from_secs(30);
/// After so many tries with an unknown outcome another server is better than none: the first one is gone.
const STICK_MAX: u32 = 8;

/// Some servers, which hold the same table or a part of it each.
#[derive(Debug)]
pub struct Endpoints {
    inserters: Vec<Inserter>,
    health: Mutex<Vec<Health>>,
}

/// How a server did lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Health {
    /// Failures since the last success.
    failures: u32,
    /// Left alone until then.
    until: Option<Instant>,
    /// Inserts under way.
    busy: u32,
    /// What an insert takes, smoothed, in seconds.
    seconds: f64,
}

impl Health {
    /// Which of two servers is better: one that is not left alone, has less to do, and is faster.
    fn score(&self, now: Instant) -> (bool, u32, f64) {
        let cooling = self.until.is_some_and(|until| until > now);
        (cooling, if cooling { self.failures } else { self.busy }, self.seconds)
    }

    fn note(&mut self, outcome: Result<Duration, Class>, now: Instant) {
        match outcome {
            Ok(took) => {
                self.failures = 0;
                self.until = None;
                self.seconds += (took.as_secs_f64() - self.seconds) / 8.0;
            }
            // What is wrong with a row says nothing about the server.
            Err(Class::Bisect) => {}
            Err(_) => {
                let cool = COOL.saturating_mul(1 << self.failures.min(5)).min(COOL_MAX);
                self.failures = self.failures.saturating_add(1);
                self.until = Some(now + cool);
            }
        }
    }
}

/// Where a block is tried, and how often it was tried there without an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stick {
    at: Option<usize>,
    unknown: u32,
}

impl Endpoints {
    /// These servers; at least one.
    pub fn new(clients: Vec<Arc<Client>>) -> Self {
        assert!(!clients.is_empty(), "a sink has a server");
        let health = Mutex::new(vec![Health::default(); clients.len()]);
        Self { inserters: clients.into_iter().map(Inserter::new).collect(), health }
    }

    /// The clients, in the order of the configuration.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.inserters.iter().map(Inserter::client)
    }

    /// Tries once to store a block: where the block was tried before if it may be there, else wherever it is most welcome.
    pub async fn insert(
        &self,
        block: &Block,
        token: &str,
        stick: &mut Stick,
    ) -> Result<(), SinkError> {
        let now = Instant::now();
        let at = {
            let mut health = self.lock();
            let at = stick.at.unwrap_or_else(|| best(&health, now));
            health[at].busy += 1;
            at
        };
        let busy = Busy { endpoints: self, at };
        let outcome = self.inserters[at].insert(block, token).await;
        drop(busy);
        let class = outcome.as_ref().map(|()| now.elapsed()).map_err(|error| error.class);
        self.lock()[at].note(class, Instant::now());
        // What was unknown once stays so until the server that knows has answered, or was waited for long enough.
        let unsure = class == Err(Class::Resolve) || stick.at.is_some();
        *stick = if class.is_ok() || !unsure || stick.unknown >= STICK_MAX {
            Stick::default()
        } else {
            Stick { at: Some(at), unknown: stick.unknown + 1 }
        };
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Health>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an insert, also one that is given up halfway.
struct Busy<'a> {
    endpoints: &'a Endpoints,
    at: usize,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let health = &mut self.endpoints.lock()[self.at];
        health.busy = health.busy.saturating_sub(1);
    }
}

/// The most welcoming server; the first of several equal ones.
fn best(health: &[Health], now: Instant) -> usize {
    let mut best = 0;
    for at in 1..health.len() {
        if health[at].score(now) < health[best].score(now) {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_healthy_and_the_idle_come_first() {
        let now = Instant::now();
        let mut health = [Health::default(); 3];
        assert_eq!(best(&health, now), 0);
        health[0].busy = 1;
        assert_eq!(best(&health, now), 1);
        health[1].note(Err(Class::Retry), now);
        assert_eq!(best(&health, now), 2);
        health[2].note(Ok(Duration::from_secs(4)), now);
        health[0].note(Ok(Duration::from_secs(1)), now);
        health[0].busy = 0;
        assert_eq!(best(&health, now), 0, "the faster one");
        assert_eq!(best(&health, now + COOL), 1, "it may try again");
        health[1].note(Err(Class::Retry), now);
        assert_ne!(best(&health, now + COOL), 1, "left alone for twice as long");
        for one in &mut health {
            one.note(Err(Class::Retry), now);
        }
        assert_eq!(best(&health, now), 0, "all are ill: the least ill one");
        health[2].note(Err(Class::Bisect), now);
        assert_eq!(health[2].failures, 1, "a row is no fault of the server");
    }
}
