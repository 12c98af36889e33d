//! ClickHouse as a shared library, from npm: the only registry with a server of this year's in it.

use std::path::PathBuf;

use crate::cache::{Cache, verify};
use crate::error::ServiceError;
use crate::fetch::npm::{Package, fetch};

/// `select version()` says 26.7.2.1. The version is named because `latest` is older.
const PACKAGE: Package = Package {
    what: "ClickHouse 26.7",
    spec: "@chdb/lib-linux-x64-gnu@26.7.3-stable.1",
    archive: "chdb-lib-linux-x64-gnu-26.7.3-stable.1.tgz",
    bytes: 177_817_999,
    sha256: "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad",
    files: &["libchdb.so", "package.json"],
};
const LIBRARY_SHA256: &str = "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5";

/// Returns libchdb.so, fetching it if need be.
pub(crate) fn library(cache: &Cache) -> Result<PathBuf, ServiceError> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(ServiceError::Platform);
    }
    let folder = cache.filled("chdb-26.7.3-stable.1", |staging| {
        fetch(&PACKAGE, staging)?;
        verify(&staging.join("libchdb.so"), LIBRARY_SHA256)
    })?;
    Ok(folder.join("libchdb.so"))
}
