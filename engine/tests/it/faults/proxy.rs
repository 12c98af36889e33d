//! What stands between an engine and a server and does harm: connections that are cut at a place of the protocol, answers that never come.

pub(crate) mod clickhouse;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod lie;
pub(crate) mod trace;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// One thread drives all proxies of the test binary.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("proxies")
        .enable_all()
        .build()
        .expect("a thread for proxies")
});

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// FIN: nothing more will come.
    Close,
    /// RST: it breaks.
    Reset,
}

/// Ends a connection in that way.
fn end(stream: &TcpStream, how: End) {
    if how == End::Reset {
        // A socket that is gone cannot be reset any more, which is as good.
        stream.set_zero_linger().ok();
    }
}

/// A port that passes on to a server, until it is told to do something else.
#[derive(Debug)]
pub(crate) struct Door {
    port: u16,
    shut: CancellationToken,
    open: watch::Sender<bool>,
    /// Everybody's connections break when this changes.
    cut: watch::Sender<u64>,
}

/// What a connection may wait for beside its own work.
#[derive(Debug, Clone)]
pub(crate) struct Fuse {
    shut: CancellationToken,
    cut: watch::Receiver<u64>,
}

impl Fuse {
    /// Returns when the connection must break.
    async fn blown(&mut self) {
        tokio::select! {
            () = self.shut.cancelled() => {}
            changed = self.cut.changed() => drop(changed),
        }
    }
}

impl Door {
    /// Listens on a free loopback port; every connection is served by `serve`.
    pub(crate) fn open<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = RUNTIME
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a loopback port is always to be had");
        let port = listener.local_addr().expect("it is bound").port();
        let shut = CancellationToken::new();
        let (open, is_open) = watch::channel(true);
        let (cut, is_cut) = watch::channel(0);
        let (ended, fuse) = (shut.clone(), Fuse { shut: shut.clone(), cut: is_cut });
        RUNTIME.spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = ended.cancelled() => return,
                };
                let Ok((stream, _)) = stream else { continue };
                if !*is_open.borrow() {
                    end(&stream, End::Reset);
                    continue;
                }
                stream.set_nodelay(true).ok();
                let mut fuse = fuse.clone();
                // What happened before this connection came is not for it.
                fuse.cut.mark_unchanged();
                let work = serve(stream);
                tokio::spawn(async move {
                    tokio::select! {
                        () = work => {}
                        () = fuse.blown() => {}
                    }
                });
            }
        });
        Self { port, shut, open, cut }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections there are.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// From now on connections are refused, or taken again; those there are break.
    pub(crate) fn close(&self, closed: bool) {
        self.open.send_replace(!closed);
        if closed {
            self.cut();
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut.cancel();
    }
}

/// How often each thing was done.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    pub(crate) fn add(&self, what: &'static str) {
        *self.lock().entry(what).or_default() += 1;
    }

    /// All of it.
    pub(crate) fn read(&self) -> BTreeMap<&'static str, u64> {
        self.lock().clone()
    }

    /// Everything together.
    pub(crate) fn sum(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that was killed a moment ago is asked again this often.
const CONNECT_EVERY: Duration = Duration::from_millis(20);

/// Connects to the server behind a door; `None` if it does not listen.
async fn connect(target: &str) -> Option<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_EVERY * 100, TcpStream::connect(target)).await;
    let stream = stream.ok()?.ok()?;
    stream.set_nodelay(true).ok();
    Some(stream)
}
