//! Real Kafka, ClickHouse, PostgreSQL and Valkey on this machine, without containers: for tests, the demo and benches.
//!
//! What is installed or running already is used, the rest is fetched once into a cache folder outside
//! the checkout. Servers listen on loopback only, have ports and data of their own, and end with the
//! process that started them.
//!
//! | Variable | Means |
//! | --- | --- |
//! | `LOGMON_KAFKA` | `host:port` of a running broker, which [`Kafka::start`] then uses |
//! | `LOGMON_CLICKHOUSE` | `http://user:password@host:port` of a running server, which [`ClickHouse::start`] then uses |
//! | `LOGMON_SERVICES_DIR` | the cache folder; else `$XDG_CACHE_HOME/logmon-services`, else `~/.cache/logmon-services` |
//!
//! ```no_run
//! # fn main() -> Result<(), logmon_services::ServiceError> {
//! let kafka = logmon_services::Kafka::start()?;
//! let clickhouse = logmon_services::ClickHouse::start()?;
//! println!("{} {}", kafka.brokers(), clickhouse.url());
//! # Ok(())
//! # }
//! ```

pub mod background;
mod cache;
mod clickhouse;
mod error;
mod fetch;
mod folder;
mod http;
mod kafka;
mod port;
mod postgres;
mod process;
mod progress;
mod server;
mod tool;
mod valkey;

pub use cache::cache_folder;
pub use clickhouse::ClickHouse;
pub use error::ServiceError;
pub use fetch::geoip::geoip_country_mmdb;
pub use kafka::{Kafka, KafkaCluster, KafkaOptions, SecureKafka, Tls, USERS, User};
pub use postgres::Postgres;
pub use valkey::Valkey;
