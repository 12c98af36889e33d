//! Results for a person and for a machine.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::arguments::Arguments;

/// Prints lines.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// A table as Markdown: it reads well in a terminal, and is pasted into a README as it is.
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    /// The head, then the rows.
    lines: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Self { title: title.into(), lines: vec![head] }
    }

    /// Adds a row: what it is of, and its cells.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.lines.push(std::iter::once(name.into()).chain(cells).collect());
    }

    /// Adds a row of numbers with that many digits behind the point.
    pub fn numbers(&mut self, name: impl Into<String>, digits: usize, numbers: &[f64]) {
        self.row(name, numbers.iter().map(|number| format!("{number:.digits$}")));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..self.lines[0].len()).map(width).collect();
        writeln!(f, "{}\n", self.title)?;
        for (number, line) in self.lines.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let cell = line.get(column).map_or("", String::as_str);
                if column == 0 {
                    write!(f, "| {cell:<width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)?;
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width - 1);
                    let dashes = if column == 0 {
                        format!("| {dashes}- |")
                    } else {
                        format!(" {dashes}: |")
                    };
                    f.write_str(&dashes)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Prints tables, and writes them where `--table` says and the results as JSON where `--json` says.
pub fn publish(
    arguments: &Arguments,
    results: &impl Serialize,
    tables: &[Table],
) -> anyhow::Result<()> {
    let text = tables.iter().map(Table::to_string).collect::<Vec<_>>().join("\n");
    say(&text)?;
    write_text(arguments.text("table"), &text)?;
    write(arguments.text("json"), results)
}

/// Writes results as JSON, if a file for them was named.
pub fn write(path: Option<&str>, results: &impl Serialize) -> anyhow::Result<()> {
    write_text(path, &(serde_json::to_string_pretty(results)? + "\n"))
}

/// Writes a text, if a file for it was named.
pub fn write_text(path: Option<&str>, text: &str) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    // Cargo runs benches in their package's folder: a relative path is taken from where cargo was called, when that is known.
    let place = match std::env::var_os("PWD") {
        Some(folder) if Path::new(path).is_relative() => Path::new(&folder).join(path),
        _ => path.into(),
    };
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(&place, text).with_context(|| format!("{}", place.display()))?;
    say(&format!("written to {}", place.display()))
}
