//! Between an engine and a Kafka broker: requests and answers are told apart by their number in the protocol, and some get lost or come late.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use logmon_engine::delivery::intent::Note;

use super::{
    Door, End, Tally, connect, end,
    trace::{Trace, errors},
};
use crate::faults::seed::Dice;

/// Requests by their number.
pub(crate) const FETCH: i16 = 1;
pub(crate) const OFFSET_COMMIT: i16 = 8;
pub(crate) const OFFSET_FETCH: i16 = 9;
pub(crate) const JOIN_GROUP: i16 = 11;
pub(crate) const HEARTBEAT: i16 = 12;
pub(crate) const SYNC_GROUP: i16 = 14;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends before the broker hears of it.
    LoseRequest,
    /// The broker does it and answers; the connection ends before anybody hears.
    LoseAnswer,
    /// The answer, and all behind it on the same connection, comes so many milliseconds later.
    Late(u64),
}

/// To which requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) api: i16,
    /// Of a hundred of this kind.
    pub(crate) percent: u64,
    pub(crate) fault: Fault,
}

impl Rule {
    fn name(self) -> &'static str {
        match (self.api, self.fault) {
            (OFFSET_COMMIT, Fault::LoseRequest) => "an offset commit lost",
            (OFFSET_COMMIT, Fault::LoseAnswer) => "an offset commit's answer lost",
            (OFFSET_COMMIT, Fault::Late(_)) => "an offset commit's answer late",
            (FETCH, Fault::Late(_)) => "a fetch late",
            (FETCH, _) => "a fetch lost",
            (JOIN_GROUP | SYNC_GROUP | HEARTBEAT, Fault::Late(_)) => "a word of the group late",
            (JOIN_GROUP | SYNC_GROUP | HEARTBEAT, _) => "a word of the group lost",
            (_, Fault::Late(_)) => "another answer late",
            (_, _) => "another request lost",
        }
    }
}

/// A proxy in front of one broker, whose listener must send its clients here.
#[derive(Debug)]
pub(crate) struct KafkaProxy {
    door: Door,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `host:port` of the broker; set when it runs, for it must know our port first.
    target: Mutex<String>,
    state: Mutex<(Vec<Rule>, Dice)>,
    tally: Tally,
    trace: OnceLock<Arc<Trace>>,
}

impl KafkaProxy {
    /// A proxy that passes on to nobody yet.
    pub(crate) fn new(dice: Dice) -> Self {
        let shared = Arc::new(Shared {
            target: Mutex::default(),
            state: Mutex::new((Vec::new(), dice)),
            tally: Tally::default(),
            trace: OnceLock::new(),
        });
        let serving = Arc::clone(&shared);
        let door = Door::open(move |stream| serve(Arc::clone(&serving), stream));
        Self { door, shared }
    }

    /// Passes on to that address from now on.
    pub(crate) fn before(&self, target: &str) {
        target.clone_into(&mut lock(&self.shared.target));
    }

    /// The port that the broker must name to its clients.
    pub(crate) fn port(&self) -> u16 {
        self.door.port()
    }

    /// Where engines find it.
    pub(crate) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.door.port())
    }

    /// Tells of every commit from now on.
    pub(crate) fn tell(&self, trace: Arc<Trace>) {
        self.shared.trace.set(trace).expect("one listener");
    }

    /// What is done from now on.
    pub(crate) fn plan(&self, rules: &[Rule]) {
        lock(&self.shared.state).0 = rules.to_vec();
    }

    /// The door itself: shut, or its connections cut.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// What was done, and how often.
    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn choose(&self, api: i16) -> Option<Fault> {
        let mut state = lock(&self.state);
        let (rules, dice) = &mut *state;
        let rule =
            *rules.iter().filter(|rule| rule.api == api).find(|rule| dice.percent(rule.percent))?;
        drop(state);
        self.tally.add(rule.name());
        Some(rule.fault)
    }
}

/// The requests under way, by the number that an answer repeats: what their answers are to suffer, and the notes of commits.
type Pending = Arc<Mutex<BTreeMap<i32, (Option<Fault>, Vec<Note>)>>>;

async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let target = lock(&shared.target).clone();
    let Some(broker) = connect(&target).await else {
        end(&client, End::Reset);
        return;
    };
    // Whatever ends such a pair of connections ends it at once.
    end(&client, End::Reset);
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let pending = Pending::default();
    tokio::select! {
        _ = requests(&shared, from_client, to_broker, &pending) => {}
        _ = answers(&shared, from_broker, to_client, &pending) => {}
    }
}

async fn requests(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    pending: &Pending,
) -> io::Result<()> {
    loop {
        // Length, kind, version, number.
        let mut head = [0; 12];
        from.read_exact(&mut head).await?;
        let number =
            |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let api = i16::from_be_bytes([head[4], head[5]]);
        let fault = shared.choose(api);
        if fault == Some(Fault::LoseRequest) {
            return Ok(());
        }
        let rest = u64::from(number(0).unsigned_abs()).saturating_sub(8);
        if api == OFFSET_COMMIT {
            let mut body = Vec::new();
            (&mut from).take(rest).read_to_end(&mut body).await?;
            lock(pending).insert(number(8), (fault, Trace::notes(&body)));
            to.write_all(&head).await?;
            to.write_all(&body).await?;
            continue;
        }
        if fault.is_some() {
            lock(pending).insert(number(8), (fault, Vec::new()));
        }
        to.write_all(&head).await?;
        tokio::io::copy(&mut (&mut from).take(rest), &mut to).await?;
    }
}

async fn answers(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    pending: &Pending,
) -> io::Result<()> {
    loop {
        // Length, number.
        let mut head = [0; 8];
        from.read_exact(&mut head).await?;
        let number =
            |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (fault, notes) = lock(pending).remove(&number(4)).unwrap_or_default();
        match fault {
            Some(Fault::Late(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Some(Fault::LoseAnswer | Fault::LoseRequest) => return Ok(()),
            None => {}
        }
        let rest = u64::from(number(0).unsigned_abs()).saturating_sub(4);
        if let (Some(trace), false) = (shared.trace.get(), notes.is_empty()) {
            let mut body = Vec::new();
            (&mut from).take(rest).read_to_end(&mut body).await?;
            // Before it is passed on: the engine may answer with an insert at once.
            trace.answered(&notes, &errors(&body));
            to.write_all(&head).await?;
            to.write_all(&body).await?;
            continue;
        }
        to.write_all(&head).await?;
        tokio::io::copy(&mut (&mut from).take(rest), &mut to).await?;
    }
}
