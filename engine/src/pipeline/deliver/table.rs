//! One block on its way into a table: tried until it is there, cut where the server refuses a row, and the refused rows buried.
//!
//! Invariant: every row of the block is either stored or handed to the dead letter before the books hear of it.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Courier, Hold, Waiting};
use crate::{
    delivery::unit,
    pipeline::{budget::Share, poison::Refused},
    sink::{
        clickhouse::{Block, Class, Endpoints, Rows, SinkError, Stick, codes},
        retry::Backoff,
    },
};

/// Rows of one block that may be refused one by one. More are no accident of a row: the table refuses what the rules make.
const REFUSED_MAX: usize = 1000;

/// So many times in a row a server may lack memory for a block before the block is cut.
const FULL_MAX: u32 = 3;

/// A sink that stands still asks again after at most a minute: whoever repaired something sees it work.
const STOPPED: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_mins(1) };

/// A server that has too much to do gets a longer first wait.
const BUSY: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(30) };

/// What became of a piece of a block.
enum Outcome {
    Stored,
    /// The server does not take it as it is: smaller pieces may be taken.
    Cut(SinkError),
}

impl Courier {
    /// Stores a block. Returns when each of its rows is stored or buried.
    pub(super) async fn store(
        &self,
        endpoints: &Endpoints,
        block: Block,
        token: String,
        held: &Hold,
        share: &mut Share,
    ) {
        let whole = 0..block.rows;
        let mut rows: Option<Arc<Rows>> = None;
        let mut readable = true;
        let mut refused: Vec<(usize, SinkError)> = Vec::new();
        let mut at = Stick::default();
        let mut left = vec![whole.clone()];
        while let Some(piece) = left.pop() {
            let (block, token) = match &rows {
                Some(rows) if piece != whole => {
                    (cut(rows, &piece).await, unit::piece(&token, &piece))
                }
                _ => (block.clone(), token.clone()),
            };
            let may_cut = readable && refused.len() < REFUSED_MAX;
            let error = match self.insert(endpoints, &block, &token, may_cut, &mut at).await {
                Outcome::Stored => {
                    held.release(piece);
                    continue;
                }
                Outcome::Cut(error) => error,
            };
            if rows.is_none() {
                rows = read(&block).await;
                readable = rows.is_some();
                share.resize(block.body.len() + block.raw_bytes);
            }
            if !readable {
                left.push(piece);
            } else if piece.len() == 1 {
                refused.push((piece.start, error));
            } else {
                let middle = piece.start + piece.len() / 2;
                left.push(middle..piece.end);
                left.push(piece.start..middle);
            }
        }
        if let Some(rows) = rows
            && !refused.is_empty()
        {
            self.bury(&rows, refused, held).await;
        }
    }

    /// Inserts a piece of a block until the server has it, or says that it must be cut.
    async fn insert(
        &self,
        endpoints: &Endpoints,
        block: &Block,
        token: &str,
        may_cut: bool,
        at: &mut Stick,
    ) -> Outcome {
        let (mut failures, mut full, mut refreshed) = (0, 0, false);
        loop {
            let started = Instant::now();
            let Err(mut error) = endpoints.insert(block, token, at).await else {
                let took = started.elapsed();
                self.pace.stored(took);
                self.metrics.pace(self.pace.size(), self.pace.stretch());
                self.metrics.confirmed(block.rows as u64, block.body.len() as u64, took);
                self.well();
                return Outcome::Stored;
            };
            self.metrics.refused(error.class.name(), error.code);
            let backoff = match error.class {
                Class::Bisect if may_cut && !self.is_last() => return Outcome::Cut(error),
                Class::Wait => {
                    match error.code {
                        Some(code) if codes::is_memory(code) => {
                            self.pace.too_large();
                            full += 1;
                            if full >= FULL_MAX && may_cut && block.rows > 1 {
                                return Outcome::Cut(error);
                            }
                        }
                        Some(code) if codes::is_parts(code) => self.pace.too_often(),
                        _ => {}
                    }
                    self.metrics.pace(self.pace.size(), self.pace.stretch());
                    BUSY
                }
                Class::Retry | Class::Resolve => Backoff::default(),
                Class::Refresh if !refreshed => {
                    refreshed = true;
                    self.post.changed.store(true, Ordering::Release);
                    error.class = Class::Retry;
                    Backoff::default()
                }
                Class::Refresh => {
                    error.sentence.push_str(
                        "; what is built from now on fits the table as it is now, this block does not: undo the change, or restart the engine, which builds it anew",
                    );
                    STOPPED
                }
                Class::Bisect => {
                    error.sentence.push_str(if self.is_last() {
                        "; dead letters have no second place to go"
                    } else {
                        "; so many rows of one block are refused that the rules or the table must change"
                    });
                    STOPPED
                }
                Class::Stop => STOPPED,
            };
            self.fails(error.class, error.code, &error.sentence);
            self.pause(&backoff, &mut failures, token).await;
        }
    }

    /// Whether what this sink refuses has no other place to go.
    fn is_last(&self) -> bool {
        self.post.office.is_served_by(&self.name)
    }

    /// Hands refused rows to the dead letter, which the books then wait for in their place.
    async fn bury(&self, rows: &Rows, refused: Vec<(usize, SinkError)>, held: &Hold) {
        let refused = refused
            .into_iter()
            .map(|(row, error)| Refused {
                waiting: Waiting { rows: 1, ..held.of(row).clone() },
                offset: rows.number("kafka_offset", row).and_then(|it| i64::try_from(it).ok()),
                emit_ix: rows.number("emit_ix", row).and_then(|it| u16::try_from(it).ok()),
                sink: Arc::clone(&self.name),
                bundle: Arc::clone(&held.bundle),
                reason: "refused",
                cause: error.sentence,
            })
            .collect();
        self.post.office.bury(refused).await;
    }
}

async fn read(block: &Block) -> Option<Arc<Rows>> {
    let block = block.clone();
    let read = tokio::task::spawn_blocking(move || Rows::read(&block).map(Arc::new));
    read.await.expect("reading a block's rows does not panic")
}

async fn cut(rows: &Arc<Rows>, piece: &Range<usize>) -> Block {
    let (rows, piece) = (Arc::clone(rows), piece.clone());
    let block = tokio::task::spawn_blocking(move || rows.cut(piece));
    block.await.expect("cutting a block does not panic")
}
