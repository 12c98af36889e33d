//! `demo`: everything on this machine, nothing configured, the real engine over believable logs.

mod engine;
mod events;
mod producer;
mod setup;
mod summary;
mod view;

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use self::{engine::Engine, producer::Producer, setup::Stage, summary::Summary, view::View};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// End after this many events and print a summary
    #[arg(long)]
    events: Option<u64>,
    /// Events a second; as fast as possible with --events, otherwise 2000
    #[arg(long)]
    rate: Option<u64>,
    /// Partitions of the topic
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// With --events: print the summary as one JSON object in the last line
    #[arg(long)]
    json: bool,
    /// The rules to run; rules/prod.rules of this folder, or a copy of the ones we ship, if left out
    #[arg(long)]
    rules: Option<std::path::PathBuf>,
}

/// How often the view is drawn.
const DRAW: Duration = Duration::from_millis(500);

/// How often a line is printed where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// Without a word from `--rate`.
const RATE: u64 = 2_000;

/// How long the engine may take to settle the last events.
const SETTLE: Duration = Duration::from_mins(2);

/// The same after Ctrl-C: a person waits.
const HURRY: Duration = Duration::from_secs(10);

pub(super) fn demo(arguments: &Arguments) -> Exit {
    match run(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("{error:#}");
            Exit::World
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let stop = stop_flag()?;
    let stage = Stage::set(arguments.partitions, arguments.rules.as_deref())?;
    let engine = Engine::start(&stage)?;
    let started = Instant::now();
    eprintln!(
        "\n  rules        {}   edit them: they take effect at once\n  engine       {}   /metrics /api/status /api/rules\n  clickhouse   {}   user {} password {}   SELECT … FROM {}.logs\n  kafka        {}   topic {}\n",
        stage.rules.display(),
        engine.url(),
        stage.clickhouse.url(),
        stage.clickhouse.user(),
        stage.clickhouse.password(),
        stage.database,
        stage.kafka.brokers(),
        stage.topic,
    );
    let rate = arguments.rate.or(arguments.events.is_none().then_some(RATE));
    let producer = Producer::start(&stage, arguments.events, rate)?;
    let terminal = std::io::stdout().is_terminal() && !arguments.json;
    let mut view = View::new(terminal);
    let mut shown = Instant::now();
    let mut settling = None;
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(Duration::from_millis(50));
        engine.check()?;
        let status = engine.status()?;
        if shown.elapsed() >= if terminal { DRAW } else { LINE } {
            view.draw(&stage, &engine, &status, producer.produced())?;
            shown = Instant::now();
        }
        let settled = status.read >= producer.produced() && status.open == 0;
        if producer.is_done()
            && (settled || settling.get_or_insert_with(Instant::now).elapsed() > SETTLE)
        {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let produced = producer.stop();
    view.end();
    settle(&engine, produced, if arguments.events.is_some() { SETTLE } else { HURRY })?;
    let summary = Summary::take(&stage, engine, seconds)?;
    let balances = summary.balances();
    if arguments.json && arguments.events.is_some() {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{summary}");
    }
    Ok(if balances { Exit::Fine } else { Exit::World })
}

/// Waits until every event has its fate, at most that long.
fn settle(engine: &Engine, produced: u64, longest: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let status = engine.status()?;
        if (status.read >= produced && status.open == 0) || started.elapsed() > longest {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Set by SIGINT and SIGTERM.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                set.store(true, Ordering::Release);
            }
        });
    })?;
    Ok(flag)
}
