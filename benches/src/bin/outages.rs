//! What a lookup's service costs the stream when it is gone, hangs, is slow or lies: `cargo run --release -p logmon-benches --bin outages`.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use logmon_benches::{
    arguments::Arguments,
    events::events,
    figures::Figure,
    lookups::Clocked,
    machine::Machine,
    program::{bound_text, ten_rules, with_rules},
    report::{Table, publish, say},
    service::Service,
    stages::Desk,
};
use logmon_engine::{
    config::Config, lookup::LookupSet, metrics::Metrics, sink::clickhouse::Compression,
};
use serde::Serialize;

/// One rule for the program of the stages bench: who a user is.
const RULES: &str = r"
lookup users(string) -> { tier: string }?

rule person on app when .user.id is present {
  let { tier } = users(.user.id) else { return }
  .user.tier = tier
}
";

const SERVICES: [Service; 5] =
    [Service::Answers, Service::Gone, Service::Hangs, Service::Slow, Service::Lies];
/// Enough that an outage is more than its first second.
const SECONDS: u64 = 15;
const ROUNDS: usize = 3;
const EVENTS: usize = 50_000;

#[derive(Serialize)]
struct Results {
    machine: Machine,
    /// How often each was measured; figures are medians.
    rounds: usize,
    /// Events a second by what the service does.
    events_per_second: Vec<(Service, f64)>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["json", "table", "rounds"])?;
    let rounds = arguments.number("rounds", ROUNDS)?.max(1);
    let machine = Machine::look();
    say(&machine.to_string())?;
    let events = events(EVENTS, 7);
    let program = with_rules(&std::fs::read_to_string(ten_rules())?, RULES)?;
    let mut rates = SERVICES.map(|service| (service, Figure::default()));
    for round in 0..rounds {
        // Each round begins with another one, so that none has the machine always at its best.
        for at in 0..rates.len() {
            let (service, rates) = &mut rates[(round + at) % SERVICES.len()];
            rates.add(measure(*service, &events, &program)?);
        }
    }
    let events_per_second: Vec<(Service, f64)> =
        rates.into_iter().map(|(service, rates)| (service, rates.summary().median)).collect();
    let sound = events_per_second[0].1;
    let mut table = Table::new(
        "Events a second of one thread by what the service of a lookup does, medians of interleaved rounds:",
        &["service", "events/s", "% of sound"],
    );
    for (service, rate) in &events_per_second {
        table.row(
            format!("{service:?}").to_lowercase(),
            [format!("{rate:.0}"), format!("{:.1}", rate / sound * 100.0)],
        );
    }
    publish(&arguments, &Results { machine, rounds, events_per_second }, &[table])
}

/// Events a second of wall time, one thread, while the service does that.
fn measure(service: Service, events: &[String], program: &str) -> anyhow::Result<f64> {
    let port = service.start("{\"tier\":\"pro\"}")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let text = format!(
        "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/users\"\nbatch = 500\n"
    );
    let config = Config::parse(&text, &std::env::temp_dir().join("logmon.toml"), &|_| None)
        .map_err(|error| anyhow!("{error}"))?;
    let bound = bound_text(program)?;
    let set =
        LookupSet::open(&bound.plan.lookups, &config, runtime.handle(), &Metrics::new(), None)
            .map_err(|errors| anyhow!("{errors:?}"))?;
    let mut desk = Desk::with_lookups(&bound, events, Clocked::new(set));
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(SECONDS) {
        desk.walk(events, Compression::Lz4);
        done += events.len();
    }
    let rate = done as f64 / start.elapsed().as_secs_f64();
    runtime.shutdown_background();
    Ok(rate)
}
