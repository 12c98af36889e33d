//! Plans written by hand, and events run through them: what the evaluator's tests share.

use std::{fmt::Write as _, sync::Arc};

use logmon_dsl::{
    column::{Absence, Batch, Names, NodeId, View, load},
    eval::{Evaluator, Lookups, NoLookups, Outcome, RowFate, print_event},
    plan::{
        AssignOp, CompareOp, Expr, ExprId, Literal, LocalId, Op, Plan, Rule, RuleId, SinkDecl,
        SinkId, SinkType, Site, SiteId, SourceDecl, Step, Stmt, Target,
    },
    span::Span,
    types::{Shape, Ty, Type},
};

/// 2026-01-01T00:00:00Z
pub(crate) const T0: i64 = 1_767_225_600_000_000_000;

/// A plan in the making.
pub(crate) struct Builder {
    pub(crate) plan: Plan,
}

impl Builder {
    /// One source of the built-in shape and the sinks `a` and `b`.
    pub(crate) fn new() -> Self {
        let sink = |name: &str| SinkDecl {
            name: name.into(),
            ty: SinkType::Record(Arc::new(Shape { fields: vec![], open: true })),
            with: vec![],
            accepts_sensitive: false,
            span: Span::default(),
        };
        let mut plan = Plan {
            layout: logmon_dsl::column::Layout::new(),
            exprs: vec![],
            n_locals: 0,
            sources: vec![SourceDecl {
                name: "app".into(),
                shape: Arc::new(Shape::log()),
                is_log: true,
                span: Span::default(),
            }],
            sinks: vec![sink("a"), sink("b")],
            lookups: vec![],
            rules: vec![],
            steps: vec![],
            sites: vec![],
            default_route: vec![],
            reads_headers: false,
            stores: vec![],
            windows: vec![],
            metrics: vec![],
        };
        for (name, ty, coerce) in [
            ("timestamp", Type::Timestamp, true),
            ("severity", Type::Severity, true),
            ("service", Type::Text, false),
            ("message", Type::Text, false),
            ("tags", Type::list(Type::Text), false),
            ("status", Type::Int, true),
        ] {
            let node = plan.layout.add(&[name]);
            plan.layout.declare(node, ty, coerce);
        }
        Self { plan }
    }

    pub(crate) fn node(&mut self, path: &str) -> NodeId {
        let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
        self.plan.layout.add(&keys)
    }

    pub(crate) fn expr(&mut self, op: Op, ty: Type) -> ExprId {
        self.plan.exprs.push(Expr { op, ty: Ty::optional(ty), span: Span::default() });
        ExprId(self.plan.exprs.len() as u32 - 1)
    }

    /// A field by its declared type.
    pub(crate) fn field(&mut self, path: &str) -> ExprId {
        let node = self.node(path);
        let ty = self.plan.layout.node(node).ty.clone();
        self.expr(Op::Field(node), ty)
    }

    /// A field that some rule wrote, or an undeclared one narrowed.
    pub(crate) fn field_as(&mut self, path: &str, ty: Type) -> ExprId {
        let field = self.field(path);
        self.expr(Op::Narrow(field), ty)
    }

    pub(crate) fn lit(&mut self, literal: Literal) -> ExprId {
        let ty = match &literal {
            Literal::Absent(_) => Type::Null,
            Literal::Bool(_) => Type::Bool,
            Literal::Int(_) => Type::Int,
            Literal::Float(_) => Type::Float,
            Literal::Text(_) => Type::Text,
            Literal::Timestamp(_) => Type::Timestamp,
            Literal::Duration(_) => Type::Duration,
            Literal::Ip(_) => Type::Ip,
            Literal::Cidr(_) => Type::Cidr,
            Literal::Severity(_) => Type::Severity,
            Literal::Json(_) => Type::Any,
        };
        self.expr(Op::Literal(literal), ty)
    }

    pub(crate) fn int(&mut self, number: i64) -> ExprId {
        self.lit(Literal::Int(number))
    }

    pub(crate) fn text(&mut self, text: &str) -> ExprId {
        self.lit(Literal::Text(text.into()))
    }

    pub(crate) fn compare(&mut self, op: CompareOp, left: ExprId, right: ExprId) -> ExprId {
        self.expr(Op::Compare { op, left, right }, Type::Bool)
    }

    /// A `let` place.
    pub(crate) fn local(&mut self) -> LocalId {
        self.plan.n_locals += 1;
        LocalId(self.plan.n_locals as u32 - 1)
    }

