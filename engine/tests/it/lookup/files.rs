//! Files and databases that change, break, or are not what the rules declare.

use std::{fs, os::unix::fs::symlink, path::Path};

use expect_test::expect;
use logmon_dsl::{
    program::{Mode, Reader, compile},
    render::render,
    types::{Ty, Type},
};
use logmon_engine::lookup::{LookupSet, OpenError, Reloaded};
use serde_json::json;

use super::{Folder, World, ask, decl, geo, record, user};
use crate::mmdb;

fn reload(set: &LookupSet) -> Result<Reloaded, String> {
    set.reload().remove(0).1.map_err(|error| error.to_string())
}

#[test]
fn renamed_linked_and_mounted_files_are_seen() {
    let (world, folder) = (World::new(), Folder::new("swaps"));
    let csv = |name: &str, age: u8| folder.file(name, &format!("id,age\nann,{age}\n"));
    let declared = [decl("users", Type::Text, user())];
    let open = |path: &str| {
        let config = format!("[lookup.users]\nkind = \"file\"\npath = \"{path}\"\nkey = \"id\"");
        world.open(&folder.0, &declared, &config, None).unwrap()
    };
    let says = |set: &LookupSet, age: u8| {
        assert_eq!(ask(set, &["ann"]), json!([{"id": "ann", "age": age}]));
    };
    // Another file of the same length takes its place by one rename.
    csv("u.csv", 31);
    let set = open("u.csv");
    says(&set, 31);
    fs::rename(csv("next.csv", 32), folder.0.join("u.csv")).unwrap();
    assert_eq!(reload(&set), Ok(Reloaded::Replaced));
    says(&set, 32);
    // A link leads somewhere else from now on.
    csv("one.csv", 41);
    csv("two.csv", 42);
    let swap = |to: &str, link: &str| {
        symlink(to, folder.0.join("fresh")).unwrap();
        fs::rename(folder.0.join("fresh"), folder.0.join(link)).unwrap();
    };
    swap("one.csv", "link.csv");
    let set = open("link.csv");
    says(&set, 41);
    swap("two.csv", "link.csv");
    assert_eq!(reload(&set), Ok(Reloaded::Replaced));
    says(&set, 42);
    // Kubernetes: the file is a link into `..data`, which is a link to a folder that is replaced as a whole.
    for (version, age) in [("..1", 51), ("..2", 52)] {
        fs::create_dir(folder.0.join(version)).unwrap();
        csv(&format!("{version}/m.csv"), age);
    }
    swap("..1", "..data");
    swap("..data/m.csv", "m.csv");
    let set = open("m.csv");
    says(&set, 51);
    swap("..2", "..data");
    assert_eq!(reload(&set), Ok(Reloaded::Replaced));
    says(&set, 52);
    assert_eq!(reload(&set), Ok(Reloaded::Unchanged));
    // A file that is gone, or broken, leaves what was read.
    fs::remove_dir_all(folder.0.join("..2")).unwrap();
    assert!(reload(&set).unwrap_err().contains("cannot be read"));
    says(&set, 52);
    assert_eq!(set.states()[0].holding.version, 1);
}

#[test]
fn an_older_or_other_database_does_not_replace_a_newer_one() {
    let (world, folder) = (World::new(), Folder::new("older"));
    let path = folder.0.join("geo.mmdb");
    let australia = [("1.0.0.0/8", json!({ "country_code": "AU" }))];
    mmdb::write(&path, 1_700_000_000, &australia);
    let config = "[lookup.geo]\nkind = \"maxmind\"\npath = \"geo.mmdb\"";
    let set = world.open(&folder.0, &[geo()], config, None).unwrap();
    mmdb::write(&path, 1_600_000_000, &australia);
    let said = reload(&set).unwrap_err().replace(&format!("{}/", folder.0.display()), "");
    expect!["[lookup.geo] path: geo.mmdb was made at 2020-09-13T12:26:40Z, before the database that answers (2023-11-14T22:13:20Z); an older one is taken by a restart only"].assert_eq(&said);
    mmdb::write(&path, 1_800_000_000, &[("1.0.0.0/8", json!({ "asn": 7 }))]);
    let said = reload(&set).unwrap_err();
    expect!["[lookup.geo] no record of the database has `country`, of 1 looked at"]
        .assert_eq(&said);
    assert_eq!(ask(&set, &["1.1.1.1"]), json!([{"country": "AU"}]));
}

