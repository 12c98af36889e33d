//! A VRL program as a rule: the part of it that means the same here; the rest becomes comments that say why.

mod expr;
mod lex;

use std::fmt::Write as _;

use crate::{span::FileId, syntax};
use expr::Translate;
use lex::{Kind, Token};

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vrl {
    /// A rule, in the one style.
    pub text: String,
    /// Statements that were translated.
    pub n_translated: usize,
    /// The others.
    pub untranslated: Vec<Untranslated>,
}

/// A statement that was not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untranslated {
    /// Its line in the program, from 1.
    pub line: usize,
    /// Its first line.
    pub text: String,
    /// Why not.
    pub why: String,
}

/// Blocks in blocks. Deeper ones are left alone.
const DEPTH_MAX: usize = 24;

/// Translates a program into the body of one rule.
pub fn vrl(name: &str, source: Option<&str>, program: &str) -> Vrl {
    let tokens = lex::lex(program);
    let mut translator = Translator {
        program,
        tokens: &tokens,
        out: String::new(),
        n_translated: 0,
        untranslated: Vec::new(),
        errors: Vec::new(),
    };
    translator.statements(0, tokens.len(), 0);
    let on = source.map_or_else(String::new, |source| format!(" on {source}"));
    let Translator { out, n_translated, untranslated, .. } = translator;
    let text = format!("rule {name}{on} {{\n{out}}}\n");
    let text = syntax::format(FileId::default(), &text).unwrap_or(text);
    Vrl { text, n_translated, untranslated }
}

struct Translator<'p> {
    program: &'p str,
    tokens: &'p [Token],
    out: String,
    n_translated: usize,
    untranslated: Vec<Untranslated>,
    /// What an error variable stands beside: `x, err = f()`.
    errors: Vec<(String, String)>,
}

impl<'p> Translator<'p> {
    /// The statements between two tokens.
    fn statements(&mut self, from: usize, to: usize, depth: usize) {
        let mut at = from;
        while at < to {
            match self.tokens[at].kind {
                Kind::End => at += 1,
                Kind::Comment => {
                    let _ = writeln!(self.out, "{}", self.text(at));
                    at += 1;
                }
                _ => {
                    let end = self.statement_end(at, to);
                    self.statement(at, end, depth);
                    at = end;
                }
            }
        }
    }

