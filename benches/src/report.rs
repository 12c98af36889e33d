//! Results for a person and for a machine.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::Serialize;

/// Prints lines.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes results as JSON, if a file for them was named.
pub fn write(path: Option<&str>, results: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(results)?;
    // Cargo runs benches in their package's folder: a relative path is taken from where cargo was called, when that is known.
    let place = match std::env::var_os("PWD") {
        Some(folder) if Path::new(path).is_relative() => Path::new(&folder).join(path),
        _ => path.into(),
    };
    fs::write(&place, text + "\n").with_context(|| format!("{}", place.display()))?;
    say(&format!("written to {}", place.display()))
}
