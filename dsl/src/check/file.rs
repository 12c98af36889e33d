//! Constants that stand in files, and secrets: read once, when the program is loaded.

use std::{path::PathBuf, sync::Arc};

use super::{Checker, constant::Const};
use crate::{
    column::Cidr,
    diagnostic::Code,
    functions::{csv, keyring},
    plan::{Literal, Secret},
    program::beside,
    syntax::ast::{self, Expr, ExprKind},
    types::Type,
};

/// Lines of a list file: far above any list a person keeps, far below what would fill memory.
const LINES_MAX: usize = 1_000_000;

/// Rows of a table: it becomes one map that stands in the plan.
const ROWS_MAX: usize = 100_000;

impl Checker<'_> {
    /// `lines("f")` and `cidrs("f")`: one value a line, blank lines and comments left out.
    pub(super) fn read_list(&mut self, e: &Expr, args: &[ast::Arg], blocks: bool) -> Option<Const> {
        let [ast::Arg { name: None, value, .. }] = args else {
            return self.fail(Code::E102, e.span, "this takes one path, in quotes");
        };
        let (path, text) = self.read_file(value)?;
        let mut out = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if out.len() >= LINES_MAX {
                let message = format!("`{}` has more than {LINES_MAX} lines", path.display());
                return self.fail(Code::E106, value.span, message);
            }
            out.push(if blocks {
                // A comment may follow the block.
                let block = line.split('#').next().unwrap_or_default().trim();
                let Some(block) = Cidr::parse(block) else {
                    let message = format!(
                        "line {} of `{}` is not a block of addresses: `{line}`",
                        number + 1,
                        path.display()
                    );
                    return self.fail(Code::E120, value.span, message);
                };
                Const::Scalar(Literal::Cidr(block), Type::Cidr)
            } else {
                Const::Scalar(Literal::Text(line.into()), Type::Text)
            });
        }
        Some(Const::List(Arc::new(out)))
    }

    /// `table("f.csv", key: "col")`: a row of a CSV file a key, its other columns by their names.
    pub(super) fn read_table(&mut self, e: &Expr, args: &[ast::Arg]) -> Option<Const> {
        let (mut path, mut key) = (None, None);
        for arg in args {
            match arg.name.as_ref().map(|name| name.name.as_str()) {
                None if path.is_none() => path = Some(&arg.value),
                Some("key") if key.is_none() => key = Some(&arg.value),
                _ => {
                    let message =
                        "`table` takes a path and `key`: `table(\"hosts.csv\", key: \"name\")`";
                    return self.fail(Code::E102, arg.span, message);
                }
            }
        }
        let Some((path, key)) = path.zip(key) else {
            let message = "`table` takes a path and `key`: `table(\"hosts.csv\", key: \"name\")`";
            return self.fail(Code::E102, e.span, message);
        };
        let ExprKind::Text { value: key_name, fold: false } = &key.kind else {
            return self.fail(Code::E101, key.span, "the name of a column is text in quotes");
        };
        let (file, text) = self.read_file(path)?;
        let mut rows = csv::rows(&text, ',').into_iter();
        let names: Vec<Arc<str>> =
            rows.next().unwrap_or_default().iter().map(|name| name.trim().into()).collect();
        let Some(at) = names.iter().position(|name| **name == **key_name) else {
            let known = names.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
            let message = format!(
                "`{}` has no column `{key_name}`: its first line names {known}",
                file.display()
            );
            return self.fail(Code::E120, key.span, message);
        };
        let mut out: Vec<(Arc<str>, Const)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (number, row) in rows.enumerate() {
            if row.iter().all(String::is_empty) {
                continue;
            }
            let line = number + 2;
            if row.len() != names.len() {
                let message = format!(
                    "row {line} of `{}` has {} columns, the first has {}",
                    file.display(),
                    row.len(),
                    names.len()
                );
                return self.fail(Code::E120, path.span, message);
            }
            if out.len() >= ROWS_MAX {
                let message = format!("`{}` has more than {ROWS_MAX} rows", file.display());
                return self.fail(Code::E106, path.span, message);
            }
            if !seen.insert(row[at].clone()) {
                let message =
                    format!("row {line} of `{}` repeats the key `{}`", file.display(), row[at]);
                return self.fail(Code::E120, path.span, message);
            }
            let members = names.iter().zip(&row).enumerate().filter(|(column, _)| *column != at);
            let members = members.map(|(_, (name, cell))| {
                (name.clone(), Const::Scalar(Literal::Text(cell.as_str().into()), Type::Text))
            });
            out.push((row[at].as_str().into(), Const::Record(Arc::new(members.collect()))));
        }
        Some(Const::Record(Arc::new(out)))
    }

    /// `secret("name")`
    pub(super) fn secret(&mut self, e: &Expr, args: &[ast::Arg]) -> Option<Const> {
        let [ast::Arg { name: None, value, .. }] = args else {
            return self.fail(Code::E102, e.span, "`secret` takes one name, in quotes");
        };
        let ExprKind::Text { value: name, fold: false } = &value.kind else {
            return self.fail(Code::E101, value.span, "the name of a secret is text in quotes");
        };
        match self.reader.secret(name) {
            Ok(text) => match keyring::problem(&text) {
                None => Some(Const::Secret(Secret::new(&text))),
                Some(why) => {
                    let message = format!("the secret `{name}` is no ring of keys: {why}");
                    self.fail(Code::E109, value.span, message)
                }
            },
            Err(why) => {
                let message = format!("there is no secret `{name}`: {why}");
                self.fail(Code::E109, value.span, message)
            }
        }
    }

    /// A file beside this one; it belongs to the bundle from here on.
    fn read_file(&mut self, value: &Expr) -> Option<(PathBuf, String)> {
        let ExprKind::Text { value: named, fold: false } = &value.kind else {
            return self.fail(Code::E101, value.span, "the path of a file is text in quotes");
        };
        let home = &self.loaded.units[self.place.unit].path;
        let path = beside(home, named);
        let known =
            self.lists.iter().find(|(known, _)| *known == path).map(|(_, text)| text.clone());
        let text = match known.map_or_else(|| self.reader.read(&path), Ok) {
            Ok(text) => text,
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                return self.fail(Code::E109, value.span, message);
            }
        };
        if self.lists.iter().all(|(known, _)| *known != path) {
            self.lists.push((path.clone(), text.clone()));
        }
        Some((path, text))
    }
}
