//! `doctor`: what sample events and the rules disagree about: fields that are not as declared, and places where most events fault.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use logmon_dsl::{
    assist::Assist,
    column::{Absence, Batch, Names, View, load},
    diagnostic::{Severity, has_errors},
    eval::Evaluator,
    infer::{Misfit, Seen, misfits},
    plan::SiteId,
    program::Analysis,
    span::Place,
};

use super::{
    Entry, analysis, draw,
    given::{Around, Options},
    read_input, refused, say,
};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    /// A file with one event as JSON a line, `-` for standard input
    #[arg(long, value_name = "FILE")]
    on: PathBuf,
    /// What fewer events than this share of them meet is not told, in percent
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    over: u8,
    /// Print the findings as JSON, one object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    given: Options,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    source: String,
    events: u64,
    /// Lines that are no events.
    rejected: u64,
    fields: Vec<Field>,
    sites: Vec<Site>,
}

/// A field that is not as declared.
#[derive(Debug, serde::Serialize)]
struct Field {
    path: String,
    declared: String,
    percent: u64,
    instead: &'static str,
    advice: Option<String>,
    at: Option<Place>,
}

/// A place in a rule where events fault.
#[derive(Debug, serde::Serialize)]
struct Site {
    rule: String,
    #[serde(rename = "site")]
    label: String,
    cause: &'static str,
    faults: u64,
    percent: u64,
    at: Place,
}

/// Events evaluated together.
const TOGETHER: usize = 512;

pub(super) fn doctor(arguments: &Arguments) -> Exit {
    let mut analysis = analysis(&arguments.entry.rules);
    if has_errors(&analysis.diagnostics) {
        analysis.diagnostics.retain(|one| one.severity == Severity::Error);
        draw(&analysis.diagnostics, &analysis.loaded.sources);
        return refused(&arguments.entry.rules);
    }
    let rules = arguments.entry.rules.display().to_string();
    let around = arguments.given.around(&analysis.plan, &rules);
    let examined = around.and_then(|around| examine(arguments, &analysis, around));
    let report = match examined {
        Ok(report) => report,
        Err(message) => {
            eprintln!("{message}");
            return Exit::Usage;
        }
    };
    if arguments.json {
        say(serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        report.print(&arguments.on);
    }
    if report.fields.is_empty() && report.sites.is_empty() { Exit::Fine } else { Exit::Rules }
}

fn examine(arguments: &Arguments, analysis: &Analysis, around: Around) -> Result<Report, String> {
    let text = read_input(&arguments.on)?;
    let source = &analysis.plan.sources[around.source];
    let mut seen = Seen::default();
    let mut rejected = 0;
    let mut events: Vec<&[u8]> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match seen.add(line) {
            Ok(()) => events.push(line.trim().as_bytes()),
            Err(_) => rejected += 1,
        }
    }
    if events.is_empty() {
        return Err(format!("{} holds no event: one JSON object a line", arguments.on.display()));
    }
    let assist = Assist::new(analysis);
    let over = u64::from(arguments.over);
    let field = |misfit: Misfit| {
        let keys: Vec<&str> = misfit.path.iter().map(String::as_str).collect();
        let at = assist.field_of_source(&source.name, &keys);
        Field {
            path: format!(".{}", misfit.path.join(".")),
            declared: misfit.declared,
            percent: misfit.wrong * 100 / misfit.of.max(1),
            instead: misfit.instead,
            advice: misfit.advice,
            at: at.map(|at| analysis.loaded.sources.place(at)),
        }
    };
    // The built-in shape is nobody's to change.
    let fields = if source.is_log { Vec::new() } else { misfits(&source.shape, &seen) };
    let mut fields: Vec<Field> = fields.into_iter().map(field).collect();
    fields.retain(|field| field.percent >= over);
    fields.sort_by_key(|field| std::cmp::Reverse(field.percent));
    let mut sites = sites(analysis, around, &events);
    sites.retain(|site| site.percent >= over);
    sites.sort_by_key(|site| std::cmp::Reverse(site.percent));
    Ok(Report {
        source: source.name.to_string(),
        events: events.len() as u64,
        rejected,
        fields,
        sites,
    })
}

/// Faults by place and cause, over the events that the place's rule took.
fn sites(analysis: &Analysis, mut around: Around, events: &[&[u8]]) -> Vec<Site> {
    let plan = Arc::new(analysis.plan.clone());
    let mut evaluator = Evaluator::new(Arc::clone(&plan));
    let mut names = Names::default();
    let mut matched = vec![0_u64; plan.rules.len()];
    let mut faults: BTreeMap<(SiteId, &'static str), u64> = BTreeMap::new();
    for events in events.chunks(TOGETHER) {
        let mut batch = Batch::new(&plan.layout);
        // What `serde_json` reads the decoder reads, too.
        if load::load(&mut batch, &plan.layout, &mut names, events).is_err() {
            continue;
        }
        batch.meta.source = around.source;
        batch.meta.topic = Arc::clone(&plan.sources[around.source].name);
        batch.meta.offsets = (0..events.len() as i64).collect();
        batch.meta.times = vec![around.now; events.len()];
        batch.meta.keys = vec![View::absent(Absence::Missing); events.len()];
        batch.meta.headers = vec![View::absent(Absence::Missing); events.len()];
        let outcome = evaluator.run(&mut batch, &names, &mut around.lookups, false);
        for (rule, count) in outcome.rules.iter().enumerate() {
            matched[rule] += count.matched;
        }
        for (site, cause, rows) in &outcome.faults {
            *faults.entry((*site, cause.name())).or_default() += u64::from(*rows);
        }
    }
    faults
        .into_iter()
        .map(|((site, cause), faults)| {
            let site = &plan.sites[site.0 as usize];
            Site {
                rule: plan.rule(site.rule).label.to_string(),
                label: site.label.to_string(),
                cause,
                faults,
                percent: faults * 100 / matched[site.rule.0 as usize].max(1),
                at: analysis.loaded.sources.place(site.span),
            }
        })
        .collect()
}

impl Report {
    fn print(&self, on: &Path) {
        say(format_args!("{}: {} events of {}", on.display(), self.events, self.source));
        if self.rejected > 0 {
            say(format_args!("{} lines are no events", self.rejected));
        }
        for field in &self.fields {
            let Field { path, declared, percent, instead, .. } = field;
            let holds = if *instead == "nothing" {
                format!("{percent} % of events have no `{path}`")
            } else {
                format!("{percent} % of events carry {instead} in `{path}`")
            };
            let place = field.at.as_ref().map_or_else(String::new, place);
            say(format_args!("\n{holds}, declared `{declared}`{place}"));
            if let Some(advice) = &field.advice {
                say(format_args!("  did you mean `{advice}`?"));
            }
        }
        for site in &self.sites {
            let Site { rule, label, cause, faults, percent, at } = site;
            say(format_args!(
                "\n{percent} % of the events that {rule} takes fault at `{label}`: {cause} ({faults} times){}",
                place(at)
            ));
        }
        if self.fields.is_empty() && self.sites.is_empty() {
            say("nothing to tell: fields are as declared, and no place faults often");
        }
    }
}

fn place(at: &Place) -> String {
    format!("  {}:{}:{}", at.path, at.line, at.column)
}
