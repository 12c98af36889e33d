//! The tables of a bundle: which sinks write into which, and which one takes dead letters.

use std::sync::Arc;

use logmon_dsl::plan::SinkType;

use super::Place;
use crate::{
    config::{self, SinkKind},
    pipeline::bundle::{BindError, Bundle, DEAD_LETTER_TABLE, Outlet, World, clients},
    sink::clickhouse::{Client, Compression, Table},
};

/// Columns by which a row is known.
const IDENTITY: [&str; 4] = ["kafka_topic", "kafka_partition", "kafka_offset", "emit_ix"];

/// A table that rows or letters go to. Sinks that write into one table share it.
#[derive(Debug)]
pub struct Target {
    /// `database.table`.
    pub name: String,
    /// The sinks that write into it.
    pub sinks: Vec<Arc<str>>,
    /// Its servers. Rows go to the first; the others are asked, too, where each has rows of its own.
    pub clients: Vec<Arc<Client>>,
    /// The table.
    pub table: Arc<Table>,
    /// Whether it takes the dead letters.
    pub is_letters: bool,
    /// Whether its rows can be told apart by where they came from.
    pub is_known: bool,
    pub(super) compression: Compression,
}

/// Every table of a bundle, where each sink's rows go, and which table takes letters.
pub type Places = (Arc<[Target]>, Vec<Place>, Option<usize>);

/// Finds the tables of a bundle.
pub fn places(world: &World, bundle: &Bundle) -> Result<Places, BindError> {
    let mut targets: Vec<Target> = Vec::new();
    let mut by_sink = Vec::new();
    for (number, (outlet, decl)) in bundle.outlets.iter().zip(&bundle.plan.sinks).enumerate() {
        by_sink.push(match outlet {
            Outlet::Table { binding, .. } => {
                Place::Table(target(&mut targets, world, &decl.name, &binding.table)?)
            }
            Outlet::Topic { .. } => Place::Topic(number as u32),
        });
    }
    let mut letters = None;
    if let Some((table, outbox)) = &bundle.dead_letters.table {
        let sink = outbox.name().split('/').next().unwrap_or_default();
        let at = target(&mut targets, world, sink, table)?;
        targets[at].is_letters = true;
        letters = Some(at);
    }
    Ok((targets.into(), by_sink, letters))
}

fn target(
    targets: &mut Vec<Target>,
    world: &World,
    sink: &str,
    table: &Arc<Table>,
) -> Result<usize, BindError> {
    let Some((name, settings)) = world.config.sinks.get_key_value(sink) else {
        return Err(BindError::Config(format!("there is no [sink.{sink}]")));
    };
    let SinkKind::ClickHouse(place) = &settings.kind else {
        return Err(BindError::Config(format!("[sink.{sink}] is no table")));
    };
    let full = format!("{}.{}", table.database, table.name);
    let known = targets
        .iter()
        .position(|known| known.name == full && known.clients[0].endpoint().url == place.urls[0]);
    if let Some(at) = known {
        if !targets[at].sinks.contains(name) {
            targets[at].sinks.push(Arc::clone(name));
        }
        return Ok(at);
    }
    let mut servers = clients(settings, place)?;
    if table.engine.starts_with("Replicated") || table.engine.starts_with("Shared") {
        servers.truncate(1);
    }
    targets.push(Target {
        name: full,
        sinks: vec![Arc::clone(name)],
        clients: servers,
        is_letters: false,
        is_known: IDENTITY.iter().all(|column| table.column(column).is_some()),
        table: Arc::clone(table),
        compression: match settings.compression {
            config::Compression::None => Compression::None,
            config::Compression::Lz4 => Compression::Lz4,
            config::Compression::Zstd => Compression::Zstd,
        },
    });
    Ok(targets.len() - 1)
}

impl Target {
    /// The server that rows are sent to.
    pub fn client(&self) -> &Arc<Client> {
        &self.clients[0]
    }
}

/// The sink and the table that take dead letters, as `logmon.toml` and the rules name them; `None` where only a topic does.
pub fn letters_table(
    config: &config::Config,
    plan: &logmon_dsl::plan::Plan,
) -> Option<(Arc<str>, String)> {
    let Some(settings) = &config.dead_letter else {
        let first =
            config.sinks.values().find(|sink| matches!(sink.kind, SinkKind::ClickHouse(_)))?;
        return Some((Arc::clone(&first.name), DEAD_LETTER_TABLE.to_owned()));
    };
    let sink = config.sinks.get(&settings.sink)?;
    let SinkKind::ClickHouse(table) = &sink.kind else { return None };
    let named = plan.sink(&settings.sink).and_then(|id| match &plan.sinks[id.0 as usize].ty {
        SinkType::Table(name) => Some(&**name),
        SinkType::Record(_) => None,
    });
    let name = table.table.as_deref().or(named).unwrap_or(DEAD_LETTER_TABLE);
    Some((Arc::clone(&sink.name), name.to_owned()))
}
