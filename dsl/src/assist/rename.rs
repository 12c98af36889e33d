//! Definitions, mentions and new names.

use super::{Assist, Meaning, Mention};
use crate::{
    span::{FileId, Span},
    syntax::scan::ITEM_WORDS,
};

impl Assist<'_> {
    /// Where the thing at a place is declared.
    pub fn definition(&self, file: FileId, offset: usize) -> Option<Span> {
        if let Some(mention) = self.mention(file, offset) {
            return match mention.means {
                Meaning::Decl(id) => Some(self.catalog.get(id).kind.name().span),
                Meaning::Local(at) | Meaning::Rule(at) | Meaning::Alias(at) => Some(at),
                Meaning::File(unit) => {
                    Some(Span::new(self.analysis.loaded.units.get(unit)?.ast.id, 0, 0))
                }
                Meaning::Function(_) => None,
            };
        }
        let (path, step) = self.path(file, offset)?;
        self.field_declared(path, step)
    }

    /// Every place that names the same thing, its declaration included.
    pub fn mentions(&self, file: FileId, offset: usize) -> Vec<Span> {
        if let Some(mention) = self.mention(file, offset) {
            return self.alike(mention).map(|mention| mention.at).collect();
        }
        let Some((path, step)) = self.path(file, offset) else { return Vec::new() };
        let mut found = self.field_mentions(path, step);
        found.extend(self.field_declared(path, step).filter(|at| !found.contains(at)));
        found
    }

    /// The name at a place, if it is one that can be given another name; otherwise why not.
    pub fn renamable(&self, file: FileId, offset: usize) -> Result<Span, String> {
        let Some(mention) = self.mention(file, offset) else {
            return Err(if self.path(file, offset).is_some() {
                "a field keeps the name that its producer gave it; `rename .a -> .b` in a rule moves it"
                    .to_owned()
            } else {
                "there is no name here".to_owned()
            });
        };
        match mention.means {
            Meaning::Function(function) => {
                Err(format!("`{}` is a function of the language", function.name))
            }
            Meaning::File(_) => Err("files are renamed where they lie".to_owned()),
            Meaning::Local(at) if self.names.fields.contains(&at) => {
                Err("this takes the field of the same name: another name would take another field"
                    .to_owned())
            }
            Meaning::Decl(_) | Meaning::Local(_) | Meaning::Rule(_) | Meaning::Alias(_) => {
                Ok(mention.at)
            }
        }
    }

    /// The places that change when the thing at a place gets another name.
    pub fn rename(&self, file: FileId, offset: usize, name: &str) -> Result<Vec<Span>, String> {
        self.renamable(file, offset)?;
        if !is_name(name) {
            return Err(format!(
                "`{name}` is no name: letters, digits and `_`, no digit first, no word of the language"
            ));
        }
        let mention = self.mention(file, offset).ok_or("there is no name here")?;
        let mut places: Vec<Span> = self.alike(mention).map(|mention| mention.at).collect();
        places.sort_unstable_by_key(|at| (at.file, at.start));
        places.dedup();
        match self.taken(mention.means, name, &places) {
            Some(at) => {
                let there = self.analysis.loaded.sources.place(at);
                Err(format!("`{name}` is declared already: {}:{}", there.path, there.line))
            }
            None => Ok(places),
        }
    }

    /// What already has that name where the old one is mentioned.
    fn taken(&self, means: Meaning, name: &str, places: &[Span]) -> Option<Span> {
        let text = |at: Span| self.analysis.loaded.sources.text(at);
        let mut declared = self.names.mentions.iter().filter(|other| other.declares);
        let found = match means {
            Meaning::Decl(id) => {
                let space = self.catalog.get(id).kind.space();
                let seen_from = places.iter().filter_map(|at| self.unit(at.file));
                let mut visible = seen_from.flat_map(|unit| self.catalog.visible(unit, space));
                if !visible.any(|known| known == name) {
                    return None;
                }
                declared.find(|other| match other.means {
                    Meaning::Decl(id) => {
                        self.catalog.get(id).kind.space() == space && text(other.at) == name
                    }
                    _ => false,
                })
            }
            Meaning::Rule(own) => declared.find(|other| {
                matches!(other.means, Meaning::Rule(_))
                    && other.at.file == own.file
                    && text(other.at) == name
            }),
            Meaning::Alias(own) => declared.find(|other| {
                matches!(other.means, Meaning::Alias(_))
                    && other.at.file == own.file
                    && text(other.at) == name
            }),
            // A local of the same name hides it in its own block, which the checker sees.
            Meaning::Local(_) | Meaning::File(_) | Meaning::Function(_) => None,
        };
        found.map(|other| other.at)
    }

    fn alike<'m>(&'m self, mention: &'m Mention) -> impl Iterator<Item = &'m Mention> {
        self.names.mentions.iter().filter(|other| other.means == mention.means)
    }
}

/// Whether a declaration may be called so.
fn is_name(name: &str) -> bool {
    const TAKEN: &[&str] = &[
        "and", "or", "not", "in", "is", "if", "else", "let", "when", "true", "false", "null",
        "match", "drop", "route", "where",
    ];
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !TAKEN.contains(&name)
        && !ITEM_WORDS.contains(&name)
}
