//! Checks of the program as a whole, when every rule is known.

mod conditions;
mod domain;
mod duplicates;
mod effects;
mod order;
mod policy;
mod reach;
mod reason;
mod regexes;
mod routing;
mod samples;
mod taint;
mod unused;

use std::collections::BTreeMap;

use crate::{
    check::{Checker, attr_texts},
    diagnostic::{Diagnostic, Severity},
    program::{Loaded, Mode},
    span::Span,
    syntax::{
        ast::{Attr, Item},
        walk,
    },
};

/// Runs every check over a checked program.
pub(crate) fn whole_program(checker: &mut Checker<'_>, mode: Mode) {
    unused::report(checker);
    duplicates::report(checker);
    regexes::report(checker);
    policy::report(checker);
    // What could not be read may be what makes the rest right.
    if !checker.has_unread() {
        conditions::report(checker);
        reach::report(checker);
        order::dead_writes(checker);
        let seen = samples::Seen::of(checker);
        order::early_reads(checker, &seen);
        samples::report(checker, &seen);
        // A part of a program may stand behind the rules that protect.
        if mode == Mode::Run || !routing::is_part(checker) {
            taint::report(checker);
        }
    }
    routing::report(checker, mode);
}

/// Where something stands, and the codes that it allows.
type Allowed = (Span, Vec<String>);

/// Takes out the warnings that an `@allow` at their declaration, or at its group, is for.
pub(crate) fn silence(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    // Groups and what stands alone; then the rules in them.
    let mut allowed: [BTreeMap<(u32, u32), Allowed>; 2] = Default::default();
    let mut add = |level: usize, span: Span, attrs: &[Attr]| {
        let codes: Vec<String> = attrs
            .iter()
            .filter(|attr| attr.name.name == "allow")
            .flat_map(attr_texts)
            .map(|(text, _)| text.to_owned())
            .collect();
        if !codes.is_empty() {
            allowed[level].insert((span.file.0, span.start), (span, codes));
        }
    };
    for item in loaded.units.iter().flat_map(|unit| &unit.ast.items) {
        let attrs: &[Attr] = match item {
            Item::Group(it) => &it.attrs,
            Item::Window(it) | Item::Alert(it) => &it.attrs,
            Item::Source(it) => &it.attrs,
            Item::Sink(it) => &it.attrs,
            Item::Lookup(it) => &it.attrs,
            _ => &[],
        };
        add(0, item.span(), attrs);
        for rule in walk::rules(item) {
            add(1, rule.span, &rule.attrs);
        }
    }
    diagnostics.retain(|diagnostic| {
        let at = diagnostic.at;
        diagnostic.severity == Severity::Error
            || !allowed.iter().any(|level| {
                level.range(..=(at.file.0, at.start)).next_back().is_some_and(
                    |(_, (span, codes))| {
                        span.file == at.file
                            && at.start <= span.end
                            && codes.iter().any(|code| code == diagnostic.code.name())
                    },
                )
            })
    });
}
