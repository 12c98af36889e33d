//! `dlq`: dead letters looked at, judged once more, given up.

use std::collections::BTreeMap;

use super::{
    place::{Opened, Place, fail, fail_all},
    print::{moment, safe, safe_bytes, short, table},
    say,
};
use crate::{
    clock::{Clock as _, SystemClock},
    error::Exit,
    repair::{
        Repair, Trouble, actions, incarnation,
        letters::{By, Filter, Letter, Letters},
        range, runtime,
    },
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List dead letters, those nobody settled, in the order of their records
    List(List),
    /// Show one dead letter, with the bytes as they came
    Show(Show),
    /// Count dead letters
    Stats(Stats),
    /// Judge dead letters by the current rules and store what comes of it, once
    Redrive(Redrive),
    /// Give dead letters up: they are marked, not deleted
    Discard(Discard),
}

/// Which letters are meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// Why they are dead, such as `not_json`
    #[arg(long)]
    reason: Option<String>,
    /// The rule that decided it: its name, or file/group/rule
    #[arg(long)]
    rule: Option<String>,
    /// The sink that they did not reach
    #[arg(long)]
    sink: Option<String>,
    /// Records from that time on: 2026-05-01T10:00:00Z, or 90m (ago)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Records before that time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Records of that topic
    #[arg(long)]
    topic: Option<String>,
    /// Records of that partition
    #[arg(long)]
    partition: Option<i32>,
    /// Records with these offsets: 1200..1300 (without 1300), or 1200
    #[arg(long, value_name = "A..B")]
    offset: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Also letters that were redriven or discarded
    #[arg(long)]
    all: bool,
    /// So many at most
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// The topic, partition and offset, as in logs.in/0/1234; perhaps with the number of the output behind them: logs.in/0/1234/1
    letter: String,
    /// One JSON object; `raw` is base64
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// What letters are counted by
    #[arg(long, value_enum, default_value = "reason")]
    by: By,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Redrive {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Every open letter
    #[arg(long)]
    all: bool,
    /// Say what would happen, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a letter, and one at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Every open letter
    #[arg(long)]
    all: bool,
    /// Why they are given up: it is written down
    #[arg(long, value_name = "TEXT")]
    because: String,
}

impl Which {
    fn filter(&self) -> Result<Filter, Trouble> {
        let now = SystemClock::new().now();
        let moment = |text: &Option<String>| {
            text.as_deref().map(|text| range::moment(text, now)).transpose().map_err(Trouble::Usage)
        };
        Ok(Filter {
            reason: self.reason.clone(),
            rule: self.rule.clone(),
            sink: self.sink.clone(),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            topic: self.topic.clone(),
            partition: self.partition,
            offsets: self
                .offset
                .as_deref()
                .map(range::offsets)
                .transpose()
                .map_err(Trouble::Usage)?,
            emit_ix: None,
            settled: false,
        })
    }

    /// A filter that somebody chose on purpose.
    fn chosen(&self, all: bool) -> Result<Filter, Trouble> {
        let filter = self.filter()?;
        if filter.is_empty() && !all {
            return Err(Trouble::Usage(
                "say which letters are meant (--reason, --rule, --sink, --since, --offset …), or --all for every open one"
                    .to_owned(),
            ));
        }
        Ok(filter)
    }
}

