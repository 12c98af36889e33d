//! Every function's examples: written as rules, checked, run over one event.

use std::{path::Path, sync::Arc};

use logmon_dsl::{
    column::Absence,
    functions,
    plan::AssignOp,
    program::{Mode, Reader, compile},
    render,
};

use crate::plans::run;

struct One(String);

impl Reader for One {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// What an expression gives, as JSON; nothing where it is absent.
fn give(expression: &str) -> Result<String, String> {
    let rules = format!(
        "source app : {{ ... }}\nsink out : {{ ... }}\nrule r on app {{\n  .out = {expression}\n}}\ndefault route to out\n"
    );
    let compiled = compile(Path::new("main.rules"), &One(rules), Mode::Test);
    let Some(program) = compiled.program else {
        return Err(render::render(&compiled.diagnostics, &compiled.sources, false));
    };
    let plan = Arc::new(program.plan);
    assert!(matches!(
        plan.rules[0].body[0],
        logmon_dsl::plan::Stmt::Assign { op: AssignOp::Set, .. }
    ));
    let shown = run(&plan, &["{}"]).remove(0);
    let event = shown.strip_prefix("routed | out#0 ").unwrap_or(&shown);
    let (event, fault) = event.split_once(" | ").unwrap_or((event, ""));
    match event.strip_prefix("{\"out\":").and_then(|rest| rest.strip_suffix('}')) {
        Some(value) => Ok(value.to_owned()),
        None => Ok(fault.rsplit(' ').next().unwrap_or_default().to_owned()),
    }
}

fn is_cause(text: &str) -> bool {
    Absence::ALL.iter().any(|why| why.name() == text)
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for function in functions::all() {
        for &(expression, expected) in function.examples {
            let fits = match give(expression) {
                Ok(given) if given == expected => continue,
                // An example may say that nothing comes out without saying why.
                Ok(given) if expected == "absent" && is_cause(&given) => continue,
                Ok(given) => given,
                Err(drawn) => drawn,
            };
            wrong.push(format!("{expression} = {expected}, but {fits}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}
