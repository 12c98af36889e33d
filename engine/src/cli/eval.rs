//! `eval`: rules over events from standard input, and what becomes of each. Needs no network.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
};

use logmon_dsl::{
    column::{Batch, View, batch::Payload, json, print},
    eval::{Evaluator, Outcome, RowFate, print_routed},
    plan::Plan,
    program::Mode,
};

use super::{
    Entry, compile, dead_letter,
    given::{Around, Options},
    rule_name,
};
use crate::{
    decode::{Decoder, Limits, Reject},
    error::Exit,
    lookup::LookupSet,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    entry: Entry,
    #[command(flatten)]
    given: Options,
}

/// Events evaluated together: what a lane would do. The results do not depend on it.
const TOGETHER: usize = 512;

/// Where an event goes that is no JSON: the name of the stage that decided.
const DECODE: &str = "decode";

pub(super) fn eval(arguments: &Arguments) -> Exit {
    match evaluate(arguments) {
        Ok(()) => Exit::Fine,
        Err((exit, message)) => {
            if !message.is_empty() {
                eprintln!("{message}");
            }
            exit
        }
    }
}

fn evaluate(arguments: &Arguments) -> Result<(), (Exit, String)> {
    let usage = |message: String| (Exit::Usage, message);
    let program =
        compile(&arguments.entry.rules, Mode::Run).map_err(|exit| (exit, String::new()))?;
    let plan = Arc::new(program.plan);
    let rules = arguments.entry.rules.display().to_string();
    let Around { source, now, lookups } = arguments.given.around(&plan, &rules).map_err(usage)?;
    let dead_letter = dead_letter(&arguments.entry.rules);
    let mut desk = Desk {
        decoder: Decoder::new(Arc::new(plan.layout.clone())),
        evaluator: Evaluator::new(Arc::clone(&plan)),
        batch: Batch::new(&plan.layout),
        lookups,
        plan,
        source,
        now,
        dead_letter,
        line: 0,
    };
    match desk.run(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        // Who closed the output, as `head` does, has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended.map_err(|error| (Exit::World, error.to_string())),
    }
}

struct Desk {
    plan: Arc<Plan>,
    decoder: Decoder,
    evaluator: Evaluator,
    batch: Batch,
    lookups: LookupSet,
    source: usize,
    now: i64,
    dead_letter: String,
    line: u64,
}

impl Desk {
    fn run(&mut self, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
        loop {
            let mut lines = Vec::with_capacity(TOGETHER);
            while lines.len() < TOGETHER {
                let mut line = Vec::new();
                if input.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                lines.push(line);
            }
            if lines.is_empty() {
                return output.flush();
            }
            self.batch(&lines, output)?;
        }
    }

    fn batch(&mut self, lines: &[Vec<u8>], output: &mut impl Write) -> io::Result<()> {
        let batch = &mut self.batch;
        batch.reset(&self.plan.layout);
        let payloads: Vec<Payload> = lines
            .iter()
            .map(|line| {
                let kept = &line[..line.len().min(Limits::default().max_bytes)];
                let offset = batch.arena.push(kept) as u32;
                Payload { offset, len: line.len() as u32, null: false }
            })
            .collect();
        batch.arena.pad();
        let decoded = self.decoder.decode(batch, &payloads, &Limits::default());
        let first = self.line;
        batch.meta.source = self.source;
        batch.meta.topic = Arc::clone(&self.plan.sources[self.source].name);
        batch.meta.offsets =
            decoded.kept.iter().map(|&record| (first + u64::from(record)) as i64).collect();
        batch.meta.times = vec![self.now; decoded.kept.len()];
        batch.meta.keys = vec![View::MISSING; decoded.kept.len()];
        batch.meta.headers = vec![View::MISSING; decoded.kept.len()];
        let outcome = self.evaluator.run(batch, self.decoder.names_mut(), &mut self.lookups, true);

        let mut rejected = decoded.rejected.iter().peekable();
        let mut rows = decoded.kept.iter().enumerate().peekable();
        let mut text = Vec::new();
        for record in 0..lines.len() as u32 {
            self.line += 1;
            text.clear();
            if let Some((_, reject)) = rejected.next_if(|(at, _)| *at == record) {
                self.write_reject(&mut text, reject);
            } else if let Some((row, _)) = rows.next_if(|&(_, &at)| at == record) {
                self.write_row(&mut text, &outcome, row);
            }
            text.push(b'\n');
            output.write_all(&text)?;
        }
        Ok(())
    }

