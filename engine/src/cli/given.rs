//! Options of commands that take events from outside a stream: the source, the time, answers of lookups.

use std::{collections::BTreeMap, path::PathBuf};

use logmon_dsl::plan::Plan;

use crate::{
    clock::{Clock as _, SystemClock},
    lookup::LookupSet,
};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The source that the events come from; the first declared one if left out
    #[arg(long)]
    source: Option<String>,
    /// What `now()` and each record's timestamp say, such as 2026-05-01T10:00:00Z; the current time if left out
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// Answers of a lookup: NAME=FILE, where the file is a JSON object of keys and rows
    #[arg(long, value_name = "NAME=FILE")]
    lookup: Vec<String>,
}

/// What the options mean for one plan.
pub(super) struct Around {
    /// The source's number.
    pub(super) source: usize,
    /// Nanoseconds.
    pub(super) now: i64,
    pub(super) lookups: LookupSet,
}

impl Options {
    /// Finds what is named, or says what a person should change; `rules` is how the file is shown.
    pub(super) fn around(&self, plan: &Plan, rules: &str) -> Result<Around, String> {
        let source = match &self.source {
            None if plan.sources.is_empty() => {
                return Err(format!(
                    "{rules} declares no source, so no event has a shape; declare one: `source app`"
                ));
            }
            None => 0,
            Some(name) => {
                plan.sources.iter().position(|source| *source.name == **name).ok_or_else(|| {
                    let known: Vec<&str> =
                        plan.sources.iter().map(|source| &*source.name).collect();
                    format!("no source is called `{name}`; there are: {}", known.join(", "))
                })?
            }
        };
        let now = match &self.now {
            None => SystemClock::new().now(),
            Some(text) => text
                .parse::<jiff::Timestamp>()
                .ok()
                .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
                .ok_or_else(|| {
                    format!("`{text}` is no time; write it like 2026-05-01T10:00:00Z")
                })?,
        };
        let mut files = BTreeMap::new();
        for binding in &self.lookup {
            let Some((name, file)) = binding.split_once('=') else {
                return Err(format!("`{binding}` binds no lookup; write it like users=users.json"));
            };
            if !plan.lookups.iter().any(|lookup| *lookup.name == *name) {
                return Err(format!("no lookup is called `{name}`"));
            }
            files.insert(name.to_owned(), PathBuf::from(file));
        }
        let lookups = LookupSet::of_files(&plan.lookups, &files).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })?;
        Ok(Around { source, now, lookups })
    }
}
