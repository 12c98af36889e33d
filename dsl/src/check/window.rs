//! Windows and alerts: what they add up, over which time, and what becomes of it.

use std::sync::Arc;

use super::{Checked, Checker, Named, columns::Sent, path::leading, rule::attributes_of};
use crate::{
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{
        Alert, ExprId, Op, Receiver, Spans, Step, StoreKind, Target, Window, WindowId, WindowLet,
    },
    span::Span,
    syntax::ast::{self, ClauseKind, Expr, ExprKind, MetaKind, PathRoot},
    types::{FieldType, Shape, Ty, Type},
};

/// How many windows an event may lie in: each of them is added up of so many panes.
const OVERLAP_MAX: i64 = 1_000;
/// The longest window: what is longer is a query of the table.
const OVER_MAX: i64 = 7 * 86_400 * 1_000_000_000;

/// Clauses as they are found.
#[derive(Default)]
struct Clauses<'a> {
    over: Option<(Spans, Span)>,
    by: Vec<(NodeId, ExprId)>,
    by_spans: Vec<Span>,
    lets: Vec<WindowLet>,
    route: Vec<(Target, Span)>,
    fire: Option<(&'a Expr, i64, i64)>,
    meta: Vec<(MetaKind, &'a [Expr], Span)>,
    whole: bool,
}

impl Checker<'_> {
    /// Checks a window or an alert and puts it in its place.
    pub(super) fn window(&mut self, it: &ast::Window, file: &Arc<str>, is_alert: bool) {
        let word = if is_alert { "an alert" } else { "a window" };
        let outer = std::mem::take(&mut self.allowed);
        self.allowed = self.window_attributes(&it.attrs, word, &it.name.name);
        let flow = self.flow.clone();
        self.place.rule = None;
        self.place.names.clear();
        let made = self.window_inner(it, file, is_alert);
        self.flush_w312();
        self.place.names.clear();
        self.place.aggregates = None;
        // Windows look on: what is known of events behind them is what was known before.
        self.flow = flow;
        self.allowed = outer;
        match made {
            Some(window) => {
                let id = WindowId(self.build.windows.len() as u32);
                self.build.windows.push(window);
                self.build.steps.push(Step::Window(id));
            }
            None => self.left_out(it.name.span),
        }
    }

    fn window_inner(
        &mut self,
        it: &ast::Window,
        file: &Arc<str>,
        is_alert: bool,
    ) -> Option<Window> {
        let on = self.on(it.on.as_ref());
        self.place.on = match &on {
            Some(on) if !on.is_empty() => on.clone(),
            _ => self.all_sources(),
        };
        self.build.inlined.clear();
        let when = match &it.when {
            Some(e) => Some(self.condition(e, "the condition of a window")?),
            None => None,
        };
        if let Some(when) = when {
            self.learn(when, true);
        }
        let time = self.event_time(it.name.span);
        let mut clauses = Clauses { whole: true, ..Clauses::default() };
        self.place.aggregates = Some(Vec::new());
        for clause in &it.clauses {
            self.clause(clause, is_alert, &mut clauses);
        }
        let alert = if is_alert { Some(self.alert(it, &clauses)?) } else { None };
        let aggregates = self.place.aggregates.take().unwrap_or_default();
        let Some((mut spans, _)) = clauses.over else {
            self.report(
                Diagnostic::new(Code::E102, it.name.span, "this says nothing of its time")
                    .advise("write how long a window is: `over 1m`"),
            );
            return None;
        };
        if !is_alert && clauses.route.is_empty() && clauses.whole {
            self.report(
                Diagnostic::new(Code::E102, it.name.span, "the rows of this window go nowhere")
                    .advise("say where they go: `route to …`"),
            );
            return None;
        }
        if !clauses.whole {
            return None;
        }
        spans.grouped = !clauses.by.is_empty();
        let kinds: Vec<_> = aggregates.iter().map(|it| it.kind).collect();
        let sums = it.clauses.iter().filter(|clause| matches!(clause.kind, ClauseKind::Let { .. }));
        let parts: Vec<Span> =
            clauses.by_spans.iter().copied().chain(sums.map(|clause| clause.span)).collect();
        let length = format!("{} {} {kinds:?}", spans.over, spans.every);
        let identity = self.identity(&length, parts.into_iter());
        let label = format!("{file}/{}", it.name.name);
        let was = attributes_of(&it.attrs).was.map(|was| format!("{file}/{was}"));
        let kind = StoreKind::Window(spans, kinds);
        let store = self.add_store(&label, was, identity, kind);
        let mut bound = |name: &str| {
            let keys: [Arc<str>; 1] = [name.into()];
            let node = self.node(&keys);
            self.written.insert(node);
            node
        };
        let bounds = [bound("window_start"), bound("window_end"), bound("timestamp")];
        let row = [self.row(&clauses, &bounds)];
        for (target, at) in &clauses.route {
            let sent = Sent { shapes: &row, set: &target.args, is_row: true };
            self.fits_table(target.sink, *at, &sent);
        }
        Some(Window {
            label: label.into(),
            name: it.name.name.as_str().into(),
            on: on?,
            when,
            time,
            store,
            by: clauses.by,
            aggregates,
            lets: clauses.lets,
            bounds,
            route: clauses.route.into_iter().map(|(target, _)| target).collect(),
            alert,
            span: it.name.span,
        })
    }

    /// What a row of a window holds: its times, its keys, its sums.
    fn row(&self, clauses: &Clauses<'_>, bounds: &[NodeId]) -> Arc<Shape> {
        let mut row = Shape::default();
        let mut put_at = |node: NodeId, ty: Ty| put(&mut row, &self.build.layout.path(node), ty);
        for node in bounds {
            put_at(*node, Ty::required(Type::Timestamp));
        }
        for (node, value) in &clauses.by {
            put_at(*node, self.build.pool.get(*value).ty.clone());
        }
        for bound in &clauses.lets {
            put_at(bound.node, self.build.pool.get(bound.value).ty.clone());
        }
        Arc::new(row)
    }

    /// When an event happened: its `.timestamp`, if that is one.
    fn event_time(&mut self, span: Span) -> ExprId {
        let keys: [Arc<str>; 1] = ["timestamp".into()];
        let node = self.node(&keys);
        let declared = self.build.layout.node(node).ty.clone();
        if declared == Type::Timestamp {
            return self.add(Op::Field(node), Ty::optional(Type::Timestamp), span).id;
        }
        let field = self.add(Op::Field(node), Ty::optional(Type::Any), span);
        self.narrow(field, Type::Timestamp).id
    }

    fn clause<'a>(&mut self, clause: &'a ast::Clause, is_alert: bool, out: &mut Clauses<'a>) {
        self.build.inlined.clear();
        let done = match &clause.kind {
            ClauseKind::Error => None,
            ClauseKind::Over { length, every, late } => {
                let spans = self.spans(clause.span, length, every.as_ref(), late.as_ref());
                self.once(out.over.map(|(_, span)| span), clause.span, "over");
                out.over = out.over.or(spans.map(|spans| (spans, clause.span)));
                spans.map(|_| ())
            }
            ClauseKind::By(keys) => keys.iter().try_for_each(|key| {
                out.by.push(self.window_key(key)?);
                out.by_spans.push(key.span);
                Some(())
            }),
            ClauseKind::Let { name, value } => self.window_let(name, value, out),
            ClauseKind::Fire { condition, hold, resolve } if is_alert => {
                let nanos = |it: &Option<ast::Duration>| it.map_or(0, |it| it.nanos);
                self.once(out.fire.map(|(e, ..)| e.span), clause.span, "fire");
                out.fire = Some((condition, nanos(hold), nanos(resolve)));
                Some(())
            }
            ClauseKind::Meta { kind, values } if is_alert => {
                let before = out.meta.iter().find(|(known, ..)| known == kind);
                self.once(before.map(|(.., span)| *span), clause.span, word(*kind));
                out.meta.push((*kind, values, clause.span));
                Some(())
            }
            ClauseKind::Route(targets) if !is_alert => {
                let (made, whole) = self.sinks_of(targets);
                let args: Vec<_> =
                    made.iter().flat_map(|(target, _)| &target.args).map(|(_, id)| *id).collect();
                let whole = args.iter().all(|id| self.single(*id, &out.by, clause.span)) && whole;
                out.route.extend(made);
                whole.then_some(())
            }
            ClauseKind::Route(_) => {
                let message = "an alert is told to people: it has no rows to route";
                self.report(
                    Diagnostic::new(Code::E102, clause.span, message)
                        .advise("`notify` says whom, and a `window` makes rows"),
                );
                None
            }
            ClauseKind::Fire { .. } | ClauseKind::Meta { .. } => {
                let message = "this stands in an `alert` only";
                self.fail(Code::E102, clause.span, message)
            }
        };
        out.whole &= done.is_some();
    }

    fn once(&mut self, first: Option<Span>, again: Span, what: &str) {
        if let Some(first) = first {
            self.report(
                Diagnostic::new(Code::E108, again, format!("`{what}` stands twice"))
                    .related(first, "here first"),
            );
        }
    }

    fn spans(
        &mut self,
        span: Span,
        length: &ast::Duration,
        every: Option<&ast::Duration>,
        late: Option<&ast::Duration>,
    ) -> Option<Spans> {
        let over = length.nanos;
        let (every_span, every) = every.map_or((span, over), |it| (it.span, it.nanos));
        let late = late.map_or(0, |late| late.nanos);
        if over <= 0 || over > OVER_MAX || late > OVER_MAX {
            let message = "a window is longer than nothing and at most a week";
            return self.fail(Code::E120, span, message);
        }
        if every <= 0 || over % every != 0 || over / every > OVERLAP_MAX {
            self.report(
                Diagnostic::new(Code::E120, every_span, "`every` must divide the window's length")
                    .note(format!("a window of 5m may end every 30s; an event lies in at most {OVERLAP_MAX} windows")),
            );
            return None;
        }
        Some(Spans { over, every, late, grouped: false })
    }

    /// A key: a path, written at the same place in the rows.
    fn window_key(&mut self, e: &Expr) -> Option<(NodeId, ExprId)> {
        let keys: Option<Vec<Arc<str>>> = match &e.kind {
            ExprKind::Error => return None,
            ExprKind::Path(path) if matches!(path.root, PathRoot::Event) => {
                let keys = leading(&path.segs);
                let plain = !keys.is_empty() && keys.len() == path.segs.len();
                plain.then(|| keys.into_iter().map(|(key, _)| key.into()).collect())
            }
            _ => None,
        };
        let Some(keys) = keys else {
            self.report(
                Diagnostic::new(Code::E101, e.span, "a window has keys by path: `by .service`")
                    .advise("compute it into a field in a rule before"),
            );
            return None;
        };
        let aggregates = self.place.aggregates.take();
        let value = self.expr(e, None);
        self.place.aggregates = aggregates;
        let node = self.node(&keys);
        Some((node, value?.id))
    }

    fn window_let(&mut self, name: &ast::Ident, value: &Expr, out: &mut Clauses<'_>) -> Option<()> {
        let found = self.expr(value, None);
        let Some(found) = found else {
            self.place.names.push(Named::parameter(&name.name, None));
            return None;
        };
        if !self.single(found.id, &out.by, value.span) {
            self.place.names.push(Named::parameter(&name.name, None));
            return None;
        }
        if let Some(before) = out.lets.iter().find(|it| *it.name == *name.name) {
            let message = format!("`{}` is computed twice", before.name);
            return self.fail(Code::E108, name.span, message);
        }
        let local = self.new_local();
        let bound = self.add(Op::Local(local), found.ty.clone(), name.span);
        let bound = Checked { ty: found.ty.clone(), ..bound };
        self.place.names.push(Named::parameter(&name.name, Some(bound)));
        let keys: [Arc<str>; 1] = [name.name.as_str().into()];
        let node = self.node(&keys);
        self.written.insert(node);
        out.lets.push(WindowLet { name: name.name.as_str().into(), local, value: found.id, node });
        Some(())
    }

    /// Whether a value is one a window: fields of events are many, unless they are its keys.
    fn single(&mut self, id: ExprId, by: &[(NodeId, ExprId)], span: Span) -> bool {
        let keys: Vec<NodeId> =
            by.iter().flat_map(|(node, _)| self.build.layout.subtree(*node)).collect();
        let Some(other) = self.build.pool.reads(id).into_iter().find(|node| !keys.contains(node))
        else {
            return true;
        };
        let path = self.build.layout.display(other);
        self.report(
            Diagnostic::new(Code::E101, span, format!("`{path}` has many values in a window"))
                .advise(format!(
                    "choose one of them, `any({path})`, or make it a key: `by {path}`"
                )),
        );
        false
    }

    fn alert(&mut self, it: &ast::Window, clauses: &Clauses<'_>) -> Option<Alert> {
        let Some((condition, hold, resolve)) = clauses.fire else {
            self.report(
                Diagnostic::new(Code::E102, it.name.span, "nothing says when this alert fires")
                    .advise("write `fire when …`"),
            );
            return None;
        };
        let condition_id = self.condition(condition, "when an alert fires")?;
        if !self.single(condition_id, &clauses.by, condition.span) {
            return None;
        }
        let mut alert = Alert {
            condition: condition_id,
            hold,
            resolve,
            severity: None,
            summary: None,
            labels: None,
            runbook: None,
            notify: Vec::new(),
        };
        for (kind, values, span) in &clauses.meta {
            if *kind == MetaKind::Notify {
                for receiver in *values {
                    alert.notify.push(self.receiver(receiver, &clauses.by)?);
                }
                continue;
            }
            let [value] = *values else {
                let message = format!("`{}` takes one value", word(*kind));
                return self.fail(Code::E102, *span, message);
            };
            let want = match kind {
                MetaKind::Severity => Type::Severity,
                MetaKind::Labels => Type::map(Type::Any),
                MetaKind::Summary | MetaKind::Runbook | MetaKind::Notify => Type::Text,
            };
            let found = self.expr(value, Some(&want))?;
            let found = match (kind, found.base()) {
                (MetaKind::Labels, Type::Record(_) | Type::Map(_) | Type::Any) => found,
                _ => self.fit(found, &Ty::optional(want), &format!("`{}`", word(*kind)))?,
            };
            if !self.single(found.id, &clauses.by, value.span) {
                return None;
            }
            let place = match kind {
                MetaKind::Severity => &mut alert.severity,
                MetaKind::Summary => &mut alert.summary,
                MetaKind::Labels => &mut alert.labels,
                MetaKind::Runbook | MetaKind::Notify => &mut alert.runbook,
            };
            *place = Some(found.id);
        }
        Some(alert)
    }

    /// Whom to tell: a name that `logmon.toml` gives a meaning, with what it is told beside the alert.
    fn receiver(&mut self, e: &Expr, by: &[(NodeId, ExprId)]) -> Option<Receiver> {
        let (name, args): (_, &[ast::Arg]) = match &e.kind {
            ExprKind::Name(name) => (name.bare(), &[]),
            ExprKind::Call { function, args, filter: None } => (function.bare(), args),
            ExprKind::Error => return None,
            _ => (None, &[]),
        };
        let Some(name) = name else {
            let message = "a receiver is a name: `notify pager, chat(channel: \"#ops\")`";
            return self.fail(Code::E101, e.span, message);
        };
        let mut told = Vec::with_capacity(args.len());
        for arg in args {
            let Some(word) = &arg.name else {
                let message = "what a receiver is told has a name: `channel: \"#ops\"`";
                return self.fail(Code::E102, arg.span, message);
            };
            let value = self.expr(&arg.value, None)?;
            if !self.single(value.id, by, arg.span) {
                return None;
            }
            told.push((word.name.as_str().into(), value.id));
        }
        Some(Receiver { name: name.into(), told })
    }
}

fn word(kind: MetaKind) -> &'static str {
    match kind {
        MetaKind::Severity => "severity",
        MetaKind::Summary => "summary",
        MetaKind::Runbook => "runbook",
        MetaKind::Notify => "notify",
        MetaKind::Labels => "labels",
    }
}

/// Adds a field to a shape, or to a record in it.
fn put(shape: &mut Shape, keys: &[&str], ty: Ty) {
    let field =
        |name: &str, ty| FieldType { name: name.into(), ty, coerce: false, sensitive: false };
    match keys {
        [] => {}
        [name] => shape.fields.push(field(name, ty)),
        [name, below @ ..] => {
            if let Some(known) = shape.fields.iter_mut().find(|known| *known.name == **name) {
                if let Type::Record(inner) = &mut known.ty.base {
                    put(Arc::make_mut(inner), below, ty);
                }
                return;
            }
            let mut inner = Shape::default();
            put(&mut inner, below, ty);
            shape.fields.push(field(name, Ty::required(Type::Record(Arc::new(inner)))));
        }
    }
}
