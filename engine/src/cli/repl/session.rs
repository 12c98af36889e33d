//! What a line means: the program, the names declared so far, the current event.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use logmon_dsl::{
    assist::Assist,
    diagnostic::{Diagnostic, Severity, has_errors},
    plan::{ExprId, RuleId},
    program::{self, Analysis, Reader},
    render::render,
    span::{FileId, Sources, Span},
    syntax,
    trace::{self, Given},
};

use super::Arguments;
use crate::{
    cli::{FileSystem, color, draw, given::Around, read_input, refused},
    error::Exit,
};

/// What stands in for a program where there is none: events that may hold anything.
const NO_PROGRAM: &str = "source event : { ... }\nsink out : { ... }\ndefault route to out\n";

const HELP: &str = "\
an expression         its value and type over the current event
a statement           what it does to the event, which stays changed
rule r when … { … }   what the rule makes of the event
const, fn, type       a name for later lines
{\"json\": \"object\"}    the current event from now on
:event                the current event
:next                 the next event of the file
:load FILE            events from a file, one JSON object a line
:run                  all rules of the program over the event
:quit                 the end, as Ctrl-D";

/// Events of a file that are kept at hand.
const EVENTS_MAX: usize = 100_000;

pub(super) struct Session {
    rules: Option<PathBuf>,
    /// Constants, functions and types of earlier lines.
    declared: String,
    event: String,
    /// Events to come.
    events: VecDeque<String>,
    around: Around,
    /// The name of the source, and of a file that is none.
    source: String,
    entry: PathBuf,
}

/// The entry with lines before its own text.
struct Overlay<'s> {
    entry: &'s Path,
    text: String,
}

impl Reader for Overlay<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        if path == self.entry { Ok(self.text.clone()) } else { FileSystem.read(path) }
    }
}

impl Session {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, (Exit, String)> {
        let usage = |message: String| (Exit::Usage, message);
        let entry = arguments.rules.clone().unwrap_or_else(|| PathBuf::from("repl.rules"));
        // One path for one file, as the loader has it.
        let entry: PathBuf = entry.components().collect();
        let text = base(arguments.rules.as_deref()).map_err(usage)?;
        let analysis = program::analyze(&entry, &Overlay { entry: &entry, text });
        if has_errors(&analysis.diagnostics) {
            draw(&analysis.diagnostics, &analysis.loaded.sources);
            return Err((refused(&entry), String::new()));
        }
        let shown = entry.display().to_string();
        let around = arguments.given.around(&analysis.plan, &shown).map_err(usage)?;
        let source = analysis.plan.sources[around.source].name.to_string();
        let mut session = Self {
            rules: arguments.rules.clone(),
            declared: String::new(),
            event: "{}".to_owned(),
            events: VecDeque::new(),
            around,
            source,
            entry,
        };
        if let Some(path) = &arguments.on {
            session.load(path).map_err(usage)?;
        }
        Ok(session)
    }

