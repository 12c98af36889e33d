//! What the same work costs in other ways: VRL, and `serde_json` alone.

use anyhow::anyhow;
use logmon_benches::clock::thread_cpu;
use vrl::{
    compiler::{Program, TargetValue, TimeZone, runtime::Runtime, state::RuntimeState},
    value::{KeyString, ObjectMap, Secrets, Value},
};

const PROGRAM: &str = include_str!("../../rules/ten.vrl");

/// What a walk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Printed {
    /// Events that the program did not drop.
    pub(crate) kept: usize,
    /// Those of them that are errors.
    pub(crate) errors: usize,
    /// JSON bytes.
    pub(crate) bytes: usize,
}

/// The ten rules in VRL.
pub(crate) struct Vrl {
    program: Program,
    runtime: Runtime,
    out: Vec<u8>,
}

impl Vrl {
    /// Compiles the program.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let compiled = vrl::compiler::compile(PROGRAM, &vrl::stdlib::all())
            .map_err(|errors| anyhow!("rules/ten.vrl does not compile: {errors:?}"))?;
        Ok(Self {
            program: compiled.program,
            runtime: Runtime::new(RuntimeState::default()),
            out: Vec::new(),
        })
    }

    /// Walks over all events: text in, text out, and the CPU nanoseconds that it took.
    pub(crate) fn walk(&mut self, events: &[String]) -> anyhow::Result<(u64, Printed)> {
        let mut printed = Printed::default();
        let zone = TimeZone::default();
        let start = thread_cpu();
        for event in events {
            let mut record = ObjectMap::new();
            record.insert(KeyString::from("message"), Value::from(event.as_str()));
            let mut target = TargetValue {
                value: Value::Object(record),
                metadata: Value::Object(ObjectMap::new()),
                secrets: Secrets::default(),
            };
            let outcome = self.runtime.resolve(&mut target, &self.program, &zone);
            self.runtime.clear();
            let Ok(is_error) = outcome else { continue };
            // One print, though errors go to two places.
            self.out.clear();
            serde_json::to_writer(&mut self.out, &target.value)?;
            printed.kept += 1;
            printed.errors += usize::from(is_error == Value::Boolean(true));
            printed.bytes += self.out.len();
        }
        Ok((thread_cpu() - start, printed))
    }
}

/// Parses and prints every event with `serde_json`, no rules between.
pub(crate) fn serde_walk(events: &[String]) -> anyhow::Result<u64> {
    let mut out = Vec::new();
    let start = thread_cpu();
    for event in events {
        let value: serde_json::Value = serde_json::from_str(event)?;
        out.clear();
        serde_json::to_writer(&mut out, &value)?;
        std::hint::black_box(&out);
    }
    Ok(thread_cpu() - start)
}
