//! How far a download is: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Bytes,
    Files,
}

impl Unit {
    fn show(self, n: u64) -> String {
        match self {
            Self::Bytes => HumanBytes(n).to_string(),
            Self::Files => format!("{n} files"),
        }
    }
}

/// One thing being fetched.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    unit: Unit,
    total: u64,
    /// None where nobody watches a bar.
    bar: Option<ProgressBar>,
    quarters_told: u64,
    begun: Instant,
}

impl Progress {
    /// Begins with nothing of `total` done.
    pub(crate) fn begin(what: &str, total: u64, unit: Unit) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let count = match unit {
                Unit::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}",
                Unit::Files => "{pos}/{len} files",
            };
            let template = format!("{{msg}} [{{bar:30}}] {count} {{elapsed}}");
            let style = ProgressStyle::with_template(&template).expect("the template is ours");
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(format!("fetching {what}"));
            bar
        });
        if bar.is_none() {
            note(&format!("fetching {what} ({})", unit.show(total)));
        }
        Self { what: what.to_owned(), unit, total, bar, quarters_told: 0, begun: Instant::now() }
    }

    /// So much is done now.
    pub(crate) fn at(&mut self, done: u64) {
        let done = done.min(self.total);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        // A line a quarter: enough to see life in a log, few enough to read it.
        let quarter = (done * 4).checked_div(self.total).unwrap_or(0).min(3);
        if quarter > self.quarters_told {
            self.quarters_told = quarter;
            let (done, total) = (self.unit.show(done), self.unit.show(self.total));
            note(&format!("fetching {}: {done} of {total}", self.what));
        }
    }

    /// All is done.
    pub(crate) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        note(&format!("fetched {} in {:.0} s", self.what, self.begun.elapsed().as_secs_f64()));
    }
}

/// Says one line on standard error; a closed standard error is nobody's problem.
pub(crate) fn note(line: &str) {
    let written = writeln!(io::stderr(), "services: {line}");
    drop(written);
}
