//! ClickHouse as a sink: a table's columns read from the server, rows as Native blocks, inserts over our own connections.
//!
//! The way of a row: [`bind`] says once which column takes which path, [`TableBuilder::append`] decodes a route's rows straight
//! into the columns' own types, a full [`Finished`] becomes a [`Block`] of compressed frames, the [`Inserter`] sends it.

pub mod append;
pub mod bind;
pub mod block;
mod buffer;
pub mod builder;
mod cell;
pub mod codes;
pub mod columns;
pub mod compress;
pub mod cut;
pub mod ddl;
pub mod dead_letter;
mod dictionary;
pub mod endpoints;
pub mod errors;
pub mod http;
pub mod insert;
pub mod partition;
mod place;
mod pool;
pub mod presence;
mod read;
pub mod reply;
mod rest;
pub mod schema;
mod stored;
mod straight;
mod text;
mod time;
pub mod ttl;
pub mod types;

pub use append::{AppendReport, Context, DeadRow, Loss};
pub use bind::{Binding, OnAbsent, Options, bind};
pub use block::{Block, Finished};
pub use builder::{Part, TableBuilder};
pub use compress::Compression;
pub use cut::Rows;
pub use dead_letter::{DeadLetter, DeadLetters, Raw};
pub use endpoints::{Endpoints, Stick};
pub use errors::{Class, Classes, SinkError};
pub use http::{Client, Endpoint, Hand};
pub use insert::Inserter;
pub use pool::Shelf;
pub use schema::Table;