#[test]
fn a_broken_database_is_refused_or_answers_and_never_panics() {
    let (world, folder) = (World::new(), Folder::new("mangled"));
    let path = folder.0.join("geo.mmdb");
    let networks: Vec<(String, serde_json::Value)> = (1..40)
        .map(|n| {
            let record = json!({
                "country": { "iso_code": "GB", "names": { "en": format!("Land {n}"), "de": "x".repeat(n) } },
                "location": { "latitude": 51.5, "list": [1, 2, [3, { "deep": n }]] },
            });
            (format!("{n}.0.0.0/8"), record)
        })
        .collect();
    let networks: Vec<(&str, serde_json::Value)> =
        networks.iter().map(|(net, record)| (net.as_str(), record.clone())).collect();
    mmdb::write(&path, 1, &networks);
    let sound = fs::read(&path).unwrap();
    let config = "[lookup.geo]\nkind = \"maxmind\"\npath = \"geo.mmdb\"";
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut dice = |sides: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % sides as u64) as usize
    };
    let (mut refused, mut opened) = (0, 0);
    for round in 0..1500 {
        let mut bytes = sound.clone();
        match round % 3 {
            0 => bytes.truncate(dice(sound.len())),
            // Bytes anywhere; then pointers and sizes in the data, and the metadata behind them.
            1 => (0..=dice(8)).for_each(|_| bytes[dice(sound.len())] = dice(256) as u8),
            _ => {
                let tail = sound.len() / 2 + dice(sound.len() / 2);
                bytes[tail] = [0x20, 0x28, 0x30, 0x38, 0xff, 0x00, 0xe0, 0x5f][dice(8)];
            }
        }
        fs::write(&path, &bytes).unwrap();
        match world.open(&folder.0, &[geo()], config, None) {
            Ok(set) => {
                opened += 1;
                let keys: Vec<String> = (0..=255).map(|n| format!("{n}.1.2.3")).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                ask(&set, &keys);
            }
            Err(said) => {
                refused += 1;
                assert!(said.contains("[lookup.geo]"), "{said}");
            }
        }
    }
    assert!(refused > 500 && opened > 10, "{refused} refused, {opened} opened");
}

#[test]
fn other_databases_and_shapes() {
    let (world, folder) = (World::new(), Folder::new("shapes"));
    mmdb::write(
        &folder.0.join("anonymous.mmdb"),
        1,
        &[("5.0.0.0/8", json!({ "is_anonymous": true, "is_tor_exit_node": true }))],
    );
    mmdb::write(
        &folder.0.join("isp.mmdb"),
        1,
        &[("5.0.0.0/8", json!({ "isp": "Telco", "traits": { "connection_type": "Cable" } }))],
    );
    mmdb::write(
        &folder.0.join("own.mmdb"),
        1,
        &[("5.0.0.0/8", json!({ "site": { "rack": 7, "tags": ["a", "b"] } }))],
    );
    let place = decl(
        "place",
        Type::Ip,
        record([
            ("is_tor", Ty::optional(Type::Bool)),
            ("is_vpn", Ty::optional(Type::Bool)),
            ("isp", Ty::required(Type::Text)),
            ("connection_type", Ty::required(Type::Text)),
            ("rack", Ty::required(Type::Int)),
            ("tag", Ty::optional(Type::Text)),
        ]),
    );
    let config = "[lookup.place]\nkind = \"maxmind\"\npaths = [\"anonymous.mmdb\", \"isp.mmdb\", \"own.mmdb\"]\n\
        fields = { rack = \"site.rack\", tag = \"site.tags.1\" }";
    let set = world.open(&folder.0, std::slice::from_ref(&place), config, None).unwrap();
    assert_eq!(
        ask(&set, &["5.1.1.1"]),
        json!([{"is_tor": true, "isp": "Telco", "connection_type": "Cable", "rack": 7, "tag": "b"}])
    );
    let said = world.open(&folder.0, &[place], &config.replace("rack", "rock"), None).unwrap_err();
    expect!["shape: [lookup.place] fields names `rock`, which the rules do not declare"]
        .assert_eq(&said);
}

