//! MaxMind databases: address → place, whatever the database calls its members.

mod check;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use logmon_dsl::{
    eval::Answer,
    plan::LookupDecl,
    types::{FieldType, Shape, Type},
};
use maxminddb::Reader;
use serde_json::{Map, Value};

use super::{Fingerprint, Holding, Lookup, OpenError, Reloaded, row, shape::Bound};
use crate::error::WorldError;

/// The largest database on the market takes half of this; it is held in memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Where a declared member is found: nested `GeoIP2` first, then the flat names of other makers.
const ALIASES: [(&[&str], &[&str]); 24] = [
    (
        &["country", "country_code"],
        &["country.iso_code", "country_code", "country", "registered_country.iso_code"],
    ),
    (&["country_name"], &["country.names.en", "country_name"]),
    (&["continent", "continent_code"], &["continent.code", "continent_code", "continent"]),
    (&["city", "city_name"], &["city.names.en", "city", "city_name"]),
    (
        &["region", "state"],
        &["subdivisions.0.names.en", "state1", "region", "region_name", "state"],
    ),
    (&["region_code", "state_code"], &["subdivisions.0.iso_code", "region_code"]),
    (
        &["postal", "postcode", "postal_code", "zip"],
        &["postal.code", "postcode", "postal_code", "zip"],
    ),
    (&["latitude", "lat"], &["location.latitude", "latitude", "lat"]),
    (&["longitude", "lon", "lng"], &["location.longitude", "longitude", "lon", "lng"]),
    (&["timezone", "time_zone"], &["location.time_zone", "timezone", "time_zone"]),
    (&["accuracy_radius"], &["location.accuracy_radius", "accuracy_radius"]),
    (
        &["asn"],
        &["autonomous_system_number", "traits.autonomous_system_number", "asn", "as_number"],
    ),
    (
        &["org", "as_org", "organization"],
        &[
            "autonomous_system_organization",
            "traits.autonomous_system_organization",
            "as_name",
            "organization",
            "org",
            "traits.organization",
        ],
    ),
    (&["isp"], &["isp", "traits.isp"]),
    (&["domain"], &["domain", "traits.domain"]),
    (&["connection_type"], &["connection_type", "traits.connection_type"]),
    (&["user_type"], &["user_type", "traits.user_type"]),
    (&["is_anonymous"], &["is_anonymous", "traits.is_anonymous"]),
    (&["is_anonymous_vpn", "is_vpn"], &["is_anonymous_vpn", "traits.is_anonymous_vpn"]),
    (
        &["is_hosting_provider", "is_hosting"],
        &["is_hosting_provider", "traits.is_hosting_provider"],
    ),
    (&["is_public_proxy", "is_proxy"], &["is_public_proxy", "traits.is_public_proxy"]),
    (
        &["is_residential_proxy"],
        &["is_residential_proxy", "traits.is_residential_proxy"],
    ),
    (&["is_tor_exit_node", "is_tor"], &["is_tor_exit_node", "traits.is_tor_exit_node"]),
    (
        &["is_in_european_union", "is_eu"],
        &["country.is_in_european_union", "is_in_european_union", "is_eu"],
    ),
];

/// Databases that answer together: the first that knows a member wins.
#[derive(Debug)]
pub(super) struct Databases {
    name: Arc<str>,
    shape: Option<Shape>,
    bound: Bound,
    paths: Vec<PathBuf>,
    current: ArcSwap<Vec<Database>>,
    version: AtomicU64,
    /// Two reloads at once would read everything twice.
    reloading: Mutex<()>,
}

#[derive(Debug)]
struct Database {
    reader: Reader<Vec<u8>>,
    fingerprint: Fingerprint,
}

impl Databases {
    pub(super) fn open(
        decl: &LookupDecl,
        bound: Bound,
        paths: &[PathBuf],
    ) -> Result<Self, OpenError> {
        let name = &decl.name;
        let wrong = |sentence: String| Err(OpenError::Config(sentence));
        let [key] = decl.keys.as_slice() else {
            return wrong(format!(
                "[lookup.{name}] is a MaxMind database, which takes one key, an ip"
            ));
        };
        if !matches!(key.base, Type::Ip | Type::Text | Type::Any) {
            return wrong(format!(
                "[lookup.{name}] is a MaxMind database, whose key is an ip, not `{key}`"
            ));
        }
        let shape = row::shape(&decl.yields).cloned();
        if shape.is_none() && !matches!(decl.yields.base, Type::Map(_) | Type::Any) {
            return wrong(format!(
                "[lookup.{name}] is a MaxMind database, which yields a record, not `{}`",
                decl.yields
            ));
        }
        let databases = read(name, paths)?;
        check::check(&bound, &databases)?;
        Ok(Self {
            name: Arc::clone(name),
            shape,
            bound,
            paths: paths.to_vec(),
            current: ArcSwap::from_pointee(databases),
            version: AtomicU64::new(0),
            reloading: Mutex::default(),
        })
    }

