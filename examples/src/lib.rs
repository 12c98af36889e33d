//! What the small programs share: rules from text, and events in memory run through them.

use std::{path::Path, sync::Arc};

use logmon_dsl::{
    column::{Batch, Names, View, load},
    eval::{Evaluator, Lookups, RowFate, print_routed},
    plan::Plan,
    program::{Mode, Reader, compile},
    render::render,
};

/// One text, whatever file is asked for.
struct Text<'a>(&'a str);

impl Reader for Text<'_> {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

/// Compiles rules; the error is what a person would see.
pub fn plan_of(rules: &str) -> Result<Arc<Plan>, String> {
    let compiled = compile(Path::new("example.rules"), &Text(rules), Mode::Run);
    match compiled.program {
        Some(program) => Ok(Arc::new(program.plan)),
        None => Err(render(&compiled.diagnostics, &compiled.sources, false)),
    }
}

/// Runs events through a plan, all in one batch, and says of each what became of it.
pub fn run(
    plan: &Arc<Plan>,
    events: &[&str],
    lookups: &mut dyn Lookups,
) -> Result<Vec<String>, String> {
    let mut names = Names::default();
    let mut batch = Batch::new(&plan.layout);
    let payloads: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    load::load(&mut batch, &plan.layout, &mut names, &payloads)
        .map_err(|(event, error)| format!("event {event} was refused: {error}"))?;
    // Where events come from is the caller's to say; these come from nowhere, at the start of 1970.
    batch.meta.offsets = (0..events.len() as i64).collect();
    batch.meta.times = vec![0; events.len()];
    batch.meta.keys = vec![View::MISSING; events.len()];

    let outcome = Evaluator::new(Arc::clone(plan)).run(&mut batch, &names, lookups, false);
    let mut lines = Vec::new();
    for (row, fate) in outcome.fates.iter().enumerate() {
        match fate {
            RowFate::Dropped { rule, reason } => {
                let reason = &outcome.reasons[*reason as usize];
                lines.push(format!("dropped by {} as \"{reason}\"", plan.rule(*rule).name));
            }
            RowFate::Unrouted => lines.push("dropped: no route took it".to_owned()),
            RowFate::Routed => {
                for routed in
                    outcome.routed.iter().filter(|routed| routed.rows.contains(&(row as u32)))
                {
                    let mut event = Vec::new();
                    print_routed(&mut event, &batch, plan, &names, routed, row);
                    let sink = &plan.sinks[routed.sink.0 as usize].name;
                    lines.push(format!("{sink} <- {}", String::from_utf8_lossy(&event)));
                }
            }
        }
    }
    Ok(lines)
}
