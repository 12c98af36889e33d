//! What the server says when it refuses, held to the table of codes and to what each code asks of us.

use logmon_engine::sink::clickhouse::{Class, Compression, Inserter, Rows, codes};

use super::{Case, client, runtime, sql};

#[test]
fn the_table_of_codes_is_the_servers() {
    let held = sql(
        "SELECT number, errorCodeToName(number) AS name FROM numbers(1, 5000) WHERE name != '' FORMAT TSV",
    );
    let missing: Vec<&str> = held
        .lines()
        .filter(|line| {
            let (number, name) = line.split_once('\t').unwrap();
            codes::find(number.parse().unwrap()).is_none_or(|code| code.name != name)
        })
        .collect();
    assert_eq!(missing, [""; 0], "add these to codes.tsv");
    assert!(held.lines().count() > 600, "{held}");
}

#[test]
fn a_query_that_fails_late_is_no_success() {
    let late =
        "SELECT throwIf(number = 150000) FROM numbers(200000) SETTINGS max_block_size = 1000";
    let error = runtime().block_on(client().query(late, &[])).unwrap_err();
    assert_eq!((error.code, error.class), (Some(395), Class::Bisect), "{error}");
}

#[test]
fn a_block_in_pieces_is_the_block() {
    sql("CREATE TABLE pieces (kafka_offset UInt64, emit_ix UInt16, attempt UInt32, a String, \
         b Nullable(String), c LowCardinality(String), d LowCardinality(Nullable(String)), e Array(String), \
         f Array(LowCardinality(String)), g Array(Nullable(Int64)), h Map(LowCardinality(String), String), \
         i Nullable(Float64), j JSON, k DateTime64(9, 'UTC'), l FixedString(4), m Array(LowCardinality(Nullable(String))), \
         attributes Map(String, LowCardinality(String))) ENGINE = MergeTree ORDER BY kafka_offset");
    let event = |i: usize| match i % 5 {
        0 => r#"{"a":"","x":"y"}"#.to_owned(),
        1 => format!(
            r#"{{"a":"{i}","b":"b{i}","c":"c{}","d":"d{}","e":["x","{i}"],"f":["p","q","p"]}}"#,
            i % 7,
            i % 3
        ),
        2 => format!(
            r#"{{"g":[1,null,{i}],"h":{{"k":"v{i}","z":"{i}"}},"i":{i}.5,"m":["a",null,"b{i}"]}}"#
        ),
        3 => format!(
            r#"{{"j":{{"deep":{{"er":{i}}}}},"k":"2026-11-21T12:00:00.000000{:03}Z","l":"abcd"}}"#,
            i % 1000
        ),
        _ => format!(r#"{{"a":"{}","un":"known{i}","more":"m"}}"#, "long ".repeat(i % 50)),
    };
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let mut case = Case::new(&[]);
        case.events = (0..700).map(event).collect();
        case.compression = compression;
        let (_, blocks) = case.build("pieces");
        let rows = Rows::read(&blocks[0]).unwrap();
        assert_eq!(
            (rows.len(), rows.number("kafka_offset", 9), rows.number("a", 0)),
            (700, Some(9), None)
        );
        sql("TRUNCATE TABLE pieces");
        let held = |sent: &[std::ops::Range<usize>]| {
            for piece in sent {
                let block = rows.cut(piece.clone());
                runtime()
                    .block_on(Inserter::new(client()).insert(&block, &format!("{piece:?}")))
                    .unwrap();
            }
            let held = sql(
                "SELECT count(), groupBitXor(cityHash64(* EXCEPT j, toString(j))) FROM pieces FORMAT TSV",
            );
            sql("TRUNCATE TABLE pieces");
            held
        };
        runtime().block_on(Inserter::new(client()).insert(&blocks[0], "whole")).unwrap();
        let whole = held(&[]);
        assert!(whole.starts_with("700\t"), "{whole}");
        let pieces =
            |ends: &[usize]| -> Vec<_> { ends.windows(2).map(|two| two[0]..two[1]).collect() };
        assert_eq!(held(&pieces(&[0, 700])), whole);
        assert_eq!(held(&pieces(&[0, 1, 2, 3, 4, 350, 699, 700])), whole);
        let mut damaged = blocks[0].clone();
        damaged.body = damaged.body.slice(..damaged.body.len() - 1);
        assert!(Rows::read(&damaged).is_none());
    }
}