    pub(crate) fn site(&mut self) -> SiteId {
        let rule = RuleId(self.plan.rules.len() as u32);
        let label = format!("site {}", self.plan.sites.len()).into();
        self.plan.sites.push(Site { rule, label, span: Span::default() });
        SiteId(self.plan.sites.len() as u32 - 1)
    }

    pub(crate) fn set(&mut self, path: &str, value: ExprId) -> Stmt {
        self.assign(path, AssignOp::Set, value, None)
    }

    pub(crate) fn assign(
        &mut self,
        path: &str,
        op: AssignOp,
        value: ExprId,
        otherwise: Option<Vec<Stmt>>,
    ) -> Stmt {
        Stmt::Assign { target: self.node(path), op, value, otherwise, site: self.site() }
    }

    pub(crate) fn rule(&mut self, when: Option<ExprId>, body: Vec<Stmt>) -> RuleId {
        let id = self.add_rule(when, body);
        self.plan.steps.push(Step::Rule(id));
        id
    }

    pub(crate) fn add_rule(&mut self, when: Option<ExprId>, body: Vec<Stmt>) -> RuleId {
        let name: Arc<str> = format!("r{}", self.plan.rules.len()).into();
        self.plan.rules.push(Rule {
            label: name.clone(),
            name,
            on: vec![],
            when,
            site: None,
            body,
            attributes: vec![],
            shadow: false,
            canary: None,
            pinned: false,
            was: None,
            span: Span::default(),
        });
        RuleId(self.plan.rules.len() as u32 - 1)
    }

    pub(crate) fn default_to(&mut self, sink: u32) {
        self.plan.default_route = vec![to(sink)];
    }
}

pub(crate) fn to(sink: u32) -> Target {
    Target { sink: SinkId(sink), args: vec![] }
}

pub(crate) fn drop_as(reason: &str) -> Stmt {
    Stmt::Drop { reason: reason.into() }
}

/// One event's outcome as text: `fate | sink#emit_ix event … | site cause …`.
pub(crate) fn run(plan: &Arc<Plan>, events: &[&str]) -> Vec<String> {
    run_with(plan, events, 0, &mut NoLookups).0
}

/// The same with lookups, from that offset on, and the outcome itself.
pub(crate) fn run_with(
    plan: &Arc<Plan>,
    events: &[&str],
    offset: i64,
    lookups: &mut dyn Lookups,
) -> (Vec<String>, Outcome) {
    let mut names = Names::default();
    let mut batch = Batch::new(&plan.layout);
    let bytes: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    load::load(&mut batch, &plan.layout, &mut names, &bytes).expect("events of a test");
    batch.meta.topic = "t".into();
    batch.meta.offsets = (offset..offset + events.len() as i64).collect();
    batch.meta.times = batch.meta.offsets.iter().map(|o| T0 + o * 1_000_000_000).collect();
    batch.meta.keys = vec![View::absent(Absence::Missing); events.len()];
    let mut evaluator = Evaluator::new(plan.clone());
    let outcome = evaluator.run(&mut batch, &names, lookups, true);
    let show = |row: usize| {
        let mut text = match outcome.fates[row] {
            RowFate::Routed => "routed".to_owned(),
            RowFate::Dropped { .. } => "dropped".to_owned(),
            RowFate::Unrouted => "unrouted".to_owned(),
        };
        if let Some((rule, reason)) = outcome.dropped_by[row] {
            let reason = &outcome.reasons[reason as usize];
            write!(text, " by r{} as {reason}", rule.0).expect("a string takes all");
        }
        for routed in &outcome.routed {
            let Some(place) = routed.rows.iter().position(|&at| at as usize == row) else {
                continue;
            };
            let mut event = Vec::new();
            print_event(
                &mut event,
                &batch,
                &plan.layout,
                &names,
                &routed.snapshot,
                row,
                &routed.args,
            );
            let event = String::from_utf8(event).expect("an event is text");
            serde_json::from_str::<serde_json::Value>(&event).expect(&event);
            let sink = &plan.sinks[routed.sink.0 as usize].name;
            write!(text, " | {sink}#{} {event}", routed.emit_ix[place])
                .expect("a string takes all");
        }
        let mut faults: Vec<String> = outcome
            .fault_rows
            .iter()
            .filter(|(at, ..)| *at as usize == row)
            .map(|(_, site, why)| {
                format!(" | {} {}", plan.sites[site.0 as usize].label, why.name())
            })
            .collect();
        faults.sort();
        text + &faults.concat()
    };
    ((0..events.len()).map(show).collect(), outcome)
}
