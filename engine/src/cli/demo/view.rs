//! The live view: rates by rule, lag, rows, last lines.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    time::Instant,
};

use crossterm::{cursor, execute, queue, terminal};

use super::{
    engine::{Engine, Events},
    setup::Stage,
};

/// Draws over itself on a terminal, prints lines elsewhere.
pub(super) struct View {
    terminal: bool,
    before: HashMap<String, u64>,
    read: u64,
    at: Instant,
}

impl View {
    pub(super) fn new(terminal: bool) -> Self {
        if terminal {
            let _shown =
                execute!(io::stdout(), terminal::Clear(terminal::ClearType::All), cursor::Hide);
        }
        Self { terminal, before: HashMap::new(), read: 0, at: Instant::now() }
    }

    /// Shows the state now.
    pub(super) fn draw(
        &mut self,
        stage: &Stage,
        engine: &Engine,
        events: &Events,
        produced: u64,
    ) -> anyhow::Result<()> {
        let rows = stage.rows()?;
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        self.at = Instant::now();
        let rate = (events.read - self.read.min(events.read)) as f64 / seconds;
        self.read = events.read;
        let lag = produced.saturating_sub(events.read);
        let mut out = io::stdout();
        if !self.terminal {
            println!(
                "{rate:>9.0} events/s  read {}  delivered {}  dropped {}  dead-lettered {}  open {}  lag {lag}  rows {rows}",
                events.read, events.delivered, events.dropped, events.dead_lettered, events.open
            );
            return Ok(());
        }
        let mut lines = vec![
            format!("logmon-engine demo   {}   Ctrl-C ends it", engine.url()),
            String::new(),
            format!("  events/s {rate:>10.0}     lag {lag:>9}     rows in ClickHouse {rows:>12}"),
            format!(
                "  read {}  delivered {}  dropped {}  dead-lettered {}  open {}",
                events.read, events.delivered, events.dropped, events.dead_lettered, events.open
            ),
            String::new(),
            format!(
                "  {:<40} {:>10} {:>12} {:>12} {:>9}",
                "rule", "events/s", "matched", "dropped", "faults"
            ),
        ];
        for rule in engine.rules()? {
            let before =
                self.before.insert(rule.label.clone(), rule.matched).unwrap_or(rule.matched);
            let matched = rule.matched.saturating_sub(before) as f64 / seconds;
            let dropped: u64 = rule.dropped.values().sum();
            let faults: u64 = rule.faults.values().sum();
            lines.push(format!(
                "  {:<40} {matched:>10.0} {:>12} {dropped:>12} {faults:>9}",
                rule.label, rule.matched
            ));
        }
        lines.push(String::new());
        lines.push(format!("  {}   edit and save: reloads show below", stage.rules.display()));
        let (width, height) = terminal::size().unwrap_or((120, 40));
        let (width, height) = (usize::from(width.max(20)), usize::from(height.max(2)) - 1);
        let said: Vec<String> =
            engine.said(height).lines().flat_map(|line| wrap(line, width - 2)).collect();
        let room = height.saturating_sub(lines.len());
        lines
            .extend(said[said.len().saturating_sub(room)..].iter().map(|line| format!("  {line}")));
        queue!(out, cursor::MoveTo(0, 0))?;
        for line in lines.iter().take(height) {
            let shown: String = line.chars().take(width).collect();
            write!(out, "{shown}")?;
            queue!(out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
            write!(out, "\r\n")?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()?;
        Ok(())
    }

    /// Gives the terminal back.
    pub(super) fn end(&self) {
        if self.terminal {
            let _shown = execute!(io::stdout(), cursor::Show);
        }
    }
}

/// Cuts a line into pieces that fit the screen, so that the end of a sentence is never lost.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    if chars.is_empty() {
        return vec![String::new()];
    }
    chars.chunks(width).map(|piece| piece.iter().collect()).collect()
}