    /// The answer to a line; nothing ends the conversation.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let answer = match word {
            "" => Ok(String::new()),
            ":quit" | ":q" | ":exit" => return None,
            ":help" | ":h" | ":?" => Ok(HELP.to_owned()),
            ":event" => Ok(self.event.clone()),
            ":next" => self.next(),
            ":load" => self.load(Path::new(rest.trim())),
            ":run" => self.run(),
            _ if word.starts_with(':') => Err(format!("there is no `{word}`; `:help` lists all")),
            "const" | "fn" | "type" => self.declare(line),
            "rule" => self.rule(line),
            _ if is_object(line) => {
                line.clone_into(&mut self.event);
                Ok(String::new())
            }
            _ => {
                let (_, wrong) = syntax::parse_expr(FileId::default(), line);
                if has_errors(&wrong) && looks_like_statement(line) {
                    self.statement(line)
                } else {
                    self.expression(line)
                }
            }
        };
        Some(answer.unwrap_or_else(|message| message))
    }

    /// What may be written at a place of a line: what is shown, and what is inserted.
    pub(super) fn complete(&self, line: &str, at: usize) -> (usize, Vec<(String, String)>) {
        let before = format!("rule repl on {} when ", self.source);
        let Ok(base) = base(self.rules.as_deref()) else { return (at, Vec::new()) };
        let text = format!("{before}{line} {{ return }}\n{}{base}", self.declared);
        let analysis = program::analyze(&self.entry, &Overlay { entry: &self.entry, text });
        let (replaced, found) =
            Assist::new(&analysis).complete(FileId::default(), before.len() + at);
        let start = (replaced.start as usize).saturating_sub(before.len()).min(at);
        let typed = line[start..at].to_lowercase();
        let found = found
            .into_iter()
            .filter(|one| one.label.to_lowercase().starts_with(&typed))
            .map(|one| {
                // Up to the first place for the cursor.
                let insert = one.insert.split("$1").next().unwrap_or_default().to_owned();
                let detail = if one.detail.is_empty() { one.doc } else { one.detail };
                (format!("{}  {detail}", one.label), insert)
            });
        (start, found.collect())
    }

    fn given(&self) -> Given<'_> {
        Given { event: &self.event, source: self.around.source, now: self.around.now }
    }

    /// The program with a line before it. What is wrong with the line is drawn as the line's own; `hidden` is how much was put before it.
    fn analyze(&self, line: &str, hidden: usize) -> Result<Analysis, String> {
        let text = format!("{line}\n{}{}", self.declared, base(self.rules.as_deref())?);
        let analysis = program::analyze(&self.entry, &Overlay { entry: &self.entry, text });
        let errors: Vec<Diagnostic> = analysis
            .diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .cloned()
            .collect();
        if errors.is_empty() {
            return Ok(analysis);
        }
        let mut sources = Sources::new();
        let shown = line.get(hidden..).unwrap_or_default().trim_end_matches(" }");
        let own = sources.add("line", shown);
        let inside = |at: Span| at.file == FileId::default() && at.end as usize <= line.len();
        if !errors.iter().all(|one| inside(one.at)) {
            return Err(render(&errors, &analysis.loaded.sources, color()));
        }
        let moved = |at: Span| {
            let back = |place: u32| (place as usize).saturating_sub(hidden).min(shown.len());
            Span::new(own, back(at.start), back(at.end))
        };
        let errors: Vec<Diagnostic> = errors
            .into_iter()
            .map(|mut one| {
                one.at = moved(one.at);
                one.related.retain(|(at, _)| inside(*at));
                one.related.iter_mut().for_each(|(at, _)| *at = moved(*at));
                if let Some(help) = &mut one.help {
                    help.edits.retain(|(at, _)| inside(*at));
                    help.edits.iter_mut().for_each(|(at, _)| *at = moved(*at));
                }
                one
            })
            .collect();
        Err(render(&errors, &sources, color()))
    }

    fn expression(&mut self, line: &str) -> Result<String, String> {
        let before = format!("rule repl on {} {{ let _value = ", self.source);
        let analysis = self.analyze(&format!("{before}{line} }}"), before.len())?;
        let at = |place: Span| {
            place.file == FileId::default()
                && place.start as usize >= before.len()
                && place.end as usize <= before.len() + line.len()
        };
        // The outermost expression is noted last.
        let noted = analysis.notes.exprs.iter().rev().find(|noted| at(noted.at));
        let Some(noted) = noted else { return Err("this has no value".to_owned()) };
        let (id, ty): (ExprId, _) = (noted.id, noted.ty.to_string());
        let given = Given { event: &self.event, source: self.around.source, now: self.around.now };
        let value = trace::value(&analysis, given, id, &mut self.around.lookups)?;
        Ok(format!("{value}  : {ty}"))
    }

    fn statement(&mut self, line: &str) -> Result<String, String> {
        let before = format!("rule repl on {} {{ ", self.source);
        let analysis = self.analyze(&format!("{before}{line} }}"), before.len())?;
        let given = Given { event: &self.event, source: self.around.source, now: self.around.now };
        let after = trace::after(&analysis, given, RuleId(0), &mut self.around.lookups)?;
        self.event.clone_from(&after);
        Ok(after)
    }

    fn rule(&mut self, line: &str) -> Result<String, String> {
        let mut analysis = self.analyze(line, 0)?;
        // The rules of the program would run behind it.
        analysis.plan.steps.truncate(1);
        analysis.plan.default_route.clear();
        let given = Given { event: &self.event, source: self.around.source, now: self.around.now };
        let wanted = |rule: RuleId| rule == RuleId(0);
        let mut trace = trace::trace(&analysis, given, &mut self.around.lookups, &wanted)?;
        trace.rules.truncate(1);
        Ok(trace::draw(&analysis.plan, &trace, &wanted))
    }

    fn run(&mut self) -> Result<String, String> {
        let analysis = self.analyze("", 0)?;
        let given = Given { event: &self.event, source: self.around.source, now: self.around.now };
        let lookups = &mut self.around.lookups;
        let first = trace::trace(&analysis, given, lookups, &|_| false)?;
        let wanted = |rule: RuleId| first.rules[rule.0 as usize].met == trace::Met::Taken;
        let trace = trace::trace(&analysis, given, lookups, &wanted)?;
        Ok(trace::draw(&analysis.plan, &trace, &wanted))
    }

    fn declare(&mut self, line: &str) -> Result<String, String> {
        self.analyze(line, 0)?;
        self.declared.push_str(line);
        self.declared.push('\n');
        Ok(String::new())
    }

    fn load(&mut self, path: &Path) -> Result<String, String> {
        let text = read_input(path)?;
        let lines = text.lines().map(str::trim).filter(|line| is_object(line));
        self.events = lines.take(EVENTS_MAX).map(str::to_owned).collect();
        let n = self.events.len();
        self.next().map_err(|_| format!("{} holds no event", path.display()))?;
        Ok(format!("{n} events; `:next` shows the next one\n{}", self.event))
    }

    fn next(&mut self) -> Result<String, String> {
        let next = self.events.pop_front();
        self.event = next.ok_or("there is no further event; `:load FILE` reads some")?;
        Ok(self.given().event.to_owned())
    }
}

/// The text of the program.
fn base(rules: Option<&Path>) -> Result<String, String> {
    rules.map_or_else(|| Ok(NO_PROGRAM.to_owned()), read_input)
}

fn is_object(line: &str) -> bool {
    line.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
}

/// Whether a line that is no expression may be a statement.
fn looks_like_statement(line: &str) -> bool {
    let word: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    line.starts_with('.')
        || matches!(
            word.as_str(),
            "let"
                | "if"
                | "drop"
                | "return"
                | "route"
                | "emit"
                | "sample"
                | "limit"
                | "dedup"
                | "del"
                | "keep"
                | "rename"
                | "tag"
                | "count"
        )
}

/// Whether brackets are open at the end of a text, so that it goes on.
pub(super) fn is_open(text: &str) -> bool {
    let mut depth = 0_i64;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                while let Some(inside) = letters.next() {
                    match inside {
                        '\\' => drop(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '#' => return depth > 0,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    depth > 0
}
