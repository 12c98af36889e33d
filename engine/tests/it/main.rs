//! The test binary of the engine.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod clickhouse;
#[cfg(test)]
mod config;
#[cfg(test)]
mod decode;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod e2e;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod mmdb;
#[cfg(test)]
mod model;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
