//! One of two engines dies: how long its partitions stand still.

use std::time::{Duration, Instant};

use super::{
    oracle::{clean, judge},
    seed::Dice,
    soak_time,
    stage::Stage,
};
use crate::e2e::{SERVERS, engine_process::Engine, wait_for};

/// The partitions of a dead engine must move on this soon.
const MOVED: Duration = Duration::from_secs(10);

/// The partitions that an engine reads.
fn partitions(engine: &Engine) -> Vec<String> {
    let (_, text) = engine.get("/metrics");
    text.lines()
        .filter(|line| line.starts_with("logmon_source_offset{"))
        .filter_map(|line| {
            let (_, behind) = line.split_once("partition=\"")?;
            Some(behind.split('"').next()?.to_owned())
        })
        .collect()
}

/// `LOGMON_SOAK=1m` kills twelve times and prints how long it took.
#[test]
fn soak_the_partitions_of_a_dead_engine_move_on() {
    let mut dice = Dice::of("takeover");
    let stage = Stage::new("takeover", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 4);
    let setup = stage.plain();
    stage.configure(&setup);
    let mut feed = stage.feed();
    let mut engines = vec![stage.engine("engine-0"), stage.engine("engine-1")];
    let kills = if soak_time().is_some() { 12 } else { 2 };
    let mut times = Vec::new();
    for number in 2..2 + kills {
        wait_for("each has two partitions", 60, || {
            feed.run(2_000, Duration::from_millis(200), |_| {});
            engines.iter().all(|engine| partitions(engine).len() == 2)
        });
        feed.run(2_000, dice.millis(1_000..4_000), |_| {});
        let mut victim = engines.remove(dice.number(0..2) as usize);
        let orphans = partitions(&victim).join(",");
        clean(&victim, setup.memory);
        // Everything behind this point was produced when nobody read those partitions any more.
        victim.kill();
        let (killed, since) = (Instant::now(), feed.sent() / stage.partitions + 1);
        let moved = format!(
            "SELECT uniqExact(kafka_partition) FROM {{db}}.logs WHERE kafka_partition IN ({orphans}) AND kafka_offset >= {since}"
        );
        wait_for("the partitions move on", 60, || {
            feed.run(2_000, Duration::from_millis(100), |_| {});
            stage.ask(&moved) == Some(2)
        });
        times.push(killed.elapsed());
        engines.push(stage.engine(&format!("engine-{number}")));
    }
    let events = feed.flush();
    stage.settle(events, 60);
    for engine in &mut engines {
        clean(engine, setup.memory);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    let verdict = judge(&stage, events);
    times.sort();
    let seconds = |time: &Duration| format!("{:.1}", time.as_secs_f64());
    let all: Vec<String> = times.iter().map(seconds).collect();
    eprintln!("takeover: new rows of its partitions after s: {}; {verdict:?}", all.join(" "));
    verdict.holds(setup.promise);
    let slowest = times.last().copied().unwrap_or_default();
    assert!(slowest <= MOVED, "a dead engine's partitions stood still for {slowest:?}");
}
