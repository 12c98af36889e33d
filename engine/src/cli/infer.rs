//! `schema infer`: the first draft of a type, from sample events.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use logmon_dsl::{
    infer::{Seen, draft},
    span::FileId,
    syntax,
};

use super::say;
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files with one event as JSON a line; `-` or nothing reads standard input
    events: Vec<PathBuf>,
    /// The name of the type
    #[arg(long, default_value = "Event")]
    name: String,
}

/// Lines that are no events are named so many times; the rest is counted.
const NAMED_MAX: usize = 5;

pub(super) fn infer(arguments: &Arguments) -> Exit {
    let mut seen = Seen::default();
    match read_all(&arguments.events, &mut seen) {
        Err(message) => {
            eprintln!("{message}");
            return Exit::Usage;
        }
        Ok(_) if seen.total == 0 => {
            eprintln!("there is no event: one JSON object a line is needed");
            return Exit::Usage;
        }
        Ok(_) => {}
    }
    let text = draft(&arguments.name, &seen);
    match syntax::format(FileId::default(), &text) {
        Ok(styled) => {
            say(styled.trim_end());
            Exit::Fine
        }
        // Only the name comes from outside.
        Err(_) => {
            eprintln!("`{}` is no name of a type; write it like `--name Event`", arguments.name);
            Exit::Usage
        }
    }
}

/// Reads events from files or standard input; says on standard error which lines are none, and returns how many.
pub(super) fn read_all(files: &[PathBuf], seen: &mut Seen) -> Result<u64, String> {
    let mut wrong = 0;
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() { &standard_input[..] } else { files };
    for path in files {
        let input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Box::new(BufReader::new(file))
        };
        for (number, line) in input.split(b'\n').enumerate() {
            let line = line.map_err(|error| format!("{}: {error}", path.display()))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let said = match std::str::from_utf8(&line) {
                Ok(text) => seen.add(text),
                Err(_) => Err("it is not UTF-8".to_owned()),
            };
            if let Err(why) = said {
                wrong += 1;
                if wrong <= NAMED_MAX as u64 {
                    eprintln!("{}:{}: no event: {why}", path.display(), number + 1);
                }
            }
        }
    }
    if wrong > NAMED_MAX as u64 {
        eprintln!("{} more lines are no events", wrong - NAMED_MAX as u64);
    }
    Ok(wrong)
}