    fn write_reject(&self, out: &mut Vec<u8>, reject: &Reject) {
        self.write_head(out, "dead_lettered", Some(DECODE), Some(reject.name()));
        out.extend_from_slice(b",\"routes\":[],\"faults\":[]}");
    }

    fn write_head(&self, out: &mut Vec<u8>, fate: &str, by: Option<&str>, reason: Option<&str>) {
        out.extend_from_slice(
            format!("{{\"line\":{},\"fate\":\"{fate}\",\"by\":", self.line).as_bytes(),
        );
        for (index, text) in [by, reason].into_iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b",\"reason\":");
            }
            match text {
                Some(text) => json::write_string(out, text.as_bytes()),
                None => out.extend_from_slice(b"null"),
            }
        }
    }

    fn write_row(&mut self, out: &mut Vec<u8>, outcome: &Outcome, row: usize) {
        let routes: Vec<_> = outcome
            .routed
            .iter()
            .flat_map(|routed| routed.rows.iter().map(move |at| (routed, *at as usize)))
            .filter(|(_, at)| outcome.origin(*at) == row)
            .collect();
        let sink_name = |routed: &logmon_dsl::eval::Routed| {
            Arc::clone(&self.plan.sinks[routed.sink.0 as usize].name)
        };
        let dead = routes.iter().find(|(routed, _)| *sink_name(routed) == *self.dead_letter);
        match (dead, routes.first(), outcome.event_fates()[row]) {
            (Some((dead, row)), ..) => {
                let reason = dead
                    .args
                    .iter()
                    .find(|(path, _)| path.len() == 1 && &*path[0] == "reason")
                    .map(|(_, column)| {
                        let mut text = Vec::new();
                        print::plain(&mut text, &print::value(&self.batch.arena, column, *row));
                        String::from_utf8_lossy(&text).into_owned()
                    });
                let by =
                    dead.rule.map_or_else(|| sink_name(dead), |rule| rule_name(&self.plan, rule));
                self.write_head(out, "dead_lettered", Some(&by), reason.as_deref());
            }
            (None, Some((first, _)), _) => {
                self.write_head(out, "delivered", Some(&sink_name(first)), None);
            }
            (None, None, RowFate::Dropped { rule, reason }) => {
                let reason = &outcome.reasons[reason as usize];
                self.write_head(out, "dropped", Some(&rule_name(&self.plan, rule)), Some(reason));
            }
            (None, None, RowFate::Routed | RowFate::Unrouted) => {
                self.write_head(out, "dropped", Some("unrouted"), Some("unrouted"));
            }
        }
        out.extend_from_slice(b",\"routes\":[");
        let own = routes.iter().map(|(routed, at)| (&self.batch, *routed, *at));
        // Rows of windows stand with the event that closed them.
        let line = self.batch.meta.offsets[row];
        let rolled = outcome.rolled.iter().flat_map(|rolled| {
            let rows = rolled.routed.iter().flat_map(move |routed| {
                routed.rows.iter().map(move |at| (&rolled.batch, routed, *at as usize))
            });
            rows.filter(move |(batch, _, at)| batch.meta.offsets[*at] == line)
        });
        for (index, (batch, routed, at)) in own.chain(rolled).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"sink\":");
            json::write_string(out, sink_name(routed).as_bytes());
            out.extend_from_slice(b",\"event\":");
            print_routed(out, batch, &self.plan, self.decoder.names(), routed, at);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"faults\":[");
        let mut first = true;
        for (at, site, cause) in &outcome.fault_rows {
            if *at as usize != row {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            let site = &self.plan.sites[site.0 as usize];
            out.extend_from_slice(b"{\"rule\":");
            json::write_string(out, rule_name(&self.plan, site.rule).as_bytes());
            out.extend_from_slice(b",\"site\":");
            json::write_string(out, site.label.as_bytes());
            out.extend_from_slice(b",\"cause\":");
            json::write_string(out, cause.name().as_bytes());
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
}
