//! `import`: what other programs understand, as rules.

use std::path::PathBuf;

use logmon_dsl::import;

use super::{read_input, say};
use crate::error::Exit;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A grok pattern as a `pat"…"` literal; where that would mean something else, as `grok"…"`
    Grok {
        /// The pattern, such as '%{IP:client} %{WORD:method}'
        pattern: String,
    },
    /// A VRL program as a rule; what has no counterpart becomes comments, and the exit code 1
    Vrl {
        /// The program; `-` reads standard input
        file: PathBuf,
        /// The rule's name; the file's if left out
        #[arg(long)]
        name: Option<String>,
        /// The source that the rule stands on
        #[arg(long)]
        source: Option<String>,
    },
}

pub(super) fn import(command: &Command) -> Exit {
    match command {
        Command::Grok { pattern } => grok(pattern),
        Command::Vrl { file, name, source } => {
            let text = match read_input(file) {
                Ok(text) => text,
                Err(message) => {
                    eprintln!("{message}");
                    return Exit::Usage;
                }
            };
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name = name.clone().unwrap_or_else(|| rule_name(&stem));
            vrl(&name, source.as_deref(), &text)
        }
    }
}

fn grok(pattern: &str) -> Exit {
    let made = import::grok(pattern);
    say(&made.text);
    for note in &made.notes {
        eprintln!("note: {note}");
    }
    match made.why_not {
        None => Exit::Fine,
        Some(why) => {
            eprintln!("no `pat`: {why}");
            Exit::Rules
        }
    }
}

fn vrl(name: &str, source: Option<&str>, text: &str) -> Exit {
    let made = import::vrl(name, source, text);
    say(made.text.trim_end());
    for one in &made.untranslated {
        eprintln!("line {}: {}: {}", one.line, one.text, one.why);
    }
    eprintln!(
        "{} statements translated, {} not; `check` says what types make of them",
        made.n_translated,
        made.untranslated.len()
    );
    if made.untranslated.is_empty() { Exit::Fine } else { Exit::Rules }
}

/// A file's name as a rule's.
fn rule_name(stem: &str) -> String {
    let mut name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert_str(0, "imported_");
    }
    name
}
