//! Between an engine and a ClickHouse: inserts are cut within their body, answers get lost, and the server's memory of tokens fails.
//!
//! One connection of the engine is one connection to the server, and dies with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    Door, End, Tally, connect, end,
    http::{Head, Rest, answer, pass, some, swallow},
    lie::Lie,
    trace::Trace,
};
use crate::faults::seed::Dice;

/// What is done to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// So many percent of the body arrive, then both connections end.
    CutBody(u64, End),
    /// The same with the body sent in chunks, and no last one.
    CutChunks(u64, End),
    /// So many percent of the body arrive, then only our sending side ends.
    HalfClose(u64),
    /// The body arrives in small slices.
    Slices,
    /// The server stores the rows and answers; nobody hears it.
    LoseAnswer(End),
    /// The connection ends right after the body: the server is still at work.
    HangUp(End),
    /// The answer is held back so long, in milliseconds, and never comes.
    Blackhole(u64),
    /// The answer comes so much later, in milliseconds.
    Late(u64),
    /// The server hears nothing, and this is answered.
    Lie(Lie),
    /// A crash between the entry in the server's memory of tokens and the rows: from now on the token counts as stored.
    TokenOnly,
    /// A crash between the rows and the entry: the rows are stored, and the token is not remembered.
    RowsOnly,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::CutBody(..) => "a body cut",
            Self::CutChunks(..) => "a chunked body cut",
            Self::HalfClose(_) => "a body half-closed",
            Self::Slices => "a body in slices",
            Self::LoseAnswer(_) => "an answer lost",
            Self::HangUp(_) => "a connection ended behind the body",
            Self::Blackhole(_) => "an answer that never comes",
            Self::Late(_) => "a late answer",
            Self::Lie(lie) => lie.name(),
            Self::TokenOnly => "a token without its rows",
            Self::RowsOnly => "rows without their token",
        }
    }
}

/// Which requests something is done to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// One of these.
    pub(crate) faults: Vec<Fault>,
    /// To so many inserts of a hundred.
    pub(crate) inserts: u64,
    /// To so many other requests of a hundred, as far as it fits them: their answers get lost or come late.
    pub(crate) queries: u64,
}

/// A proxy in front of one server.
#[derive(Debug)]
pub(crate) struct ClickHouseProxy {
    door: Door,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `host:port` of the server.
    target: String,
    state: Mutex<State>,
    tally: Tally,
    trace: OnceLock<Arc<Trace>>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    /// The one table whose inserts are meant.
    only: Option<String>,
    dice: Dice,
    /// Tokens that the server seems to remember without having their rows.
    ghosts: BTreeSet<String>,
    /// How often each token was sent.
    tries: BTreeMap<String, u32>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        let State { plan, only, dice, tries, .. } = &mut *state;
        let fault = if let Some(token) = &request.token {
            *tries.entry(token.clone()).or_default() += 1;
            if only.as_ref().is_some_and(|table| !request.statement.contains(table)) {
                return None;
            }
            if plan.faults.is_empty() || !dice.percent(plan.inserts) {
                return None;
            }
            dice.pick(&plan.faults)
        } else {
            if !dice.percent(plan.queries) {
                return None;
            }
            dice.pick(&[Fault::LoseAnswer(End::Reset), Fault::HangUp(End::Close), Fault::Late(300)])
        };
        drop(state);
        self.tally.add(fault.name());
        Some(fault)
    }
}

impl ClickHouseProxy {
    /// In front of the server with that URL.
    pub(crate) fn before(url: &str, dice: Dice) -> Self {
        let target = url.strip_prefix("http://").expect("a plain URL").to_owned();
        let state = State {
            plan: Plan::default(),
            only: None,
            dice,
            ghosts: BTreeSet::new(),
            tries: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(state),
            tally: Tally::default(),
            trace: OnceLock::new(),
        });
        let serving = Arc::clone(&shared);
        let door = Door::open(move |stream| serve(Arc::clone(&serving), stream));
        Self { door, shared }
    }

    /// Where engines find it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.door.port())
    }

    /// Tells of every insert from now on.
    pub(crate) fn tell(&self, trace: Arc<Trace>) {
        self.shared.trace.set(trace).expect("one listener");
    }

    /// What is done from now on.
    pub(crate) fn plan(&self, plan: Plan) {
        let mut state = self.shared.state();
        (state.plan, state.only) = (plan, None);
    }

    /// What is done from now on, to inserts into that table alone.
    pub(crate) fn plan_for(&self, table: &str, plan: Plan) {
        let mut state = self.shared.state();
        (state.plan, state.only) = (plan, Some(format!("`{table}`")));
    }

    /// Nothing more is done; tokens that were made ghosts stay ghosts.
    pub(crate) fn peace(&self) {
        self.plan(Plan::default());
    }

    /// The door itself: shut, or its connections cut.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// What was done, and how often.
    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// How many inserts came more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.shared.state().tries.values().filter(|tries| **tries > 1).count()
    }
}

