//! MaxMind databases: address → place, whatever the database calls its members.

mod check;
mod records;

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
use maxminddb::{LookupResult, MaxMindDbError, Reader};
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::{Fingerprint, Holding, Lookup, OpenError, Reloaded, row, shape::Bound};
use crate::error::WorldError;
use records::{Places, Records};

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
    (&["is_residential_proxy"], &["is_residential_proxy", "traits.is_residential_proxy"]),
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
    current: ArcSwap<Opened>,
    version: AtomicU64,
    /// Two reloads at once would read everything twice.
    reloading: Mutex<()>,
}

/// Databases as they were read together, and what was decoded of them.
#[derive(Debug)]
struct Opened {
    databases: Vec<Database>,
    records: Records,
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
        let opened = read(name, paths)?;
        check::check(&bound, &opened.databases)?;
        Ok(Self {
            name: Arc::clone(name),
            shape,
            bound,
            paths: paths.to_vec(),
            current: ArcSwap::from_pointee(opened),
            version: AtomicU64::new(0),
            reloading: Mutex::default(),
        })
    }

    fn answer(&self, opened: &Opened, key: &str) -> Answer {
        match key.trim().parse::<IpAddr>() {
            Ok(address) => self.place(opened, address.to_canonical()),
            Err(_) => Answer::Miss,
        }
    }

    fn place(&self, opened: &Opened, address: IpAddr) -> Answer {
        let mut found = SmallVec::<[LookupResult<'_, Vec<u8>>; 4]>::new();
        let mut places = Places::new();
        for database in &opened.databases {
            match database.find(address) {
                Ok(result) => {
                    places.push(
                        result.as_ref().and_then(LookupResult::offset).map_or(0, |at| at + 1),
                    );
                    found.extend(result);
                }
                Err(error) => return self.unreadable(&error),
            }
        }
        if places.iter().all(|place| *place == 0) {
            return Answer::Miss;
        }
        opened.records.answer(places, || self.decode(&found))
    }

    fn decode(&self, found: &[LookupResult<'_, Vec<u8>>]) -> Answer {
        let mut records = Vec::with_capacity(found.len());
        for result in found {
            match result.decode::<Value>() {
                Ok(Some(Value::Object(record))) => records.push(record),
                Ok(Some(_) | None) => {}
                Err(error) => return self.unreadable(&error),
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

    fn unreadable(&self, error: &MaxMindDbError) -> Answer {
        tracing::debug!(lookup = &*self.name, %error, "a record cannot be read");
        Answer::Failed
    }
}

impl Lookup for Databases {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        let opened = self.current.load();
        keys.iter().map(|key| self.answer(&opened, key)).collect()
    }

    fn fetch_addresses(&self, addresses: &[IpAddr]) -> Vec<Answer> {
        let opened = self.current.load();
        addresses.iter().map(|address| self.place(&opened, *address)).collect()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        let same = self.paths.iter().zip(&current.databases).all(|(path, database)| {
            Fingerprint::of(path).is_ok_and(|now| now == database.fingerprint)
        });
        if same {
            return Ok(Reloaded::Unchanged);
        }
        let fresh = read(&self.name, &self.paths)?;
        for ((path, old), new) in self.paths.iter().zip(&current.databases).zip(&fresh.databases) {
            check::is_newer(&self.name, path, old, new)?;
        }
        check::check(&self.bound, &fresh.databases).map_err(OpenError::into_world)?;
        self.current.store(Arc::new(fresh));
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(Reloaded::Replaced)
    }

    fn holds(&self) -> Holding {
        let opened = self.current.load();
        let databases = &opened.databases;
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
    /// Where the address leads; `None` for an address of a family that the database does not know.
    fn find(&self, address: IpAddr) -> Result<Option<LookupResult<'_, Vec<u8>>>, MaxMindDbError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        self.reader.lookup(address).map(Some)
    }
}

fn read(name: &str, paths: &[PathBuf]) -> Result<Opened, WorldError> {
    let databases: Vec<Database> =
        paths.iter().map(|path| read_one(name, path)).collect::<Result<_, _>>()?;
    let bytes: u64 = databases.iter().map(|database| database.fingerprint.length).sum();
    Ok(Opened { databases, records: Records::new(bytes as usize) })
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
    let broken = |error: MaxMindDbError| {
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
    places(field, column).find_map(|path| {
        records.iter().find_map(|record| row::fit(row::at_path(record, path)?, ty))
    })
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
