//! Draws diagnostics for people.
//!
//! Invariant: the only file that knows annotate-snippets, and the only one that knows colors.

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use crate::{
    diagnostic::{Diagnostic, Severity},
    span::{FileId, Sources, Span},
};

/// Draws diagnostics one below the other, an empty line between them.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut drawn = String::new();
    for diagnostic in diagnostics {
        if !drawn.is_empty() {
            drawn.push('\n');
        }
        drawn.push_str(&renderer.render(&groups(diagnostic, sources)));
        drawn.push('\n');
    }
    drawn
}

/// Builds the picture: the matter itself, then the fix as a patch.
fn groups<'s>(diagnostic: &'s Diagnostic, sources: &'s Sources) -> Vec<Group<'s>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.name());
    let mut matter = Group::with_title(title);
    for file in files(diagnostic) {
        let Some(source) = sources.get(file) else { continue };
        let mut snippet = Snippet::source(&*source.text).path(source.path.as_str());
        let primary = (AnnotationKind::Primary, diagnostic.at, diagnostic.label.as_str());
        let related = diagnostic.related.iter();
        let related = related.map(|(at, label)| (AnnotationKind::Context, *at, label.as_str()));
        for (kind, at, label) in std::iter::once(primary).chain(related) {
            if at.file == file {
                let label = (!label.is_empty()).then_some(label);
                snippet = snippet.annotation(kind.span(fitting(at, &source.text)).label(label));
            }
        }
        matter = matter.element(snippet);
    }
    for note in &diagnostic.notes {
        matter = matter.element(Level::NOTE.message(note.as_str()));
    }
    let Some(help) = &diagnostic.help else { return vec![matter] };
    let Some((first, _)) = help.edits.first() else {
        return vec![matter.element(Level::HELP.message(help.message.as_str()))];
    };
    let Some(source) = sources.get(first.file) else { return vec![matter] };
    let mut snippet = Snippet::source(&*source.text).path(source.path.as_str());
    for (at, text) in help.edits.iter().filter(|(at, _)| at.file == first.file) {
        snippet = snippet.patch(Patch::new(fitting(*at, &source.text), text.as_str()));
    }
    let fix = Level::HELP.secondary_title(help.message.as_str()).element(snippet);
    vec![matter, fix]
}

/// Returns the files a diagnostic speaks of, its own first.
fn files(diagnostic: &Diagnostic) -> Vec<FileId> {
    let mut files = vec![diagnostic.at.file];
    for (at, _) in &diagnostic.related {
        if !files.contains(&at.file) {
            files.push(at.file);
        }
    }
    files
}

/// Moves a span to where the text has characters: a wrong span must not end in a panic.
fn fitting(at: Span, text: &str) -> std::ops::Range<usize> {
    let fit = |offset: u32| {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let (start, end) = (fit(at.start), fit(at.end));
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn wrong_spans_draw_something() {
        let mut sources = Sources::new();
        let file = sources.add("a.rules", "ö\n");
        for (start, end) in [(0, 99), (1, 1), (99, 1), (3, 3)] {
            let at = Span { file, start, end };
            let diagnostic = Diagnostic::new(Code::E100, at, "m")
                .label("l")
                .related(Span { file: FileId(7), start: 0, end: 1 }, "elsewhere")
                .fix("f", vec![(at, "x".to_owned())]);
            assert!(render(&[diagnostic], &sources, false).contains("error[E100]: m"));
        }
    }
}
