//! Which tables take each row once: what the configuration asks for, and what the table allows.

use std::{path::PathBuf, sync::Arc};

use logmon_dsl::plan::Plan;

use super::table::ExactTable;
use crate::{
    config::{self, Delivery},
    delivery::intent::BundleId,
    pipeline::{
        bundle::{BindError, Bundle, Outlet, World},
        sinks::{compression, world},
    },
    sink::clickhouse::{Binding, Client, Inserter, Table, presence},
};

/// A table that may be one.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The sink's name.
    pub name: &'a Arc<str>,
    /// What the sink's `delivery` says.
    pub delivery: Option<Delivery>,
    /// The servers.
    pub clients: &'a [Arc<Client>],
    /// The table.
    pub table: &'a Table,
    /// Which column takes what.
    pub binding: &'a Binding,
    /// When a block has grown enough.
    pub limits: config::Batch,
    /// How blocks are compressed.
    pub compression: config::Compression,
}

impl World {
    /// The table as exactly-once knows it; `None` where it is written at least once.
    ///
    /// What was asked for and is not possible is an error; what nobody asked for is said in the log, with the reason.
    pub fn exact(&self, candidate: &Candidate<'_>) -> Result<Option<Arc<ExactTable>>, BindError> {
        let Candidate { name, delivery, clients, table, binding, limits, compression: by } =
            candidate;
        if delivery.unwrap_or(UNSET) == Delivery::AtLeastOnce {
            return Ok(None);
        }
        let client = clients.first().expect("a sink has a server");
        let asked = async {
            if clients.len() > 1 {
                // Which of them has a unit could only be told where all are replicas of one table.
                return Ok(Some("the sink has several servers".to_owned()));
            }
            presence::obstacle(client, table, binding).await
        };
        let place = format!("{}.{}", table.database, table.name);
        match self.runtime.block_on(asked).map_err(world)? {
            Some(why) if *delivery == Some(Delivery::ExactlyOnce) => {
                return Err(BindError::World(format!(
                    "[sink.{name}] delivery = \"exactly-once\" is not possible into {place}: {why}"
                )));
            }
            Some(why) => {
                tracing::info!(sink = %name, table = %place, "at least once: {why}");
                return Ok(None);
            }
            None => {}
        }
        let mut known = self.exact_tables.lock().expect("no thread panics while it holds tables");
        let table = known.entry(format!("{name} {place}")).or_insert_with(|| {
            tracing::info!(sink = %name, table = %place, "exactly once");
            Arc::new(ExactTable::new(
                Arc::clone(name),
                Inserter::new(Arc::clone(client)),
                compression(*by),
                *limits,
                self.metrics.sink(name),
                Arc::clone(&self.status),
                Arc::clone(&self.changed),
            ))
        });
        Ok(Some(Arc::clone(table)))
    }

    /// Saves the files of a bundle before any intent can name it. Where that is not possible, and nobody asked for each row once, its tables are
    /// written at least once.
    pub fn keep(
        &self,
        plan: &Plan,
        hash: &blake3::Hash,
        files: &[(PathBuf, blake3::Hash)],
        outlets: &mut [Outlet],
    ) -> Result<(), BindError> {
        let is_exact = |outlet: &Outlet| matches!(outlet, Outlet::Table { exact: Some(_), .. });
        if !outlets.iter().any(is_exact) {
            return Ok(());
        }
        let Err(error) = self.save_bundle(hash, files) else { return Ok(()) };
        let mut sinks = plan.sinks.iter().map(|sink| &self.config.sinks[&sink.name]);
        if sinks.any(|sink| sink.delivery == Some(Delivery::ExactlyOnce)) {
            return Err(error);
        }
        tracing::warn!("at least once: {error}");
        for outlet in outlets {
            if let Outlet::Table { exact, .. } = outlet {
                *exact = None;
            }
        }
        Ok(())
    }
}

/// What a sink promises that says nothing, where its table allows it.
const UNSET: Delivery = Delivery::ExactlyOnce;

impl Bundle {
    /// What intents call it.
    pub fn id(&self) -> BundleId {
        BundleId::from_hex(&self.hash).expect("a hash has 64 hexadecimal digits")
    }

    /// Whether any table takes each row once.
    pub fn is_exact(&self) -> bool {
        self.outlets.iter().any(|outlet| matches!(outlet, Outlet::Table { exact: Some(_), .. }))
    }

    /// Every table that takes each row once, with its quoted name.
    pub fn exact_tables(&self) -> Vec<(Arc<ExactTable>, Arc<str>)> {
        let sinks = self.outlets.iter().filter_map(|outlet| match outlet {
            Outlet::Table { binding, exact: Some(exact), .. } => {
                Some((Arc::clone(exact), Arc::from(binding.table.quoted())))
            }
            Outlet::Table { .. } | Outlet::Topic { .. } => None,
        });
        let dead = &self.dead_letters;
        let letters = dead.exact.as_ref().zip(dead.table.as_ref());
        let letters =
            letters.map(|(exact, (table, _))| (Arc::clone(exact), Arc::from(table.quoted())));
        let mut all: Vec<(Arc<ExactTable>, Arc<str>)> = Vec::new();
        for one in sinks.chain(letters) {
            if all.iter().all(|known| known.1 != one.1) {
                all.push(one);
            }
        }
        all
    }
}
