//! Statements and clauses as text.

use super::{
    Printer,
    doc::{Doc, concat, group, text},
};
use crate::{
    span::Span,
    syntax::ast::{
        Block, Clause, ClauseKind, Duration, Else, Expr, If, LetPattern, MetaKind, PathGlob, Ratio,
        Stmt, StmtKind, Target,
    },
};

impl Printer<'_> {
    /// Prints what stands between braces, and the closing one: on one line if it was on one line,
    /// otherwise each thing on its own.
    pub(super) fn block_inside<T>(
        &mut self,
        span: Span,
        things: &[T],
        of: impl Fn(&T) -> Span,
        print: impl Fn(&mut Self, &T) -> Doc,
    ) -> Doc {
        let range = span.range();
        let is_line = !span.of(self.text).contains('\n');
        let beside = self.comments.beside(self.text, range.start + 1);
        let beside = beside.map(|comment| (comment.span.range().end, Doc::Trailing(comment.text)));
        let start = beside.as_ref().map_or(range.start + 1, |(end, _)| *end);
        let mut docs: Vec<Doc> = beside.into_iter().map(|(_, comment)| comment).collect();
        let lines = self.lines(start, range.end.saturating_sub(1), things, of, print);
        if lines.is_empty() {
            docs.push(if docs.is_empty() { text("}") } else { concat([Doc::HardLine, text("}")]) });
            return concat(docs);
        }
        let is_forced = |line: &Doc| line.forces() && !matches!(line, Doc::HardLine);
        if is_line && !lines.iter().any(is_forced) {
            let mut inside = vec![Doc::Line];
            for line in lines {
                inside.push(if matches!(line, Doc::HardLine) { Doc::WideLine } else { line });
            }
            docs.extend([concat(inside).indent(), Doc::Line, text("}")]);
            return group(docs);
        }
        docs.push(concat([Doc::HardLine, concat(lines)]).indent());
        docs.extend([Doc::HardLine, text("}")]);
        concat(docs)
    }

    fn block(&mut self, block: &Block) -> Doc {
        let inside = self.block_inside(block.span, &block.stmts, |stmt| stmt.span, Self::stmt);
        concat([text("{"), inside])
    }

    fn otherwise(&mut self, block: Option<&Block>) -> Doc {
        block.map_or_else(|| text(""), |block| concat([text(" else "), self.block(block)]))
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Doc {
        match &stmt.kind {
            StmtKind::Let { pattern, value, otherwise } => {
                let pattern = match pattern {
                    LetPattern::Name(name) => name.name.clone(),
                    LetPattern::Fields(fields) => {
                        let names: Vec<&str> =
                            fields.iter().map(|field| field.name.as_str()).collect();
                        format!("{{ {} }}", names.join(", "))
                    }
                };
                let value = self.value(text(format!("let {pattern} =")), value);
                concat([value, self.otherwise(otherwise.as_ref())])
            }
            StmtKind::Assign { target, op, value, otherwise } => {
                let head = concat([self.path(target), text(format!(" {}", op.symbol()))]);
                let value = self.value(head, value);
                concat([value, self.otherwise(otherwise.as_ref())])
            }
            StmtKind::If(stmt) => self.if_stmt(stmt),
            StmtKind::Drop { reason: None } => text("drop"),
            StmtKind::Drop { reason: Some(reason) } => {
                concat([text("drop as "), self.copy(reason.span)])
            }
            StmtKind::Return => text("return"),
            StmtKind::Route(targets) => concat([text("route to "), self.targets(targets)]),
            StmtKind::Emit { list, target } => {
                let mut docs = vec![text("emit each "), self.expr(list)];
                if let Some(target) = target {
                    docs.extend([text(" as "), self.path(target)]);
                }
                concat(docs)
            }
            StmtKind::Sample { ratio, by, otherwise } => {
                let docs = [text("sample "), self.ratio(ratio), self.by(" by ", by)];
                concat([group(docs), self.otherwise(otherwise.as_ref())])
            }
            StmtKind::Limit { count, per, burst, by, max_keys, otherwise } => {
                let mut docs = vec![text("limit "), self.copy(count.span), text("/")];
                docs.push(self.copy(per.span));
                if let Some(burst) = burst {
                    docs.extend([text(" burst "), self.copy(burst.span)]);
                }
                docs.push(self.by(" by ", by));
                if let Some(max_keys) = max_keys {
                    docs.extend([text(" max_keys "), self.copy(max_keys.span)]);
                }
                concat([group(docs), self.otherwise(otherwise.as_ref())])
            }
            StmtKind::Dedup { by, within, otherwise } => {
                let by = self.by(" by ", by);
                let docs = [text("dedup"), by, text(" within "), self.duration(*within)];
                concat([group(docs), self.otherwise(otherwise.as_ref())])
            }
            StmtKind::Del(globs) => concat([text("del "), self.list(globs, Self::path_glob)]),
            StmtKind::Keep(globs) => concat([text("keep "), self.list(globs, Self::path_glob)]),
            StmtKind::Rename(pairs) => {
                let pairs = self.list(pairs, |printer, (old, new)| {
                    concat([printer.path(old), text(" -> "), printer.path(new)])
                });
                concat([text("rename "), pairs])
            }
            StmtKind::Tag(tags) => {
                concat([text("tag "), self.list(tags, |printer, tag| printer.copy(tag.span))])
            }
            StmtKind::Count { metric, by, value } => {
                let mut docs = vec![text(format!("count {}", metric.name)), self.by(" by ", by)];
                if let Some(value) = value {
                    docs.extend([text(" value "), self.expr(value)]);
                }
                group(docs)
            }
            // A file with errors is not formatted.
            StmtKind::Error => self.copy(stmt.span),
        }
    }

    fn if_stmt(&mut self, stmt: &If) -> Doc {
        let head = group([text("if "), self.expr(&stmt.condition), text(" ")]);
        let mut docs = vec![head, self.block(&stmt.then)];
        match &stmt.otherwise {
            None => {}
            Some(Else::Block(block)) => docs.push(self.otherwise(Some(block))),
            Some(Else::If(stmt)) => docs.extend([text(" else "), self.if_stmt(stmt)]),
        }
        concat(docs)
    }

    fn by(&mut self, word: &'static str, by: &[Expr]) -> Doc {
        if by.is_empty() {
            return text("");
        }
        concat([text(word), self.list(by, Self::expr)])
    }

    /// Prints things with commas between them, broken behind the commas.
    fn list<T>(&mut self, things: &[T], print: impl Fn(&mut Self, &T) -> Doc) -> Doc {
        let mut docs = Vec::new();
        for (idx, thing) in things.iter().enumerate() {
            if idx != 0 {
                docs.extend([text(","), Doc::Line]);
            }
            docs.push(print(self, thing));
        }
        group([concat(docs).indent()])
    }

    pub(super) fn targets(&mut self, targets: &[Target]) -> Doc {
        self.list(targets, |printer, target| {
            let name = text(target.sink.written());
            if target.args.is_empty() {
                return name;
            }
            let span = Span { start: target.sink.span.end, ..target.span };
            concat([name, printer.args(&target.args, span)])
        })
    }

    fn path_glob(&mut self, glob: &PathGlob) -> Doc {
        concat([self.path(&glob.path), text(if glob.below { ".*" } else { "" })])
    }

    pub(super) fn ratio(&mut self, ratio: &Ratio) -> Doc {
        let written = ratio.span.of(self.text);
        let tight: String = written.chars().filter(|c| !c.is_whitespace()).collect();
        text(tight)
    }

    pub(super) fn duration(&mut self, duration: Duration) -> Doc {
        self.copy(duration.span)
    }

    pub(super) fn clause(&mut self, clause: &Clause) -> Doc {
        match &clause.kind {
            ClauseKind::Over { length, every, late } => {
                let mut docs = vec![text("over "), self.duration(*length)];
                for (word, part) in [(" every ", every), (" late ", late)] {
                    if let Some(part) = part {
                        docs.extend([text(word), self.duration(*part)]);
                    }
                }
                concat(docs)
            }
            ClauseKind::By(by) => self.by("by ", by),
            ClauseKind::Let { name, value } => {
                self.value(text(format!("let {} =", name.name)), value)
            }
            ClauseKind::Fire { condition, hold, resolve } => {
                let mut docs = vec![text("fire when "), self.expr(condition)];
                for (word, part) in [(" for ", hold), (" resolve after ", resolve)] {
                    if let Some(part) = part {
                        docs.extend([text(word), self.duration(*part)]);
                    }
                }
                group(docs)
            }
            ClauseKind::Meta { kind, values } => {
                let word = match kind {
                    MetaKind::Severity => "severity ",
                    MetaKind::Summary => "summary ",
                    MetaKind::Runbook => "runbook ",
                    MetaKind::Notify => "notify ",
                    MetaKind::Labels => "labels ",
                };
                concat([text(word), self.list(values, Self::expr)])
            }
            ClauseKind::Route(targets) => concat([text("route to "), self.targets(targets)]),
            // A file with errors is not formatted.
            ClauseKind::Error => self.copy(clause.span),
        }
    }
}
