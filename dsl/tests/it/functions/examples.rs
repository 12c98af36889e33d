//! Every example of the reference, from text to JSON.

use std::{path::Path, sync::Arc};

use logmon_dsl::{
    functions,
    program::{Mode, Reader, compile},
    render::render,
};

use crate::plans::run;

/// One file.
struct Text(String);

impl Reader for Text {
    fn read(&self, _path: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        assert_eq!(name, "example");
        Ok("Jefe".to_owned())
    }
}

/// What an expression gives, or what is wrong with it.
fn evaluate(expression: &str) -> String {
    let text = format!(
        "source app : {{ ... }}\nsink out : {{ ... }}\n\nrule r on app {{\n  .out = {expression}\n}}\n\ndefault route to out\n"
    );
    let compilation = compile(Path::new("t.rules"), &Text(text), Mode::Run);
    let Some(program) = compilation.program else {
        return render(&compilation.diagnostics, &compilation.sources, false);
    };
    let lines = run(&Arc::new(program.plan), &["{}"]);
    match lines[0].split_once("{\"out\":") {
        Some((_, rest)) => rest[..rest.rfind('}').unwrap_or(0)].to_owned(),
        None => lines[0].clone(),
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for function in functions::all() {
        for (expression, expected) in function.examples {
            let result = evaluate(expression);
            if result != *expected {
                wrong.push(format!("{expression}\n  gives    {result}\n  expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