    fn text(&self, at: usize) -> &'p str {
        let token = &self.tokens[at];
        &self.program[token.start..token.end]
    }

    /// One past the last token of the statement: a line's end outside brackets, where nothing goes on.
    fn statement_end(&self, from: usize, to: usize) -> usize {
        let mut depth = 0_usize;
        let mut at = from;
        while at < to {
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                Kind::End if depth == 0 => {
                    let goes_on = |at: usize| {
                        let text = self.text(at);
                        matches!(
                            text,
                            "&&" | "||" | "??" | "+" | "-" | "*" | "==" | "!=" | "else" | "|"
                        )
                    };
                    let next = (at..to).find(|at| self.tokens[*at].kind != Kind::End);
                    let on = at > from && goes_on(at - 1)
                        || next.is_some_and(|next| {
                            matches!(self.text(next), "else" | "&&" | "||" | "??" | "|")
                        });
                    if !on {
                        return at;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        to
    }

    fn statement(&mut self, from: usize, to: usize, depth: usize) {
        let comment = (self.tokens[to - 1].kind == Kind::Comment).then(|| self.text(to - 1));
        let to = if comment.is_some() { to - 1 } else { to };
        let start = self.out.len();
        let (n, m) = (self.n_translated, self.untranslated.len());
        let made = if self.text(from) == "if" && depth < DEPTH_MAX {
            self.if_statement(from, to, depth)
        } else {
            self.plain(from, to).map(|text| {
                self.n_translated += 1;
                let _ = writeln!(self.out, "{text}");
            })
        };
        // What does not read as a rule was not understood after all.
        let reads = |text: &str| {
            syntax::format(FileId::default(), &format!("rule r {{\n{text}}}\n")).is_ok()
        };
        let made = made.and_then(|()| {
            if reads(&self.out[start..]) {
                Ok(())
            } else {
                Err("it has no counterpart here".to_owned())
            }
        });
        let Err(why) = made else {
            if let Some(comment) = comment {
                self.out.truncate(self.out.trim_end().len());
                let _ = writeln!(self.out, "  {comment}");
            }
            return;
        };
        self.out.truncate(start);
        self.n_translated = n;
        self.untranslated.truncate(m);
        let token = &self.tokens[from];
        let end = self.tokens[to - 1].end;
        let text = &self.program[token.start..end];
        let first = text.lines().next().unwrap_or_default().trim().to_owned();
        let mut lines = text.lines();
        let _ = writeln!(
            self.out,
            "# not translated: {} because {why}",
            lines.next().unwrap_or_default()
        );
        for line in lines {
            let _ = writeln!(self.out, "# {line}");
        }
        let line = self.program[..token.start].matches('\n').count() + 1;
        self.untranslated.push(Untranslated { line, text: first, why });
    }

    /// `if c { … } else if … else { … }`: its blocks are statements of their own.
    fn if_statement(&mut self, from: usize, to: usize, depth: usize) -> Result<(), String> {
        let open = self.block_open(from + 1, to).ok_or("it has no block")?;
        let close = self.close(open, to).ok_or("its block does not end")?;
        let condition = self.expr(from + 1, open)?;
        let _ = writeln!(self.out, "if {condition} {{");
        self.statements(open + 1, close, depth + 1);
        self.out.push('}');
        let mut at = close + 1;
        while at < to && self.tokens[at].kind == Kind::End {
            at += 1;
        }
        if at < to && self.text(at) == "else" {
            let next = at + 1;
            if next < to && self.text(next) == "if" && depth < DEPTH_MAX {
                self.out.push_str(" else ");
                return self.if_statement(next, to, depth + 1);
            }
            let close = self.close(next, to).ok_or("its `else` has no block")?;
            self.out.push_str(" else {\n");
            self.statements(next + 1, close, depth + 1);
            self.out.push('}');
            at = close + 1;
        }
        self.out.push('\n');
        if at < to { Err("something follows its last block".to_owned()) } else { Ok(()) }
    }

    /// The brace that opens the block behind a condition: the last one at the condition's own depth.
    fn block_open(&self, from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        while at < to {
            if self.text(at) == "{" {
                return Some(at);
            }
            at = if self.tokens[at].kind == Kind::Open { self.close(at, to)? + 1 } else { at + 1 };
        }
        None
    }

    /// The bracket that closes this one.
    fn close(&self, open: usize, to: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..to {
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close if depth == 1 => return Some(at),
                Kind::Close => depth = depth.checked_sub(1)?,
                _ if at == open => return None,
                _ => {}
            }
        }
        None
    }

    fn expr(&self, from: usize, to: usize) -> Result<String, String> {
        Translate::new(self.program, &self.tokens[from..to], &self.errors).whole()
    }

    /// A statement that is no `if`.
    fn plain(&mut self, from: usize, to: usize) -> Result<String, String> {
        let words: Vec<&str> = (from..to).map(|at| self.text(at)).collect();
        match words.as_slice() {
            ["abort"] => return Ok("drop as \"abort\"".to_owned()),
            ["abort", text] if text.starts_with('"') => return Ok(format!("drop as {text}")),
            ["del", "(", path, ")"] if path.starts_with('.') => return Ok(format!("del {path}")),
            [new, "=", "del", "(", old, ")"] if new.starts_with('.') && old.starts_with('.') => {
                return Ok(format!("rename {old} -> {new}"));
            }
            [name, ",", error, "=", ..] if !name.starts_with('.') && is_name(name) => {
                let (name, error) = ((*name).to_owned(), (*error).to_owned());
                let value = self.expr(from + 4, to)?;
                self.errors.retain(|(known, _)| *known != error);
                self.errors.push((error, name.clone()));
                return Ok(format!("let {name} = {value}"));
            }
            [_, ",", ..] => {
                return Err(
                    "an error beside a field has no counterpart: what is absent is not written"
                        .to_owned(),
                );
            }
            _ => {}
        }
        let assign = (from..to).find(|at| matches!(self.text(*at), "=" | "|="));
        let Some(assign) = assign else {
            return Err("a value that nobody takes does nothing here".to_owned());
        };
        if assign != from + 1 {
            return Err("its target has no counterpart".to_owned());
        }
        let (target, op) = (self.text(from), self.text(assign));
        if target.starts_with('%') {
            return Err("metadata cannot be written".to_owned());
        }
        let value = self.expr(assign + 1, to)?;
        if target.starts_with('.') {
            return Ok(format!("{target} {op} {value}"));
        }
        if !is_name(target) {
            return Err("its target has no counterpart".to_owned());
        }
        if op != "=" {
            return Err("a variable is not written twice here".to_owned());
        }
        Ok(format!("let {target} = {value}"))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
