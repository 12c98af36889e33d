//! What an editor asks of a program: what is at this place, what may stand here, where is it declared.
//!
//! Invariant: pure, and answers on broken text too. No protocol: places are files and bytes.

mod complete;
mod context;
mod fields;
mod hover;
mod names;
mod rename;
mod symbols;
mod words;

pub use complete::{Completion, CompletionKind, Signature};
pub use hover::Hover;
pub use names::{Meaning, Mention};
pub use symbols::{Symbol, SymbolKind};
pub use words::function_signature;

use crate::{
    catalog::Catalog,
    check::Point,
    program::Analysis,
    span::{FileId, Span},
    syntax::ast,
};
use names::Names;

/// Answers about one program.
#[derive(Debug)]
pub struct Assist<'a> {
    analysis: &'a Analysis,
    catalog: Catalog<'a>,
    names: Names<'a>,
}

impl<'a> Assist<'a> {
    /// Prepares answers; cheap beside the analysis itself.
    pub fn new(analysis: &'a Analysis) -> Self {
        let (catalog, _) = Catalog::new(&analysis.loaded);
        let names = names::collect(&analysis.loaded, &catalog);
        Self { analysis, catalog, names }
    }

    /// The file's text.
    fn text(&self, file: FileId) -> &'a str {
        self.analysis.loaded.sources.get(file).map_or("", |source| &source.text)
    }

    /// The file's place among the program's files.
    fn unit(&self, file: FileId) -> Option<usize> {
        self.analysis.loaded.units.iter().position(|unit| unit.ast.id == file)
    }

    /// What stands at a place: the smallest mention that covers it.
    fn mention(&self, file: FileId, offset: usize) -> Option<&Mention> {
        let all = self.names.mentions.iter();
        all.filter(|mention| covers(mention.at, file, offset)).min_by_key(|mention| len(mention.at))
    }

    /// What is known just before a place: the last point of the file that does not lie behind it.
    fn point(&self, file: FileId, offset: usize) -> Option<&'a Point> {
        let points = self.analysis.notes.points.iter();
        points
            .filter(|point| point.at.file == file && point.at.start as usize <= offset)
            .max_by_key(|point| point.at.start)
    }

    /// The path of the event that a place lies in, and which of its steps; nothing for the dot before it.
    fn path(&self, file: FileId, offset: usize) -> Option<(&'a ast::Path, usize)> {
        let path = self.names.paths.iter().find(|path| covers(path.span, file, offset))?;
        let step = path.segs.iter().position(|seg| covers(seg.span, file, offset))?;
        Some((path, step))
    }
}

/// Whether a place lies in a span or just behind it, as a cursor does behind a word.
fn covers(span: Span, file: FileId, offset: usize) -> bool {
    span.file == file && span.start as usize <= offset && offset <= span.end as usize
}

fn len(span: Span) -> u32 {
    span.end - span.start
}
