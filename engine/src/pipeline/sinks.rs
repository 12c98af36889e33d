//! A table's settings in the words of the sink that writes it.

use std::{fmt::Write as _, sync::Arc};

use super::{bundle::BindError, deliver::Carrier};
use crate::{
    config::{self, ClickHouseSink},
    error::WorldError,
    sink::clickhouse::{Client, Compression, Endpoints, OnAbsent, Options, SinkError},
};

/// How a sink's blocks leave.
pub(super) fn carrier(clients: Vec<Arc<Client>>, by: config::Compression) -> Carrier {
    let endpoints = Arc::new(Endpoints::new(clients));
    Carrier::Table { endpoints, compression: compression(by) }
}

/// How blocks are compressed, in the sink's own words.
pub(super) fn compression(by: config::Compression) -> Compression {
    match by {
        config::Compression::None => Compression::None,
        config::Compression::Lz4 => Compression::Lz4,
        config::Compression::Zstd => Compression::Zstd,
    }
}

/// What a sink's settings say of columns.
pub(super) fn options(sink: &ClickHouseSink) -> Options {
    let on_absent = match sink.on_absent {
        Some(config::OnAbsent::Dlq) => OnAbsent::Dlq,
        // What `error` refuses is refused by the checker, before rows are built.
        Some(config::OnAbsent::Default | config::OnAbsent::Error) | None => OnAbsent::Default,
    };
    Options {
        on_absent,
        columns: sink.columns.iter().map(|(column, path)| (column.clone(), path.clone())).collect(),
        rest: sink.rest.clone(),
        accept_time: (sink.accept_time.past, sink.accept_time.future),
    }
}

/// A sink's error at start.
pub(super) fn world(error: SinkError) -> BindError {
    BindError::World(error.sentence)
}

/// An error with what caused it, in one line.
pub(super) fn sentence(error: &WorldError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        let _ = write!(text, ": {why}");
        cause = why.source();
    }
    text
}
