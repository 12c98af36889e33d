//! Expressions as text.

use super::{
    Brackets, Printer,
    doc::{Doc, concat, group, text},
    types::is_plain,
};
use crate::{
    span::Span,
    syntax::ast::{
        Arg, Arithmetic, Arm, Expr, ExprKind, Path, PathRoot, Pattern, PatternKind, Presence,
        RecordField, SegKind,
    },
};

/// How tightly expressions bind, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Reaches as far to the right as it can.
    Lambda,
    Or,
    And,
    Not,
    Compare,
    Coalesce,
    Sum,
    Product,
    Unary,
    Primary,
}

/// Returns how tightly an expression binds.
fn level(expr: &Expr) -> Level {
    match &expr.kind {
        ExprKind::Lambda { .. } => Level::Lambda,
        ExprKind::Or(_) => Level::Or,
        ExprKind::And(_) => Level::And,
        ExprKind::Not(_) => Level::Not,
        ExprKind::Compare { .. } | ExprKind::Is { .. } => Level::Compare,
        ExprKind::Coalesce(_) => Level::Coalesce,
        ExprKind::Arithmetic { op, .. } => operator_level(*op),
        ExprKind::Neg(_) => Level::Unary,
        ExprKind::Int(value) | ExprKind::Duration(value) if *value < 0 => Level::Unary,
        ExprKind::Float(value) if value.is_sign_negative() => Level::Unary,
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Duration(_)
        | ExprKind::Text { .. }
        | ExprKind::Interpolated(_)
        | ExprKind::Tagged { .. }
        | ExprKind::Path(_)
        | ExprKind::Name(_)
        | ExprKind::Call { .. }
        | ExprKind::Member { .. }
        | ExprKind::Index { .. }
        | ExprKind::List(_)
        | ExprKind::Record(_)
        | ExprKind::If { .. }
        | ExprKind::Match { .. }
        | ExprKind::Error => Level::Primary,
    }
}

fn operator_level(op: Arithmetic) -> Level {
    match op {
        Arithmetic::Add | Arithmetic::Sub => Level::Sum,
        Arithmetic::Mul | Arithmetic::Div | Arithmetic::Rem => Level::Product,
    }
}

/// Whether an expression is a chain of operators, which is broken before them.
pub(super) fn is_chain(expr: &Expr) -> bool {
    (Level::Or..=Level::Product).contains(&level(expr))
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Duration(_))
}

/// Whether the text of an expression starts with a minus.
pub(super) fn starts_with_minus(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Or(operands) | ExprKind::And(operands) | ExprKind::Coalesce(operands) => {
            operands.first().is_some_and(starts_with_minus)
        }
        ExprKind::Compare { left, .. } | ExprKind::Arithmetic { left, .. } => {
            starts_with_minus(left)
        }
        ExprKind::Is { subject, .. } => starts_with_minus(subject),
        _ => level(expr) == Level::Unary,
    }
}

