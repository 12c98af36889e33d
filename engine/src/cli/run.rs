//! `run`: the stream.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use logmon_dsl::program::{Mode, Program};
use tokio_util::sync::CancellationToken;

use super::{
    FileSystem, compile,
    place::{Place, fail},
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{self, Config},
    delivery::failpoint,
    error::Exit,
    http::{self, Phase, Status},
    metrics::Metrics,
    pipeline::{
        self, Pipeline,
        bundle::{BindError, World},
        observe::{EVERY, Observer},
        reload::Reloader,
    },
    repair::runtime,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Log lines as JSON
    #[arg(long)]
    log_json: bool,
    /// End when standard input closes: for a process that must not outlive the one that started it
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    log(arguments.log_json);
    if let Some(orders) = config::failpoints()
        && let Err(error) = failpoint::arm(&orders)
    {
        eprintln!("LOGMON_FAILPOINTS: {error}");
        return Exit::Usage;
    }
    match start(arguments) {
        Ok(running) => running.wait(arguments.stop_with_stdin),
        Err(exit) => exit,
    }
}

/// Lines on standard error; `RUST_LOG` chooses which.
pub(super) fn log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    // A second subscriber in one process (the demo after a failed start) is not worth an error.
    let _set = if json { lines.json().try_init() } else { lines.compact().try_init() };
}

fn start(arguments: &Arguments) -> Result<Running, Exit> {
    let (config, rules) = (arguments.place.config()?, arguments.place.rules());
    let program = compile(rules, Mode::Run)?;
    Running::start(config, program, rules)
}

/// A running engine.
pub(super) struct Running {
    runtime: tokio::runtime::Runtime,
    pipeline: Pipeline,
    status: Arc<Status>,
    observer: Arc<Observer>,
    cancel: CancellationToken,
    reloader: std::thread::JoinHandle<()>,
}

impl Running {
    /// Binds, asks the world, starts. Everything that is wrong is said on standard error.
    pub(super) fn start(config: Config, program: Program, entry: &Path) -> Result<Self, Exit> {
        let runtime = runtime().map_err(|trouble| fail(&trouble))?;
        let listen = config.http.listen;
        let status = Status::new(Metrics::new(), Arc::new(SystemClock::new()));
        let world =
            World::new(config, Arc::clone(&status), runtime.handle().clone(), incarnation());
        let bundle = world.bind(program, None).map_err(|errors| say(&errors))?;
        pipeline::check_sources(&world, &bundle).map_err(|errors| say(&errors))?;
        status.bundle(
            &bundle.hash,
            entry.to_owned(),
            Arc::clone(&bundle.plan),
            bundle.lookups.clone(),
        );
        tracing::info!(bundle = bundle.short(), rules = bundle.plan.rules.len(), "rules");
        let pipeline =
            Pipeline::start(Arc::clone(&world), bundle).map_err(|error| say(&[error]))?;
        let (crew, bundle) = (Arc::clone(&pipeline.crew), Arc::clone(&pipeline.bundle));
        let mut reloader = Reloader::new(Arc::clone(&world), crew, bundle, entry, &FileSystem);
        let cancel = CancellationToken::new();
        let observer = Arc::new(Observer::new(&pipeline));
        let address = serve(&runtime, listen, &status, &observer, &cancel)?;
        status.phase(Phase::Running);
        tracing::info!("listening on http://{address}");
        let stop = cancel.clone();
        let reloader = std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || reloader.run(&stop))
            .map_err(|error| {
                eprintln!("no thread for the reloader: {error}");
                Exit::World
            })?;
        Ok(Self { runtime, pipeline, status, observer, cancel, reloader })
    }

    /// Runs until a signal says stop or a thread fails.
    fn wait(self, stop_with_stdin: bool) -> Exit {
        let signaled = self.runtime.block_on(async {
            let mut failed = tokio::time::interval(Duration::from_millis(250));
            let stop = stop_signal(stop_with_stdin);
            tokio::pin!(stop);
            loop {
                tokio::select! {
                    () = &mut stop => return true,
                    _ = failed.tick() => if self.pipeline.has_failed() { return false; },
                }
            }
        });
        if !signaled {
            tracing::error!(
                "a thread ended that must not; what was not committed is read again after a restart"
            );
        }
        let done = self.stop();
        if signaled && done { Exit::Fine } else { Exit::World }
    }

    /// Drains, commits, ends. Returns whether everything that was read is settled.
    pub(super) fn stop(self) -> bool {
        tracing::info!("stopping: what was read is finished first");
        let Self { runtime, pipeline, observer, status, cancel, reloader } = self;
        status.phase(Phase::Stopping);
        let done = pipeline.shut_down();
        observer.look();
        cancel.cancel();
        let _panicked = reloader.join();
        runtime.shutdown_timeout(Duration::from_secs(2));
        if done {
            tracing::info!("stopped: everything that was read is settled and committed");
        } else {
            tracing::warn!("stopped in time, not in order: what was not settled is read again");
        }
        done
    }
}

/// Starts the pages, and the copying of books into metrics.
fn serve(
    runtime: &tokio::runtime::Runtime,
    listen: SocketAddr,
    status: &Arc<Status>,
    observer: &Arc<Observer>,
    cancel: &CancellationToken,
) -> Result<SocketAddr, Exit> {
    let listener = runtime.block_on(http::bind(listen)).map_err(|error| {
        eprintln!("{error}");
        Exit::World
    })?;
    let address = listener.local_addr().map_err(|error| {
        eprintln!("the listener has no address: {error}");
        Exit::World
    })?;
    runtime.spawn(http::serve(listener, Arc::clone(status), cancel.clone()));
    let (observer, cancel) = (Arc::clone(observer), cancel.clone());
    runtime.spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => observer.look(),
                () = cancel.cancelled() => return,
            }
        }
    });
    Ok(address)
}

fn say(errors: &[BindError]) -> Exit {
    for error in errors {
        eprintln!("{error}");
    }
    // What a person wrote wrong is said before what the world does wrong.
    if errors.iter().any(|error| matches!(error, BindError::Config(_))) {
        Exit::Usage
    } else {
        Exit::World
    }
}

/// A number that no earlier start of the engine had: the clock and the process id, mixed.
fn incarnation() -> u64 {
    let seed = format!("{}/{}", SystemClock::new().now(), std::process::id());
    xxhash_rust::xxh3::xxh3_64(seed.as_bytes())
}

/// Ends when the process is asked to stop.
async fn stop_signal(stop_with_stdin: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).expect("the kernel offers SIGTERM"),
        signal(SignalKind::interrupt()).expect("the kernel offers SIGINT"),
    );
    let closed = async {
        if !stop_with_stdin {
            return std::future::pending().await;
        }
        // A thread of its own: reading standard input cannot be canceled.
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _gone = sender.send(());
        });
        let _closed = receiver.await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = closed => {}
    }
}
