//! The engine's tests, one binary.

#[cfg(test)]
mod config;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod mmdb;
#[cfg(test)]
mod tls;