/// One text, whatever file is asked for.
pub(super) struct Text(pub(super) &'static str);

impl Reader for Text {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

#[test]
fn what_a_back_end_lacks_is_drawn_where_the_rules_declare_it() {
    let (world, folder) = (World::new(), Folder::new("drawn"));
    folder.file("users.csv", "id,name,plan\nann,Ann,gold\n");
    mmdb::write(
        &folder.0.join("geo.mmdb"),
        1,
        &[("1.0.0.0/8", json!({ "country": { "iso_code": "AU" }, "asn": "seven" }))],
    );
    let text = Text(
        "type User = { id: string, region: string, seats: int? }\n\
         lookup users(string) -> User?\n\
         lookup geo(ip) -> { country: string, city: string, asn: int }?\n\
         source app : { id: string?, ip: ip?, ... }\nsink logs : { ... }\n\
         rule a when .id is present { .user = users(.id) }\n\
         rule b when .ip is present { .geo = geo(.ip) }\n\
         default route to logs\n",
    );
    let compiled = compile(Path::new("main.rules"), &text, Mode::Run);
    let said = render(&compiled.diagnostics, &compiled.sources, false);
    let program = compiled.program.unwrap_or_else(|| panic!("{said}"));
    let config = "[lookup.users]\nkind = \"file\"\npath = \"users.csv\"\nkey = \"id\"\n\
        [lookup.geo]\nkind = \"maxmind\"\npath = \"geo.mmdb\"\n";
    let config =
        logmon_engine::config::Config::parse(config, &folder.0.join("logmon.toml"), &|_| None)
            .unwrap();
    let errors = LookupSet::open(
        &program.plan.lookups,
        &config,
        world.runtime.handle(),
        &world.metrics,
        None,
    )
    .unwrap_err();
    let drawn: Vec<String> = errors
        .iter()
        .map(|error| match error {
            OpenError::Shape(wrong) => render(wrong, &program.sources, false),
            other => panic!("{other}"),
        })
        .collect();
    let drawn = drawn.join("\n").replace(&format!("{}/", folder.0.display()), "");
    expect![[r#"
        error[E404]: [lookup.users] users.csv:1: has no column `region`
         --> main.rules:1:27
          |
        1 | type User = { id: string, region: string, seats: int? }
          |                           ^^^^^^^^^^^^^^ declared as `string`
          |
          = note: it has id, name, plan

        error[E404]: [lookup.geo] no record of the database has `city`, of 1 looked at
         --> main.rules:3:38
          |
        3 | lookup geo(ip) -> { country: string, city: string, asn: int }?
          |                                      ^^^^^^^^^^^^ declared as `string`
          |
          = note: it has asn, country.iso_code
          = help: looked for `city`, `city.names.en`, `city_name`; say where it is with `[lookup.geo.fields] city = "…"`

        error[E404]: [lookup.geo] the database has text as `asn`
         --> main.rules:3:52
          |
        3 | lookup geo(ip) -> { country: string, city: string, asn: int }?
          |                                                    ^^^^^^^^ declared as `int`
          |
          = note: it has asn, country.iso_code
    "#]].assert_eq(&drawn);
}

#[test]
#[cfg(feature = "parquet")]
fn a_parquet_file() {
    use std::sync::Arc;

    use parquet::{
        data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
        file::writer::SerializedFileWriter,
        schema::parser::parse_message_type,
    };

    let (world, folder) = (World::new(), Folder::new("parquet"));
    let schema = parse_message_type(
        "message users { REQUIRED BYTE_ARRAY id (UTF8); OPTIONAL INT64 seats; REQUIRED INT64 since (TIMESTAMP(MILLIS,true)); REQUIRED DOUBLE score; REQUIRED BOOLEAN staff; }",
    )
    .unwrap();
    let path = folder.0.join("users.parquet");
    let file = fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&[ByteArray::from("ann"), ByteArray::from("bob")], None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[7], Some(&[1, 0]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1_700_000_000_000, 0], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[1.5, 2.0], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<BoolType>().write_batch(&[true, false], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let users = decl(
        "users",
        Type::Text,
        record([
            ("seats", Ty::optional(Type::Int)),
            ("since", Ty::required(Type::Timestamp)),
            ("score", Ty::required(Type::Float)),
            ("admin", Ty::required(Type::Bool)),
        ]),
    );
    let config = "[lookup.users]\nkind = \"file\"\npath = \"users.parquet\"\nkey = \"id\"\nfields = { admin = \"staff\" }";
    let set = world.open(&folder.0, std::slice::from_ref(&users), config, None).unwrap();
    assert_eq!(
        ask(&set, &["ann", "bob", "cid"]),
        json!([
            {"seats": 7, "since": "2023-11-14T22:13:20Z", "score": 1.5, "admin": true},
            {"since": "1970-01-01T00:00:00Z", "score": 2.0, "admin": false},
            null
        ])
    );
    let bytes = fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..length]).unwrap();
        let said = world.open(&folder.0, std::slice::from_ref(&users), config, None).unwrap_err();
        assert!(said.contains("no sound Parquet file"), "{said}");
    }
    for at in (0..bytes.len()).step_by(3) {
        let mut mangled = bytes.clone();
        mangled[at] ^= 0x5a;
        fs::write(&path, &mangled).unwrap();
        if let Ok(set) = world.open(&folder.0, std::slice::from_ref(&users), config, None) {
            ask(&set, &["ann"]);
        }
    }
}