/// A request, as far as it matters here.
struct Request {
    head: Head,
    length: usize,
    /// The token of an insert.
    token: Option<String>,
    /// What the URL says is to be done.
    statement: String,
}

impl Request {
    fn new(head: Head) -> Self {
        let line = head.line();
        let insert = line.contains("query=INSERT");
        let parameter = |name: &str| {
            let (_, behind) = line.split_once(&format!("{name}="))?;
            let end = behind.find(['&', ' ']).unwrap_or(behind.len());
            let text = percent_encoding::percent_decode_str(&behind[..end]);
            Some(text.decode_utf8_lossy().into_owned())
        };
        let token = parameter("insert_deduplication_token").or_else(|| parameter("query_id"));
        let length = head.length().unwrap_or(0);
        let statement = parameter("query").unwrap_or_default();
        Self { token: token.filter(|_| insert), length, head, statement }
    }
}

async fn serve(shared: Arc<Shared>, mut engine: TcpStream) {
    let Some(server) = connect(&shared.target).await else {
        end(&engine, End::Reset);
        return;
    };
    let mut server = server;
    let (mut up, mut down) = (Rest::default(), Rest::default());
    loop {
        // A server that dies takes the engine's waiting connection along.
        let head = tokio::select! {
            head = Head::read(&mut engine, &mut up) => head,
            () = gone(&server) => return end(&engine, End::Reset),
        };
        let Ok(Some(head)) = head else { return };
        let request = Request::new(head);
        if let (Some(trace), Some(token)) = (shared.trace.get(), &request.token) {
            trace.insert(token);
        }
        let fault = shared.choose(&request);
        let way = Way { shared: &shared, up: &mut up, down: &mut down, request };
        match way.go(&mut engine, &mut server, fault).await {
            Ok(After::GoOn) => {}
            Ok(After::End(how)) => {
                end(&engine, how);
                end(&server, how);
                return;
            }
            Ok(After::Leave(how)) => {
                end(&engine, how);
                drop(engine);
                // The server goes on with what it has, and answers to nobody.
                answer(&mut server, &mut down).await.ok();
                return;
            }
            Err(_) => {
                end(&engine, End::Reset);
                return;
            }
        }
    }
}

/// Returns when the server has hung up.
async fn gone(server: &TcpStream) {
    let mut byte = [0; 1];
    while !matches!(server.peek(&mut byte).await, Ok(0) | Err(_)) {
        // Bytes that nobody asked for; they stay, so there is nothing more to learn here.
        std::future::pending::<()>().await;
    }
}

/// What happens to a pair of connections after a request.
enum After {
    GoOn,
    End(End),
    /// Only the engine's side ends.
    Leave(End),
}

/// One request on its way.
struct Way<'a> {
    shared: &'a Shared,
    up: &'a mut Rest,
    down: &'a mut Rest,
    request: Request,
}