impl Printer<'_> {
    /// Prints an expression where anything may stand.
    pub(super) fn expr(&mut self, expr: &Expr) -> Doc {
        self.expr_at(expr, Level::Lambda)
    }

    /// Prints an expression where only what binds so tightly may stand without parentheses.
    pub(super) fn expr_at(&mut self, expr: &Expr, least: Level) -> Doc {
        let doc = self.bare_expr(expr);
        if level(expr) < least {
            let inside = concat([Doc::SoftLine, doc]).indent();
            return group([text("("), inside, Doc::SoftLine, text(")")]);
        }
        doc
    }

    fn bare_expr(&mut self, expr: &Expr) -> Doc {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Duration(_) => self.number(expr.span),
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Text { .. }
            | ExprKind::Interpolated(_)
            | ExprKind::Tagged { .. }
            | ExprKind::Error => self.copy(expr.span),
            ExprKind::Path(path) => self.path(path),
            ExprKind::Name(name) => text(name.written()),
            ExprKind::Call { function, args, filter } => {
                let mut span = expr.span;
                span.start = function.span.end;
                concat([text(function.written()), self.call(args, filter.as_deref(), span)])
            }
            ExprKind::Member { base, name } => {
                concat([self.expr_at(base, Level::Primary), text("."), self.key(name)])
            }
            ExprKind::Index { base, index } => {
                concat([self.expr_at(base, Level::Primary), text("["), self.expr(index), text("]")])
            }
            ExprKind::List(elements) => {
                let brackets =
                    Brackets { open: "[", close: "]", span: expr.span, pad: false, comma: true };
                self.elements(brackets, elements, |element| element.span, Self::expr)
            }
            ExprKind::Record(fields) => {
                let brackets =
                    Brackets { open: "{", close: "}", span: expr.span, pad: true, comma: true };
                self.elements(brackets, fields, field_span, Self::record_field)
            }
            ExprKind::Lambda { params, body } => {
                let params: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
                concat([text(format!("|{}| ", params.join(", "))), self.expr(body)])
            }
            ExprKind::If { condition, then, otherwise } => self.if_expr(condition, then, otherwise),
            ExprKind::Match { subject, arms } => {
                let head = concat([text("match "), self.expr(subject), text(" ")]);
                let mut span = expr.span;
                let first = arms.first().map_or(span.end, |arm| arm.span.start);
                let until = Span { end: first, ..span };
                span.start += until.of(self.text).rfind('{').unwrap_or_default() as u32;
                let brackets = Brackets { open: "{", close: "}", span, pad: true, comma: true };
                concat([head, self.elements(brackets, arms, |arm| arm.span, Self::arm)])
            }
            // `a and b or c` is right, but few know it by heart.
            ExprKind::Or(operands) => self.chain(operands, "or", Level::Not),
            ExprKind::And(operands) => self.chain(operands, "and", Level::Not),
            ExprKind::Coalesce(operands) => self.chain(operands, "??", Level::Sum),
            ExprKind::Not(operand) => concat([text("not "), self.expr_at(operand, Level::Not)]),
            // A minus before a bare number would become a part of it.
            ExprKind::Neg(operand) if is_number(operand) => {
                concat([text("-("), self.expr(operand), text(")")])
            }
            ExprKind::Neg(operand) => concat([text("-"), self.expr_at(operand, Level::Primary)]),
            ExprKind::Compare { op, negated, left, right, .. } => concat([
                self.expr_at(left, Level::Coalesce),
                text(format!(" {} ", op.written(*negated))),
                self.expr_at(right, Level::Coalesce),
            ]),
            ExprKind::Is { subject, negated, presence } => {
                let not = if *negated { "not " } else { "" };
                let presence = match presence {
                    Presence::Absent => "absent".to_owned(),
                    Presence::Missing => "missing".to_owned(),
                    Presence::Null => "null".to_owned(),
                    Presence::Present => "present".to_owned(),
                    Presence::Type(name) => name.written(),
                };
                let subject = self.expr_at(subject, Level::Coalesce);
                concat([subject, text(format!(" is {not}{presence}"))])
            }
            ExprKind::Arithmetic { .. } => self.arithmetic(expr),
        }
    }

    /// Prints a number as it is written, without blanks behind its sign.
    pub(super) fn number(&mut self, span: Span) -> Doc {
        let written = span.of(self.text);
        match written.strip_prefix('-') {
            Some(digits) => {
                // The digits are the last word: blanks and comments may stand before them.
                let digits = digits.rsplit(char::is_whitespace).next().unwrap_or(digits);
                text(format!("-{digits}"))
            }
            None => text(written),
        }
    }

    /// Prints operands with the same operator between them, broken before it.
    fn chain(&mut self, operands: &[Expr], operator: &str, least: Level) -> Doc {
        let mut docs = Vec::new();
        let mut rest = Vec::new();
        for (idx, operand) in operands.iter().enumerate() {
            let start = operand.span.range().start;
            let target = if idx == 0 { &mut docs } else { &mut rest };
            if idx != 0 {
                target.push(Doc::Line);
                for comment in self.comments.before(start) {
                    target.extend([Doc::Comment(comment.text), Doc::HardLine]);
                }
                target.push(text(format!("{operator} ")));
            }
            target.push(self.expr_at(operand, least));
            if idx + 1 < operands.len()
                && let Some(comment) =
                    self.comments.beside_operand(self.text, operand.span.range().end)
            {
                target.push(Doc::Trailing(comment.text));
            }
        }
        docs.push(concat(rest).indent());
        group(docs)
    }

    /// Prints a chain of one level, which binds to the left.
    fn arithmetic(&mut self, expr: &Expr) -> Doc {
        let own = level(expr);
        let mut links = Vec::new();
        let mut first = expr;
        while let ExprKind::Arithmetic { op, left, right, .. } = &first.kind
            && operator_level(*op) == own
        {
            links.push((op.symbol(), right));
            first = left;
        }
        let tighter = if own == Level::Sum { Level::Product } else { Level::Unary };
        let mut docs = vec![self.expr_at(first, own)];
        let mut rest = Vec::new();
        for (symbol, operand) in links.into_iter().rev() {
            rest.push(Doc::Line);
            rest.push(text(format!("{symbol} ")));
            rest.push(self.expr_at(operand, tighter));
        }
        docs.push(concat(rest).indent());
        group(docs)
    }

    /// Prints the parentheses of a call; `span` covers them.
    fn call(&mut self, args: &[Arg], filter: Option<&Expr>, span: Span) -> Doc {
        if let Some(filter) = filter {
            let mut inside = Vec::new();
            for (idx, arg) in args.iter().enumerate() {
                inside.push(self.arg(arg));
                inside.push(if idx + 1 < args.len() { text(",") } else { text("") });
                inside.push(Doc::Line);
            }
            inside.extend([text("where "), self.expr(filter)]);
            inside.insert(0, Doc::SoftLine);
            return group([text("("), concat(inside).indent(), Doc::SoftLine, text(")")]);
        }
        self.args(args, span)
    }

    /// Prints arguments in parentheses; `span` covers them.
    pub(super) fn args(&mut self, args: &[Arg], span: Span) -> Doc {
        let brackets = Brackets { open: "(", close: ")", span, pad: false, comma: true };
        self.elements(brackets, args, |arg| arg.span, Self::arg)
    }

    pub(super) fn arg(&mut self, arg: &Arg) -> Doc {
        let value = self.expr(&arg.value);
        match &arg.name {
            Some(name) => concat([text(format!("{}: ", name.name)), value]),
            None => value,
        }
    }

    fn record_field(&mut self, field: &RecordField) -> Doc {
        match field {
            RecordField::Field { name, value } => {
                concat([self.key(name), text(": "), self.expr(value)])
            }
            RecordField::Spread(value) => concat([text("..."), self.expr(value)]),
        }
    }

    fn if_expr(&mut self, condition: &Expr, then: &Expr, otherwise: &Expr) -> Doc {
        let mut docs = vec![text("if "), self.expr(condition), text(" {")];
        docs.push(concat([Doc::Line, self.expr(then)]).indent());
        docs.extend([Doc::Line, text("} else ")]);
        let mut rest = otherwise;
        while let ExprKind::If { condition, then, otherwise } = &rest.kind {
            docs.extend([text("if "), self.expr(condition), text(" {")]);
            docs.push(concat([Doc::Line, self.expr(then)]).indent());
            docs.extend([Doc::Line, text("} else ")]);
            rest = otherwise;
        }
        docs.push(text("{"));
        docs.push(concat([Doc::Line, self.expr(rest)]).indent());
        docs.extend([Doc::Line, text("}")]);
        group(docs)
    }

    fn arm(&mut self, arm: &Arm) -> Doc {
        let mut docs = Vec::new();
        for (idx, pattern) in arm.patterns.iter().enumerate() {
            if idx != 0 {
                docs.extend([Doc::Line, text("| ")]);
            }
            docs.push(self.pattern(pattern));
        }
        concat([group(docs), text(" => "), self.expr(&arm.value)])
    }

    fn pattern(&mut self, pattern: &Pattern) -> Doc {
        match &pattern.kind {
            PatternKind::Any => text("_"),
            PatternKind::Name(name) => text(name.written()),
            PatternKind::Literal(literal) => self.expr(literal),
            PatternKind::Range { from, to, inclusive } => {
                let dots = if *inclusive { "..=" } else { ".." };
                concat([self.expr(from), text(dots), self.expr(to)])
            }
        }
    }

    /// Prints a path of the event or its metadata.
    pub(super) fn path(&mut self, path: &Path) -> Doc {
        let mut written = match &path.root {
            PathRoot::Event => String::new(),
            PathRoot::Meta(name) => format!("@{}", name.name),
        };
        for seg in &path.segs {
            let source = seg.span.of(self.text);
            match &seg.kind {
                SegKind::Field(name) if source.starts_with('[') => {
                    written.extend(["[", &quote(name), "]"]);
                }
                SegKind::Field(name) if is_plain(name) => written.extend([".", name]),
                SegKind::Field(name) => written.extend([".", &quote(name)]),
                SegKind::Index(position) => written.extend(["[", &position.to_string(), "]"]),
                SegKind::Each => written.push_str("[*]"),
            }
        }
        text(if written.is_empty() { ".".to_owned() } else { written })
    }
}

/// Writes text as a literal.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn field_span(field: &RecordField) -> Span {
    match field {
        RecordField::Field { name, value } => name.span.to(value.span),
        RecordField::Spread(value) => value.span,
    }
}
