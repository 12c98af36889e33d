//! Expressions and paths.

use logmon_grammar::{Pair, Rule};

use super::lower::{Lower, Parts, parts};
use crate::{
    diagnostic::{Code, Diagnostic},
    span::Span,
    syntax::ast::{
        Arg, Arithmetic, Arm, Expr, ExprKind, Ident, Path, PathRoot, Pattern, PatternKind,
        RecordField, Seg, SegKind,
    },
};

/// How deep the tree of one expression may be.
///
/// The scanner bounds brackets; this bounds what nests without any: `a + b + c …`, `f(x).a.b.c …`.
/// Whatever walks a tree may recurse without looking at its stack.
const MAX_DEPTH: usize = 256;

impl Lower<'_> {
    /// Lowers an expression of any level.
    pub(super) fn expr(&mut self, pair: &Pair<'_>) -> Expr {
        let span = self.span(pair);
        self.nested(1, span, |lower| lower.expr_inside(pair))
    }

    /// Lowers something that lies so many levels below where the lowering is.
    pub(super) fn nested(
        &mut self,
        levels: usize,
        span: Span,
        inside: impl FnOnce(&mut Self) -> Expr,
    ) -> Expr {
        if MAX_DEPTH < self.depth + levels {
            let told = self.diagnostics.iter().any(|diagnostic| diagnostic.code == Code::E106);
            if !told {
                self.report(
                    Diagnostic::new(Code::E106, span, "this expression is too long or too deep")
                        .label(format!("more than {MAX_DEPTH} operators inside each other"))
                        .advise("give its parts names with `let`"),
                );
            }
            return Expr { kind: ExprKind::Error, span };
        }
        self.depth += levels;
        let expr = inside(self);
        self.depth -= levels;
        expr
    }

    /// Lowers what a level holds; a level that is not used leaves no node and costs no depth.
    pub(super) fn expr_inside(&mut self, pair: &Pair<'_>) -> Expr {
        match pair.as_rule() {
            Rule::expr => self.junction(pair, ExprKind::Or),
            Rule::and_expr => self.junction(pair, ExprKind::And),
            Rule::not_expr => self.not(pair),
            Rule::compare => self.compare(pair),
            Rule::coalesce => self.coalesce(pair),
            Rule::sum | Rule::product => self.arithmetic(pair),
            Rule::unary => self.unary(pair),
            Rule::postfix => self.postfix(pair),
            Rule::index_expr | Rule::parens => self.expr_inside(&parts(pair).need()),
            other => unreachable!("{other:?} is no level of an expression"),
        }
    }

    /// Lowers `a or b or c` or `a and b and c` to one flat node.
    fn junction(&mut self, pair: &Pair<'_>, join: fn(Vec<Expr>) -> ExprKind) -> Expr {
        let mut operands = Vec::new();
        for part in parts(pair) {
            match part.as_rule() {
                Rule::or_op | Rule::and_op => self.slip_junction(&part),
                _ => operands.push(part),
            }
        }
        if let [operand] = operands.as_slice() {
            return self.expr_inside(operand);
        }
        let mut flat = Vec::with_capacity(operands.len());
        for operand in &operands {
            let expr = self.expr(operand);
            match (pair.as_rule(), expr.kind) {
                (Rule::expr, ExprKind::Or(inner)) | (Rule::and_expr, ExprKind::And(inner)) => {
                    flat.extend(inner);
                }
                (_, kind) => flat.push(Expr { kind, ..expr }),
            }
        }
        Expr { kind: join(flat), span: self.span(pair) }
    }

    fn not(&mut self, pair: &Pair<'_>) -> Expr {
        let signs: Vec<Pair<'_>> = pair
            .clone()
            .into_inner()
            .filter(|part| matches!(part.as_rule(), Rule::k_not | Rule::slip_not))
            .collect();
        let operand = pair.clone().into_inner().last().expect("`not` has an operand");
        if signs.is_empty() {
            return self.expr_inside(&operand);
        }
        for sign in signs.iter().filter(|sign| sign.as_rule() == Rule::slip_not) {
            self.slip_not(sign);
        }
        let span = self.span(pair);
        self.nested(signs.len(), span, |lower| {
            let mut expr = lower.expr(&operand);
            for sign in signs.iter().rev() {
                let span = lower.span(sign).to(span);
                expr = Expr { kind: ExprKind::Not(Box::new(expr)), span };
            }
            expr
        })
    }

    fn coalesce(&mut self, pair: &Pair<'_>) -> Expr {
        let mut operands: Vec<Pair<'_>> = parts(pair).collect();
        operands.retain(|part| part.as_rule() != Rule::coalesce_op);
        if let [operand] = operands.as_slice() {
            return self.expr_inside(operand);
        }
        let mut flat = Vec::with_capacity(operands.len());
        for operand in &operands {
            let expr = self.expr(operand);
            match expr.kind {
                ExprKind::Coalesce(inner) => flat.extend(inner),
                kind => flat.push(Expr { kind, ..expr }),
            }
        }
        Expr { kind: ExprKind::Coalesce(flat), span: self.span(pair) }
    }

    /// Lowers a chain of one level, which binds to the left.
    fn arithmetic(&mut self, pair: &Pair<'_>) -> Expr {
        let mut rest = parts(pair);
        let first = rest.need();
        let links: Vec<Pair<'_>> = rest.collect();
        let span = self.span(pair);
        if links.is_empty() {
            return self.expr_inside(&first);
        }
        self.nested(links.len() / 2, span, |lower| {
            let mut left = lower.expr(&first);
            for link in links.chunks_exact(2) {
                let (op, operand) = (&link[0], &link[1]);
                let right = lower.expr(operand);
                let kind = ExprKind::Arithmetic {
                    op: match op.as_str() {
                        "+" => Arithmetic::Add,
                        "-" => Arithmetic::Sub,
                        "*" => Arithmetic::Mul,
                        "/" => Arithmetic::Div,
                        _ => Arithmetic::Rem,
                    },
                    op_span: lower.span(op),
                    left: Box::new(left),
                    right: Box::new(right),
                };
                left = Expr { kind, span: lower.across(&first, operand) };
            }
            left
        })
    }

    fn unary(&mut self, pair: &Pair<'_>) -> Expr {
        let mut inner = parts(pair);
        let sign = inner.pick(Rule::neg).map(|sign| self.span(&sign));
        let operand = inner.need();
        let Some(sign) = sign else { return self.expr_inside(&operand) };
        if let Some(literal) = lone_literal(&operand) {
            return self.literal(&literal, Some(sign));
        }
        let kind = ExprKind::Neg(Box::new(self.expr(&operand)));
        Expr { kind, span: self.span(pair) }
    }

    fn postfix(&mut self, pair: &Pair<'_>) -> Expr {
        let mut inner = parts(pair);
        let primary = inner.need();
        let links: Vec<Pair<'_>> = inner.collect();
        let span = self.span(pair);
        self.nested(links.len(), span, |lower| {
            let mut expr = lower.primary(&primary);
            for link in &links {
                let span = lower.across(&primary, link);
                let part = parts(link).need();
                let kind = if link.as_rule() == Rule::member {
                    let name = lower.key(&part);
                    member(expr, name)
                } else {
                    let index = lower.expr(&part);
                    lower.index(expr, index, link)
                };
                expr = Expr { kind, span };
            }
            expr
        })
    }

    /// Puts an index behind an expression; a literal one behind a path belongs to the path.
    fn index(&self, base: Expr, index: Expr, link: &Pair<'_>) -> ExprKind {
        let seg = match &index.kind {
            ExprKind::Int(position) => Some(SegKind::Index(*position)),
            ExprKind::Text { value, fold: false } => Some(SegKind::Field(value.clone())),
            _ => None,
        };
        match (base.kind, seg) {
            (ExprKind::Path(mut path), Some(kind)) => {
                let span = self.span(link);
                path.span = path.span.to(span);
                path.segs.push(Seg { kind, span });
                ExprKind::Path(path)
            }
            (kind, _) => {
                let base = Expr { kind, span: base.span };
                ExprKind::Index { base: Box::new(base), index: Box::new(index) }
            }
        }
    }

    fn primary(&mut self, pair: &Pair<'_>) -> Expr {
        let part = parts(pair).need();
        let span = self.span(&part);
        let mut inner = parts(&part);
        let kind = match part.as_rule() {
            Rule::literal => return self.literal(&part, None),
            Rule::parens => return self.expr(&inner.need()),
            Rule::call => self.call(inner),
            Rule::lambda => {
                let mut params: Vec<Pair<'_>> = inner.collect();
                let body = params.pop().expect("a lambda has a body");
                ExprKind::Lambda {
                    params: params.iter().map(|param| self.ident(param)).collect(),
                    body: Box::new(self.expr(&body)),
                }
            }
            Rule::if_expr => return self.if_expr(&part),
            Rule::match_expr => ExprKind::Match {
                subject: Box::new(self.expr(&inner.need())),
                arms: inner.map(|arm| self.arm(&arm)).collect(),
            },
            Rule::list => ExprKind::List(inner.map(|element| self.expr(&element)).collect()),
            Rule::record => {
                ExprKind::Record(inner.map(|field| self.record_field(&field)).collect())
            }
            Rule::path | Rule::meta => ExprKind::Path(self.path(&part)),
            Rule::qname => ExprKind::Name(self.qname(&part)),
            other => unreachable!("{other:?} starts no expression"),
        };
        Expr { kind, span }
    }

    fn call(&mut self, mut inner: Parts<'_>) -> ExprKind {
        let head = inner.need();
        ExprKind::Call {
            function: self.qname(&parts(&head).need()),
            args: inner.pick(Rule::arg_list).map_or_else(Vec::new, |args| self.args(&args)),
            filter: inner
                .pick(Rule::filter)
                .map(|filter| Box::new(self.expr(&parts(&filter).need()))),
        }
    }

    pub(super) fn args(&mut self, pair: &Pair<'_>) -> Vec<Arg> {
        assert_eq!(pair.as_rule(), Rule::arg_list);
        let arg = |pair: Pair<'_>| {
            let mut inner = parts(&pair);
            let name = inner.pick(Rule::arg_name).map(|name| self.ident(&parts(&name).need()));
            Arg { name, value: self.expr(&inner.need()), span: self.span(&pair) }
        };
        parts(pair).map(arg).collect()
    }

    fn if_expr(&mut self, pair: &Pair<'_>) -> Expr {
        let span = self.span(pair);
        self.nested(1, span, |lower| {
            let mut inner = parts(pair);
            let condition = Box::new(lower.expr(&inner.need()));
            let then = Box::new(lower.expr(&inner.need()));
            let other = inner.need();
            let otherwise = match other.as_rule() {
                Rule::if_expr => lower.if_expr(&other),
                _ => lower.expr(&other),
            };
            let otherwise = Box::new(otherwise);
            Expr { kind: ExprKind::If { condition, then, otherwise }, span }
        })
    }

    fn arm(&mut self, pair: &Pair<'_>) -> Arm {
        let mut inner: Vec<Pair<'_>> = parts(pair).collect();
        let value = inner.pop().expect("an arm has a value");
        Arm {
            patterns: inner.iter().map(|pattern| self.pattern(pattern)).collect(),
            value: self.expr(&value),
            span: self.span(pair),
        }
    }

    fn pattern(&mut self, pair: &Pair<'_>) -> Pattern {
        let span = self.span(pair);
        let mut inner = parts(pair);
        let kind = if pair.as_rule() == Rule::any_pattern {
            PatternKind::Any
        } else {
            let from = self.pattern_end(&inner.need());
            match (inner.pick(Rule::range_op), from) {
                (None, Expr { kind: ExprKind::Name(name), .. }) => PatternKind::Name(name),
                (None, from) => PatternKind::Literal(from),
                (Some(op), from) => PatternKind::Range {
                    from,
                    to: self.pattern_end(&inner.need()),
                    inclusive: op.as_str() == "..=",
                },
            }
        };
        Pattern { kind, span }
    }

    /// A literal or a name: what a pattern is, and what a range goes from and to.
    fn pattern_end(&mut self, pair: &Pair<'_>) -> Expr {
        if pair.as_rule() == Rule::qname {
            return Expr { kind: ExprKind::Name(self.qname(pair)), span: self.span(pair) };
        }
        self.pattern_literal(pair)
    }

    fn pattern_literal(&mut self, pair: &Pair<'_>) -> Expr {
        let mut inner = parts(pair);
        let sign = inner.pick(Rule::neg).map(|sign| self.span(&sign));
        self.literal(&inner.need(), sign)
    }

    fn record_field(&mut self, pair: &Pair<'_>) -> RecordField {
        let mut inner = parts(pair);
        if inner.pick(Rule::open_mark).is_some() {
            return RecordField::Spread(self.expr(&inner.need()));
        }
        RecordField::Field { name: self.key(&inner.need()), value: self.expr(&inner.need()) }
    }

    /// Lowers a path of the event or its metadata.
    pub(super) fn path(&mut self, pair: &Pair<'_>) -> Path {
        let mut inner = parts(pair);
        let root = match pair.as_rule() {
            Rule::meta => PathRoot::Meta(self.ident(&inner.need())),
            _ => PathRoot::Event,
        };
        let seg = |part: Pair<'_>| {
            let span = self.span(&part);
            if part.as_rule() == Rule::key {
                return Seg { kind: SegKind::Field(self.key(&part).name), span };
            }
            let index = parts(&part).need();
            let kind = match index.as_rule() {
                Rule::position => SegKind::Index(self.position(&index)),
                Rule::each => SegKind::Each,
                _ => SegKind::Field(self.string(&index).value),
            };
            Seg { kind, span }
        };
        let segs = inner.map(seg).collect();
        Path { root, segs, span: self.span(pair) }
    }
}

/// Puts a field behind an expression; behind a path it belongs to the path.
fn member(base: Expr, name: Ident) -> ExprKind {
    match base.kind {
        ExprKind::Path(mut path) => {
            path.span = path.span.to(name.span);
            path.segs.push(Seg { kind: SegKind::Field(name.name), span: name.span });
            ExprKind::Path(path)
        }
        kind => ExprKind::Member { base: Box::new(Expr { kind, span: base.span }), name },
    }
}

/// Returns the literal if there is nothing else: then a minus belongs to its number.
fn lone_literal<'t>(postfix: &Pair<'t>) -> Option<Pair<'t>> {
    let mut inner = parts(postfix);
    let primary = inner.need();
    if inner.next().is_some() {
        return None;
    }
    parts(&primary).pick(Rule::literal)
}
