//! Rules that change many times a second and send events elsewhere each time, while inserts fail and engines die.

use std::time::{Duration, Instant};

use super::{
    lasting,
    oracle::clean,
    proxy::{
        End,
        clickhouse::{ClickHouseProxy, Fault, Plan},
    },
    seed::Dice,
    stage::{Setup, Stage},
};
use crate::e2e::SERVERS;

/// Bundles are numbered; the even ones send what is ordinary to `logs`, the odd ones to `errors`.
fn rules(version: u64) -> String {
    let home = if version.is_multiple_of(2) { "logs" } else { "errors" };
    format!(
        "source app\nsink logs   : table(\"logs\")\nsink errors : table(\"errors\")\nsink dlq    : table(\"dead_letters\")\n\n\
         rule drop_debug when .severity < info {{ drop as \"debug\" }}\n\
         rule home {{ tag \"v{version}\"  route to {home} }}\n"
    )
}

/// Ordinary events, and some that are dropped.
fn event(id: u64) -> Vec<u8> {
    let severity = if id.is_multiple_of(10) { "debug" } else { "info" };
    format!("{{\"timestamp\":\"2026-11-01T10:00:00Z\",\"severity\":\"{severity}\",\"id\":{id}}}")
        .into_bytes()
}

#[test]
fn f11_rules_move_rows_between_tables_ten_times_a_second() {
    let mut dice = Dice::of("f11");
    let proxy = ClickHouseProxy::before(SERVERS.clickhouse.url(), dice.split());
    let stage = Stage::new("f11", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 3);
    let setup = Setup { url: proxy.url(), ..stage.plain() };
    stage.configure(&setup);
    let mut version = 0;
    stage.rules(&rules(version));
    let mut feed = stage.feed();
    feed.event = |id| Some(event(id));
    let mut engines = vec![stage.engine("engine-0"), stage.engine("engine-1")];
    let faults =
        vec![Fault::LoseAnswer(End::Reset), Fault::CutBody(50, End::Reset), Fault::Late(400)];
    proxy.plan(Plan { faults, inserts: 25, queries: 0 });
    let (time, begun) = (lasting(Duration::from_secs(12)), Instant::now());
    let mut kills = 0;
    while begun.elapsed() < time {
        let slice = dice.millis(4_000..7_000);
        let (mut written, mut pause) = (Instant::now(), Duration::ZERO);
        feed.run(4_000, slice, |_| {
            if written.elapsed() >= pause {
                version += 1;
                stage.rules(&rules(version));
                written = Instant::now();
                // Faster than the engine looks, and slower.
                pause = dice.millis(50..1_500);
            }
        });
        let mut engine = engines.remove(0);
        clean(&engine, setup.memory);
        engine.kill();
        kills += 1;
        engines.push(stage.engine(&format!("engine-{}", kills + 1)));
    }
    proxy.peace();
    let events = feed.flush();
    let id = format!("kafka_offset * {} + kafka_partition", stage.partitions);
    let both = format!(
        "(SELECT {id} AS id, tags, 'logs' AS place FROM {{db}}.logs UNION ALL SELECT {id}, tags, 'errors' FROM {{db}}.errors)"
    );
    let expected = events - events.div_ceil(10);
    crate::e2e::wait_for("everything arrives", 90, || {
        stage.ask(&format!("SELECT uniqExact(id) FROM {both}")) == Some(expected)
    });
    let applied: f64 =
        engines.iter().map(|it| it.metric("logmon_reloads_total", &["outcome=\"applied\""])).sum();
    for engine in &mut engines {
        clean(engine, setup.memory);
        assert!(engine.terminate().success(), "{}", engine.log());
    }
    let ask = |sql: &str| stage.ask(&sql.replace("{both}", &both)).unwrap();
    let repeated = ask("SELECT count() - uniqExact(id) FROM {both}");
    let strange = ask("SELECT countIf(id % 10 = 0) FROM {both}");
    let bundles = ask("SELECT uniqExact(tags) FROM {both}");
    // The tag says which rules made the row, and so where it belongs.
    let astray = ask(
        "SELECT countIf(length(tags) != 1 OR (toUInt64(substring(tags[1], 2)) % 2 = 0) != (place = 'logs')) FROM {both}",
    );
    eprintln!(
        "f11: {events} events, {version} bundles written, {bundles} seen in rows, {applied} reloads by the last two engines, {kills} kills, {repeated} rows repeated"
    );
    assert_eq!(
        (strange, astray),
        (0, 0),
        "strange rows, rows in another table than their rules say"
    );
    assert!(bundles > 2, "{bundles} bundles left rows");
}
