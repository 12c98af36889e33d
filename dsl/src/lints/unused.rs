//! W110: what is declared and never used.

use crate::{
    catalog::{DeclKind, UseOf},
    check::{Checker, attr_texts},
    diagnostic::{Code, Diagnostic},
    program::Role,
};

/// Reports unused names. A used file is a library: what this program leaves alone another one may need.
pub(super) fn report(checker: &mut Checker<'_>) {
    let catalog = checker.catalog;
    // A file without rules is a library also where it is checked alone.
    let library = checker.build.rules.is_empty();
    for decl in &catalog.decls {
        let used = checker.loaded.units[decl.unit].role == Role::Used;
        if decl.used.get() || used || library {
            continue;
        }
        let word = match decl.kind {
            // Events come through a source whether or not a rule names it.
            DeclKind::Source(_) => continue,
            kind => kind.word(),
        };
        let name = decl.kind.name();
        let allowed = decl
            .kind
            .attrs()
            .iter()
            .filter(|attr| attr.name.name == "allow")
            .flat_map(attr_texts)
            .any(|(text, _)| text == "W110");
        if !allowed && !name.name.starts_with('_') {
            let message = format!("the {word} `{}` is never used", name.name);
            checker.report(Diagnostic::new(Code::W110, name.span, message));
        }
    }
    for UseOf { decl, unit, used } in &catalog.uses {
        let readable = checker.loaded.units[*unit]
            .links
            .iter()
            .flatten()
            .any(|link| link.at == decl.span && link.unit.is_some());
        if !used.get() && readable && checker.loaded.units[*unit].role != Role::Used {
            let message = format!("nothing of `{}` is used here", decl.path.value);
            checker.report(
                Diagnostic::new(Code::W110, decl.span, message)
                    .suggest("remove it", vec![(decl.span, String::new())]),
            );
        }
    }
}
