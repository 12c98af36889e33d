//! Whether databases have what the rules declare, from records all over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use maxminddb::WithinOptions;
use serde_json::{Map, Value};

use super::{
    super::{OpenError, row, shape},
    Bound, Database, places,
};
use crate::error::WorldError;

/// Addresses that are looked up of each family, evenly spread.
const SPREAD: u32 = 4096;
/// Networks that are looked at from the first one on: all of a small database.
const FIRST: usize = 4096;

/// Refuses databases without a required member, or with other types than declared.
pub(super) fn check(bound: &Bound, databases: &[Database]) -> Result<(), OpenError> {
    let records: Vec<Map<String, Value>> = databases.iter().flat_map(sample).collect();
    let mut wrong = Vec::new();
    for (number, field, column) in bound.fields() {
        let at = |record| places(field, column).find_map(|path| row::at_path(record, path));
        let Some(first) = records.iter().find_map(at) else {
            let mut tried: Vec<String> = Vec::new();
            for path in places(field, column).map(|path| format!("`{path}`")) {
                if !tried.contains(&path) {
                    tried.push(path);
                }
            }
            if field.ty.optional {
                tracing::warn!(
                    lookup = &*bound.decl.name,
                    field = &*field.name,
                    tried = tried.join(", "),
                    "no record looked at has it: it may always be absent"
                );
                continue;
            }
            let message = format!(
                "no record of the database has `{}`, of {} looked at",
                field.name,
                records.len()
            );
            let mistake = bound.wrong(number, &message, &paths(&records)).advise(format!(
                "looked for {}; say where it is with `[lookup.{}.fields] {} = \"…\"`",
                tried.join(", "),
                bound.decl.name,
                field.name
            ));
            wrong.push(mistake);
            continue;
        };
        let fits = |record: &Map<String, Value>| {
            places(field, column)
                .filter_map(|path| row::at_path(record, path))
                .any(|value| row::fit(value, &field.ty.base).is_some() || is_blank(value))
        };
        if !records.iter().any(fits) {
            let message = format!("the database has {} as `{}`", shape::what(first), field.name);
            wrong.push(bound.wrong(number, &message, &paths(&records)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(OpenError::Shape(wrong)) }
}

/// Refuses a database that was made before the one it is to replace.
pub(super) fn is_newer(
    name: &str,
    path: &Path,
    old: &Database,
    new: &Database,
) -> Result<(), WorldError> {
    let (was, is) = (old.reader.metadata().build_epoch, new.reader.metadata().build_epoch);
    if is >= was {
        return Ok(());
    }
    let made = |epoch: u64| {
        let time =
            i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
        time.map_or_else(|| epoch.to_string(), |time| time.to_string())
    };
    Err(WorldError::new(format!(
        "[lookup.{name}] path: {} was made at {}, before the database that answers ({}); an older one is taken by a restart only",
        path.display(),
        made(is),
        made(was)
    )))
}

/// Distinct records from all over a database.
fn sample(database: &Database) -> Vec<Map<String, Value>> {
    let mut records: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
    let mut take = |found: maxminddb::LookupResult<'_, Vec<u8>>| {
        let Some(offset) = found.offset() else { return };
        if !records.contains_key(&offset)
            && let Ok(Some(Value::Object(record))) = found.decode::<Value>()
        {
            records.insert(offset, record);
        }
    };
    let step = u32::MAX / SPREAD;
    for number in 0..SPREAD {
        let v4 = IpAddr::V4(Ipv4Addr::from_bits(number * step + step / 2));
        // 2000::/4 holds nearly all IPv6 that is given out.
        let v6 = 0x2 << 124 | u128::from(number) << (124 - 12) | 1;
        for address in [v4, IpAddr::V6(Ipv6Addr::from_bits(v6))] {
            if (address.is_ipv4() || database.reader.metadata().ip_version == 6)
                && let Ok(found) = database.reader.lookup(address)
            {
                take(found);
            }
        }
    }
    if let Ok(networks) = database.reader.networks(WithinOptions::default()) {
        networks.take(FIRST).filter_map(Result::ok).for_each(take);
    }
    records.into_values().collect()
}

/// What records have, `country.iso_code`, as far as it goes.
fn paths(records: &[Map<String, Value>]) -> String {
    let mut paths = BTreeSet::new();
    for (name, value) in records.iter().flatten() {
        match value {
            Value::Object(members) if !members.is_empty() => {
                paths.extend(members.keys().map(|inner| format!("{name}.{inner}")));
            }
            _ => drop(paths.insert(name.clone())),
        }
    }
    shape::list(paths.into_iter().collect::<Vec<_>>().into_iter())
}

/// Some makers write empty text for what they do not know.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}