impl Way<'_> {
    async fn go(
        mut self,
        engine: &mut TcpStream,
        server: &mut TcpStream,
        fault: Option<Fault>,
    ) -> io::Result<After> {
        let ghost = self.request.token.as_ref().is_some_and(|it| self.is_ghost(it));
        if ghost && fault.is_none() {
            swallow(engine, self.up, self.request.length).await?;
            engine.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(After::GoOn);
        }
        let part = |percent: u64| self.request.length * percent as usize / 100;
        match fault {
            None => {
                self.all(engine, server).await?;
                self.reply(engine, server).await
            }
            Some(Fault::CutBody(percent, how)) => {
                let part = part(percent);
                server.write_all(&self.request.head.bytes).await?;
                pass(engine, self.up, server, part).await?;
                Ok(After::End(how))
            }
            Some(Fault::CutChunks(percent, how)) => {
                let part = part(percent);
                self.chunks(engine, server, part).await?;
                Ok(After::End(how))
            }
            Some(Fault::HalfClose(percent)) => {
                let part = part(percent);
                server.write_all(&self.request.head.bytes).await?;
                pass(engine, self.up, server, part).await?;
                server.shutdown().await?;
                if let Ok(Some(bytes)) = answer(server, self.down).await {
                    engine.write_all(&bytes).await?;
                }
                Ok(After::End(End::Close))
            }
            Some(Fault::Slices) => {
                server.write_all(&self.request.head.bytes).await?;
                // Twenty slices whatever the size: more would only take longer.
                let slice = (self.request.length / 20).max(1);
                let mut left = self.request.length;
                while left > 0 {
                    let size = slice.min(left);
                    pass(engine, self.up, server, size).await?;
                    left -= size;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                self.reply(engine, server).await
            }
            Some(Fault::LoseAnswer(how)) => {
                self.all(engine, server).await?;
                answer(server, self.down).await?;
                Ok(After::End(how))
            }
            Some(Fault::HangUp(how)) => {
                self.all(engine, server).await?;
                Ok(After::Leave(how))
            }
            Some(Fault::Blackhole(millis)) => {
                self.all(engine, server).await?;
                answer(server, self.down).await?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(After::End(End::Reset))
            }
            Some(Fault::Late(millis)) => {
                self.all(engine, server).await?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.reply(engine, server).await
            }
            Some(Fault::Lie(lie)) => {
                swallow(engine, self.up, self.request.length).await?;
                engine.write_all(&lie.bytes()).await?;
                if let Some(more) = lie.more() {
                    // Until the other side has had enough.
                    while engine.write_all(&more).await.is_ok() {}
                }
                Ok(if lie.keeps() { After::GoOn } else { After::End(End::Close) })
            }
            Some(Fault::TokenOnly) => {
                if let Some(token) = &self.request.token {
                    self.shared.state().ghosts.insert(token.clone());
                }
                swallow(engine, self.up, self.request.length).await?;
                Ok(After::End(End::Reset))
            }
            Some(Fault::RowsOnly) => {
                if !ghost {
                    self.forget_token();
                    self.all(engine, server).await?;
                    answer(server, self.down).await?;
                }
                Ok(After::End(End::Reset))
            }
        }
    }

    fn is_ghost(&self, token: &str) -> bool {
        self.shared.state().ghosts.contains(token)
    }

    /// The whole request.
    async fn all(&mut self, engine: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        server.write_all(&self.request.head.bytes).await?;
        pass(engine, self.up, server, self.request.length).await
    }

    async fn reply(&mut self, engine: &mut TcpStream, server: &mut TcpStream) -> io::Result<After> {
        match answer(server, self.down).await? {
            Some(bytes) => {
                engine.write_all(&bytes).await?;
                Ok(After::GoOn)
            }
            None => Ok(After::End(End::Reset)),
        }
    }

    /// So many bytes of the body in chunks.
    async fn chunks(
        &mut self,
        engine: &mut TcpStream,
        server: &mut TcpStream,
        length: usize,
    ) -> io::Result<()> {
        let head = String::from_utf8_lossy(&self.request.head.bytes).into_owned();
        let head: String = head
            .split_inclusive("\r\n")
            .map(|line| {
                let is_length = line.to_ascii_lowercase().starts_with("content-length:");
                if is_length { "Transfer-Encoding: chunked\r\n" } else { line }
            })
            .collect();
        server.write_all(head.as_bytes()).await?;
        let mut left = length;
        while left > 0 {
            let bytes = some(engine, self.up, left.min(64 << 10)).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= bytes.len();
            server.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
            server.write_all(&bytes).await?;
            server.write_all(b"\r\n").await?;
        }
        Ok(())
    }

    /// The server is to remember the rows under another name than the one they will be asked for.
    fn forget_token(&mut self) {
        let head = String::from_utf8_lossy(&self.request.head.bytes).into_owned();
        let fresh = format!("insert_deduplication_token=forgotten-{}-", self.shared.tally.sum());
        self.request.head.bytes =
            head.replacen("insert_deduplication_token=", &fresh, 1).into_bytes();
    }
}