    fn answer(&self, databases: &[Database], key: &str) -> Answer {
        let Ok(address) = key.trim().parse::<IpAddr>() else { return Answer::Miss };
        let mut records = Vec::with_capacity(databases.len());
        for database in databases {
            match database.record(address.to_canonical()) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(lookup = &*self.name, %error, "a record cannot be read");
                    return Answer::Failed;
                }
            }
        }
        if records.is_empty() {
            return Answer::Miss;
        }
        let members = match &self.shape {
            Some(shape) => {
                let mut columns = self.bound.columns.iter();
                let find = |field: &FieldType| find(&records, field, columns.next()?);
                row::record(shape, find, || joined(&records))
            }
            None => Some(joined(&records)),
        };
        members.map_or(Answer::Miss, |members| {
            Answer::Found(Value::Object(members).to_string().into())
        })
    }
}

impl Lookup for Databases {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        let databases = self.current.load();
        keys.iter().map(|key| self.answer(&databases, key)).collect()
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        let same = self.paths.iter().zip(&*current).all(|(path, database)| {
            Fingerprint::of(path).is_ok_and(|now| now == database.fingerprint)
        });
        if same {
            return Ok(Reloaded::Unchanged);
        }
        let fresh = read(&self.name, &self.paths)?;
        for ((path, old), new) in self.paths.iter().zip(&*current).zip(&fresh) {
            check::is_newer(&self.name, path, old, new)?;
        }
        check::check(&self.bound, &fresh).map_err(OpenError::into_world)?;
        self.current.store(Arc::new(fresh));
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(Reloaded::Replaced)
    }

    fn holds(&self) -> Holding {
        let databases = self.current.load();
        // The oldest counts: that is the one to look after.
        let made = databases.iter().map(|database| database.reader.metadata().build_epoch).min();
        Holding {
            rows: None,
            made: made.map(|epoch| epoch as i64),
            version: self.version.load(Ordering::Acquire),
        }
    }
}

impl Database {
    fn record(&self, address: IpAddr) -> Result<Option<Map<String, Value>>, String> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.reader.lookup(address).map_err(|error| error.to_string())?;
        match found.decode::<Value>().map_err(|error| error.to_string())? {
            Some(Value::Object(record)) => Ok(Some(record)),
            Some(_) | None => Ok(None),
        }
    }
}

fn read(name: &str, paths: &[PathBuf]) -> Result<Vec<Database>, WorldError> {
    paths.iter().map(|path| read_one(name, path)).collect()
}

fn read_one(name: &str, path: &Path) -> Result<Database, WorldError> {
    let at = path.display();
    let unreadable = |error: std::io::Error| {
        WorldError::because(format!("[lookup.{name}] path: {at} cannot be read: {error}"), error)
    };
    let fingerprint = Fingerprint::of(path).map_err(unreadable)?;
    if fingerprint.length > FILE_BYTES_MAX {
        return Err(WorldError::new(format!("[lookup.{name}] path: {at} is larger than 1 GiB")));
    }
    // Read whole rather than mapped: whoever replaces the file in place cannot pull it from under us.
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let broken = |error: maxminddb::MaxMindDbError| {
        let sentence = format!("[lookup.{name}] path: {at} is no sound MaxMind database: {error}");
        WorldError::because(sentence, error)
    };
    let reader = Reader::from_source(bytes).map_err(broken)?;
    let metadata = reader.metadata();
    // The full check also insists on a description, which answers do not need and small makers leave out.
    if !metadata.description.is_empty() && !metadata.database_type.is_empty() {
        reader.verify().map_err(broken)?;
    }
    Ok(Database { reader, fingerprint })
}

/// A declared member: where the configuration says, else under its own name if that fits, else where its aliases point.
fn find(records: &[Map<String, Value>], field: &FieldType, column: &str) -> Option<Value> {
    let ty = &field.ty.base;
    places(field, column)
        .find_map(|path| records.iter().find_map(|record| row::fit(row::at_path(record, path)?, ty)))
}

/// Paths under which a member may stand, the best first.
fn places<'a>(field: &'a FieldType, column: &'a str) -> impl Iterator<Item = &'a str> {
    let is_named = *field.name != *column;
    let aliases = ALIASES.iter().find(|(names, _)| !is_named && names.contains(&&*field.name));
    std::iter::once(column).chain(aliases.into_iter().flat_map(|(_, paths)| paths.iter().copied()))
}

/// All members of all records, the first record's win.
fn joined(records: &[Map<String, Value>]) -> Map<String, Value> {
    let mut members = Map::new();
    for record in records {
        for (name, value) in record {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    members
}
