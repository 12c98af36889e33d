//! A worker's desks: one for the rules that run, and one for each earlier bundle whose ranges are not done.
//!
//! Invariant: the batches of a range are worked on under one bundle, whatever is published meanwhile.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use crossbeam_channel::RecvTimeoutError;

use super::{
    bundle::{Bundle, World},
    crew::Inbox,
    exact::{Tag, growing::Growing},
    lanes::{Lanes, Parcel},
    worker::{Desk, Job},
};

/// The longest sleep without a look at the bundle: bounds how long an idle lane keeps old rules.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until told to stop.
pub fn work(world: &Arc<World>, bundle: &ArcSwap<Bundle>, inbox: &Inbox) {
    let mut desks = Desks {
        world,
        published: bundle,
        main: Desk::new(Arc::clone(world), bundle.load_full(), 0),
        aside: Vec::new(),
        growing: HashMap::new(),
        numbers: 1,
    };
    loop {
        let wait = desks
            .main
            .next_due()
            .map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        let job = crossbeam_channel::select! {
            recv(inbox.own) -> job => job.map_err(|_| RecvTimeoutError::Disconnected),
            recv(inbox.any) -> job => job.map_err(|_| RecvTimeoutError::Disconnected),
            default(wait) => Err(RecvTimeoutError::Timeout),
        };
        // Where ranges pin their rules, a desk goes over to new ones with the first range that has them.
        if !desks.main.bundle.is_exact() {
            desks.look();
        }
        match job {
            Ok(Job::Batch { lanes, parcel }) => desks.batch(&lanes, *parcel),
            Ok(Job::End { lanes, tag }) => desks.end(&lanes, &tag),
            Ok(Job::Flush) => desks.close_all(),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => {
                desks.close_all();
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        desks.main.close_due(now);
        for desk in &mut desks.aside {
            desk.close_due(now);
        }
    }
}

struct Desks<'a> {
    world: &'a Arc<World>,
    published: &'a ArcSwap<Bundle>,
    main: Desk,
    /// For ranges under other rules: those of an earlier owner, or from before a reload.
    aside: Vec<Desk>,
    /// The blocks of ranges that grow, by the range's number.
    growing: HashMap<u64, Growing>,
    /// Counts desks.
    numbers: u32,
}

impl Desks<'_> {
    /// Goes over to what was published.
    fn look(&mut self) {
        let now = self.published.load();
        if !Arc::ptr_eq(&now, &self.main.bundle) {
            self.numbers += 1;
            self.main.take(Arc::clone(&now), self.numbers);
        }
    }

    fn batch(&mut self, lanes: &Arc<Lanes>, parcel: Parcel) {
        let Some((bundle, tag)) = parcel.exact.clone() else {
            self.look();
            return self.main.batch(lanes, parcel);
        };
        let growing = tag.map(|tag| {
            self.growing.remove(&tag.id).unwrap_or_else(|| Growing::new(self.world, &tag))
        });
        let desk = self.desk(&bundle);
        desk.outlets.range = growing;
        desk.batch(lanes, parcel);
        if let Some(mut growing) = desk.outlets.range.take() {
            growing.weigh();
            self.growing.insert(growing.tag().id, growing);
        }
    }

    fn desk(&mut self, bundle: &Arc<Bundle>) -> &mut Desk {
        if Arc::ptr_eq(&self.main.bundle, bundle) {
            return &mut self.main;
        }
        if Arc::ptr_eq(&self.published.load(), bundle) {
            self.look();
            return &mut self.main;
        }
        let known = self.aside.iter().position(|desk| Arc::ptr_eq(&desk.bundle, bundle));
        let at = known.unwrap_or_else(|| {
            self.numbers += 1;
            let desk = Desk::new(Arc::clone(self.world), Arc::clone(bundle), self.numbers);
            self.aside.push(desk);
            self.aside.len() - 1
        });
        &mut self.aside[at]
    }

    /// Hands a range's blocks over.
    fn end(&mut self, lanes: &Lanes, tag: &Arc<Tag>) {
        let growing = self.growing.remove(&tag.id).unwrap_or_else(|| Growing::new(self.world, tag));
        let (tag, made, share) = growing.finish();
        lanes.made(Arc::clone(&tag), made, share);
        let in_use = |bundle: &Arc<Bundle>| {
            self.growing.values().any(|growing| Arc::ptr_eq(&growing.tag().bundle, bundle))
        };
        let done = self
            .aside
            .iter()
            .position(|desk| Arc::ptr_eq(&desk.bundle, &tag.bundle) && !in_use(&desk.bundle));
        if let Some(at) = done {
            let desk = self.aside.swap_remove(at);
            self.main.absorb(desk);
        }
    }

    fn close_all(&mut self) {
        self.main.close_all();
        for desk in &mut self.aside {
            desk.close_all();
        }
    }
}