pub(super) fn dlq(command: &Command) -> Exit {
    let done = match command {
        Command::List(arguments) => list(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Stats(arguments) => stats(arguments),
        Command::Redrive(arguments) => redrive(arguments),
        Command::Discard(arguments) => discard(arguments),
    };
    match done {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Asks something of the table of letters, without anything else of a running engine.
fn ask<T>(
    opened: &Opened,
    question: impl FnOnce(&Letters, &tokio::runtime::Runtime) -> Result<T, Trouble>,
) -> Result<T, Exit> {
    let (config, plan) = (&opened.config, &opened.program.plan);
    let answer = || {
        let runtime = runtime()?;
        let run = format!("{:016x}", incarnation());
        let actions = actions(config, plan, &runtime, &run)?;
        question(&Letters::open(config, plan, &runtime, actions)?, &runtime)
    };
    answer().map_err(|trouble| fail(&trouble))
}

fn list(arguments: &List) -> Result<Exit, Exit> {
    let opened = arguments.place.open()?;
    let filter = arguments.which.filter().map_err(|trouble| fail(&trouble))?;
    let filter = Filter { settled: arguments.all, ..filter };
    let found = ask(&opened, |letters, runtime| {
        Ok(runtime.block_on(letters.list(&filter, arguments.limit))?)
    })?;
    if arguments.json {
        for letter in &found {
            say(serde_json::to_string(letter).expect("a letter is plain data"));
        }
        return Ok(Exit::Fine);
    }
    if found.is_empty() {
        say("no dead letters");
        return Ok(Exit::Fine);
    }
    let mut rows =
        vec![["letter", "time", "reason", "sink", "rule", "state", "cause"].map(String::from)];
    for letter in &found {
        rows.push([
            safe(&letter.place()),
            moment(letter.time),
            safe(&letter.reason),
            safe(&letter.sink),
            safe(&letter.rule),
            state(letter).to_owned(),
            short(&letter.cause, 60),
        ]);
    }
    table(&rows);
    if found.len() as u64 == arguments.limit {
        say(format_args!("the first {}; --limit shows more", found.len()));
    }
    Ok(Exit::Fine)
}

fn state(letter: &Letter) -> &str {
    match &*letter.state {
        "" => "open",
        "dead_again" => "dead again",
        other => other,
    }
}

fn show(arguments: &Show) -> Result<Exit, Exit> {
    let opened = arguments.place.open()?;
    let (position, offset, emit_ix) =
        range::position(&arguments.letter).map_err(|why| fail(&Trouble::Usage(why)))?;
    let filter = Filter {
        topic: Some(position.topic.to_string()),
        partition: Some(position.partition),
        offsets: Some(offset..offset + 1),
        emit_ix,
        settled: true,
        ..Filter::default()
    };
    let found: Vec<(Letter, Vec<u8>)> = ask(&opened, |letters, runtime| {
        let found = runtime.block_on(letters.list(&filter, 1000))?;
        let raws = runtime.block_on(letters.raws(&found.iter().collect::<Vec<_>>()))?;
        Ok(found.into_iter().zip(raws).collect())
    })?;
    if found.is_empty() {
        eprintln!("there is no dead letter {}", arguments.letter);
        return Ok(Exit::Rules);
    }
    for (index, (letter, raw)) in found.iter().enumerate() {
        if arguments.json {
            let mut value = serde_json::to_value(letter).expect("a letter is plain data");
            value["raw"] = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, raw).into();
            say(value);
            continue;
        }
        if index > 0 {
            say("");
        }
        show_letter(letter, raw, &opened);
    }
    Ok(Exit::Fine)
}

fn show_letter(letter: &Letter, raw: &[u8], opened: &Opened) {
    let line = |name: &str, text: &str| {
        if !text.is_empty() {
            say(format_args!("{name:<9}{text}"));
        }
    };
    line("letter", &safe(&letter.place()));
    line("time", &moment(letter.time));
    line("reason", &safe(&letter.reason));
    line("cause", &safe(&letter.cause));
    line("sink", &safe(&letter.sink));
    line("rule", &safe(&letter.rule));
    line("site", &safe(&letter.site));
    line("at", &site(letter, opened));
    line("bundle", &safe(&letter.bundle));
    line("key", &safe(&letter.key));
    for (name, value) in &letter.headers {
        line("header", &format!("{}: {}", safe(name), safe(value)));
    }
    let acted =
        if letter.acted == 0 { String::new() } else { format!(", {}", moment(letter.acted)) };
    line("state", &format!("{}{acted}", state(letter)));
    line("outcome", &safe(&letter.outcome));
    let kept = if letter.kept == letter.raw_bytes {
        format!("{} bytes", letter.kept)
    } else {
        format!("{} of {} bytes kept", letter.kept, letter.raw_bytes)
    };
    line("raw", &kept);
    say(safe_bytes(raw));
}

/// Where the rule, or the place in it, stands now, as `path:line`.
fn site(letter: &Letter, opened: &Opened) -> String {
    let plan = &opened.program.plan;
    let Some(number) = plan.rules.iter().position(|rule| *rule.label == *letter.rule) else {
        return String::new();
    };
    let site = plan
        .sites
        .iter()
        .find(|site| site.rule.0 as usize == number && *site.label == *letter.site);
    let span = site.map_or(plan.rules[number].span, |site| site.span);
    let at = opened.sources.place(span);
    let hash = opened.program.hash.to_hex();
    let since = if hash.starts_with(&letter.bundle) { "" } else { " (in today's rules)" };
    format!("{}:{}{since}", safe(&at.path), at.line)
}

fn stats(arguments: &Stats) -> Result<Exit, Exit> {
    let opened = arguments.place.open()?;
    let filter = arguments.which.filter().map_err(|trouble| fail(&trouble))?;
    let groups = ask(&opened, |letters, runtime| {
        Ok(runtime.block_on(letters.stats(&filter, arguments.by))?)
    })?;
    if arguments.json {
        for group in &groups {
            say(serde_json::to_string(group).expect("a group is plain data"));
        }
        return Ok(Exit::Fine);
    }
    if groups.is_empty() {
        say("no dead letters");
        return Ok(Exit::Fine);
    }
    let name = match arguments.by {
        By::Reason => "reason",
        By::Rule => "rule",
        By::Sink => "sink",
        By::Hour => "hour",
    };
    let mut rows =
        vec![[name, "letters", "open", "first", "last", "for example"].map(String::from)];
    for group in &groups {
        rows.push([
            if group.name.is_empty() { "-".to_owned() } else { safe(&group.name) },
            group.letters.to_string(),
            group.open.to_string(),
            moment(group.first),
            moment(group.last),
            short(&group.example, 60),
        ]);
    }
    table(&rows);
    Ok(Exit::Fine)
}

fn redrive(arguments: &Redrive) -> Result<Exit, Exit> {
    let filter = arguments.which.chosen(arguments.all).map_err(|trouble| fail(&trouble))?;
    let Opened { config, program, .. } = arguments.place.open()?;
    let repair = Repair::open(config, program).map_err(|troubles| fail_all(&troubles))?;
    let work = || {
        let letters = repair.letters()?;
        let mut hear = |outcome: &crate::repair::redrive::Outcome| {
            if arguments.json {
                say(serde_json::to_string(outcome).expect("an outcome is plain data"));
            } else {
                let crate::repair::redrive::Outcome { letter, reason, fate, how } = outcome;
                say(format_args!(
                    "{} ({}): {} {}",
                    safe(letter),
                    safe(reason),
                    fate.name(),
                    safe(how)
                ));
            }
        };
        repair.redrive(&letters, &filter, arguments.dry_run, &mut hear)
    };
    let report = work().map_err(|trouble| fail(&trouble))?;
    if arguments.json {
        say(serde_json::to_string(&report).expect("a report is plain data"));
    } else {
        let count = |map: &BTreeMap<&'static str, u64>| -> String {
            let parts: Vec<String> = map.iter().map(|(name, n)| format!("{n} {name}")).collect();
            if parts.is_empty() {
                "no open letter is meant by that".to_owned()
            } else {
                parts.join(", ")
            }
        };
        let would = if report.dry_run { "nothing was sent; it would be: " } else { "" };
        say(format_args!("{would}{}", count(&report.letters)));
        for (name, rows) in &report.rows {
            let verb = if report.dry_run { "would get" } else { "got" };
            say(format_args!("{} {verb} {rows} rows", safe(name)));
        }
        say(format_args!("rules {}, run {}", report.bundle, repair.run));
    }
    let failed =
        report.letters.contains_key("dead again") || report.letters.contains_key("refused");
    Ok(if failed { Exit::Rules } else { Exit::Fine })
}

fn discard(arguments: &Discard) -> Result<Exit, Exit> {
    let filter = arguments.which.chosen(arguments.all).map_err(|trouble| fail(&trouble))?;
    if arguments.because.trim().is_empty() {
        eprintln!("say --because of what they are given up: whoever looks for them later will ask");
        return Err(Exit::Usage);
    }
    let opened = arguments.place.open()?;
    let n = ask(&opened, |letters, runtime| {
        Ok(runtime.block_on(letters.discard(&filter, &arguments.because))?)
    })?;
    say(format_args!(
        "{n} dead letters are marked as discarded; they stay in the table, `dlq list --all` shows them"
    ));
    Ok(Exit::Fine)
}
