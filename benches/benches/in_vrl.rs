//! What the same program costs in VRL: text in, text out, as Vector does it.

use anyhow::anyhow;
use logmon_benches::{clock::thread_cpu, printed::Printed};
use vrl::{
    compiler::{Program, TargetValue, TimeZone, runtime::Runtime, state::RuntimeState},
    value::{KeyString, ObjectMap, Secrets, Value},
};

/// The ten rules.
pub(crate) const TEN: &str = include_str!("../rules/ten.vrl");

/// A program and what it needs to run.
pub(crate) struct Vrl {
    program: Program,
    runtime: Runtime,
    out: Vec<u8>,
}

impl Vrl {
    /// Compiles a program whose last value says whether the event is an error.
    pub(crate) fn new(program: &str) -> anyhow::Result<Self> {
        let compiled = vrl::compiler::compile(program, &vrl::stdlib::all())
            .map_err(|errors| anyhow!("a VRL program does not compile: {errors:?}"))?;
        Ok(Self {
            program: compiled.program,
            runtime: Runtime::new(RuntimeState::default()),
            out: Vec::new(),
        })
    }

    /// Walks over all events, and the CPU nanoseconds that it took.
    pub(crate) fn walk(&mut self, events: &[String]) -> anyhow::Result<(u64, Printed)> {
        let start = thread_cpu();
        let printed = self.each(events, |_| {})?;
        Ok((thread_cpu() - start, printed))
    }

    /// The same without a clock; `see` gets every event that is kept, when the program is done with it.
    pub(crate) fn each(
        &mut self,
        events: &[String],
        mut see: impl FnMut(&Value),
    ) -> anyhow::Result<Printed> {
        let mut printed = Printed::default();
        let zone = TimeZone::default();
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
            see(&target.value);
        }
        Ok(printed)
    }
}
