//! Statements that thin out by what came before, that make several events of one, and that count.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Checked, Checker, event, path::leading, stmt::Exits, write::Target};
use crate::{
    column::NodeId,
    diagnostic::{Code, Diagnostic},
    plan::{AssignOp, ExprId, Limit, Metric, MetricId, Op, Stmt, Store, StoreId, StoreKind},
    span::Span,
    syntax::ast::{self, Block, ExprKind, PathRoot},
    types::{Ty, Type},
};

/// How many keys a `limit` remembers unless it says otherwise.
const KEYS: u64 = 10_000;
/// How many it may remember: each takes some fifty bytes in every partition.
const KEYS_MAX: u64 = 1_000_000;
/// How many events a bucket may hold.
const BURST_MAX: u64 = 1_000_000_000;
/// How long a `dedup` may remember: longer stretches belong into the table.
const WITHIN_MAX: i64 = 24 * 3_600 * 1_000_000_000;

impl Checker<'_> {
    /// `limit count/per burst burst by keys max_keys n else { … }`
    #[expect(clippy::too_many_arguments, reason = "the parts of the statement")]
    pub(super) fn limit(
        &mut self,
        count: &ast::Count,
        per: &ast::Duration,
        burst: Option<&ast::Count>,
        by: &[ast::Expr],
        max_keys: Option<&ast::Count>,
        otherwise: Option<&Block>,
        exits: &mut Exits,
    ) -> Option<Stmt> {
        let count_ok = self.within(count, 1, BURST_MAX, "a limit");
        let burst_ok = burst.is_none_or(|it| self.within(it, 1, BURST_MAX, "`burst`"));
        let keys_ok = max_keys.is_none_or(|it| self.within(it, 1, KEYS_MAX, "`max_keys`"));
        if let (Some(keys), true) = (max_keys, by.is_empty()) {
            self.report(
                Diagnostic::new(Code::E102, keys.span, "`max_keys` needs `by`")
                    .advise("without keys there is one bucket for all events"),
            );
        }
        let keys = self.keys(by);
        let otherwise = self.else_way(otherwise, exits);
        if !(count_ok && burst_ok && keys_ok && per.nanos > 0) {
            return None;
        }
        let limit = Limit {
            count: count.value,
            per: per.nanos,
            burst: burst.map_or(count.value, |burst| burst.value),
            keys_max: max_keys.map_or(KEYS, |keys| keys.value) as usize,
        };
        let identity = self.identity(&format!("{limit:?}"), by.iter().map(|key| key.span));
        let store = self.new_store("limit", identity, StoreKind::Limit(limit));
        Some(Stmt::Limit { store, by: keys?, otherwise })
    }

    /// `dedup by keys within duration else { … }`
    pub(super) fn dedup(
        &mut self,
        by: &[ast::Expr],
        within: &ast::Duration,
        otherwise: Option<&Block>,
        exits: &mut Exits,
    ) -> Option<Stmt> {
        let sound = within.nanos > 0 && within.nanos <= WITHIN_MAX;
        if !sound {
            let message = "`within` takes a length of time of at most a day";
            self.fail::<()>(Code::E120, within.span, message);
        }
        let keys = self.keys(by);
        let count_keys: [Arc<str>; 1] = ["dedup_count".into()];
        let count = self.node(&count_keys);
        let before = self.flow.clone();
        let otherwise = otherwise.map(|block| {
            self.written.insert(count);
            let target = Target { node: count, keys: count_keys.to_vec(), span: within.span };
            let id = self.build.pool.add(Op::Field(count), Ty::optional(Type::Any), within.span);
            let value = Checked { id, ty: Ty::required(Type::Any), span: within.span };
            self.wrote(&target, AssignOp::Set, &value);
            let body = self.block(block, exits);
            let after = std::mem::replace(&mut self.flow, before);
            if !body.ends {
                self.flow.meet(&after);
            }
            body.stmts
        });
        if !sound {
            return None;
        }
        let identity = self.identity(&format!("{}", within.nanos), by.iter().map(|key| key.span));
        let kind = StoreKind::Dedup { within: within.nanos };
        let store = self.new_store("dedup", identity, kind);
        Some(Stmt::Dedup { store, by: keys?, otherwise, count })
    }

    /// `emit each list as .path`
    pub(super) fn emit(&mut self, list: &ast::Expr, target: Option<&ast::Path>) -> Option<Stmt> {
        let found = self.expr(list, None);
        let target = match target {
            Some(path) => Some(self.target(path)?),
            None => None,
        };
        let found = found?;
        let of = match found.base() {
            Type::List(of) => (**of).clone(),
            Type::Any => Type::Any,
            other => {
                let message = format!("`emit each` takes a list, not `{other}`");
                return self.fail(Code::E101, list.span, message);
            }
        };
        let found = match found.base() {
            Type::Any => self.narrow(found, Type::list(Type::Any)),
            _ => found,
        };
        if let Some(target) = &target {
            // Where there is no list the event stays as it is.
            let ty = Ty::optional(of);
            let element = Checked { ty, ..found };
            let element = self.fit_target(element, target)?;
            self.wrote(target, AssignOp::Set, &element);
        } else {
            if !matches!(of, Type::Any | Type::Map(_) | Type::Record(_)) {
                let message = format!("an event is a record, and these are `{of}`");
                self.report(
                    Diagnostic::new(Code::E101, list.span, message)
                        .advise("say where each element goes: `emit each list as .item`"),
                );
                return None;
            }
            // Every path may be another one from here on.
            self.written.insert(NodeId::ROOT);
            self.flow.present.clear();
            for source in self.place.on.clone() {
                let mut shape = (*event::every_optional(&self.flow.shapes[source])).clone();
                shape.open = true;
                self.flow.shapes[source] = Arc::new(shape);
            }
        }
        let site = self.new_site("emit each".to_owned(), list.span);
        Some(Stmt::Emit { list: found.id, target: target.map(|target| target.node), site })
    }

    /// `count metric by labels value e`
    pub(super) fn count_stmt(
        &mut self,
        span: Span,
        metric: &ast::Ident,
        by: &[ast::Expr],
        value: Option<&ast::Expr>,
    ) -> Option<Stmt> {
        let labels: Vec<Option<Arc<str>>> = by.iter().map(|label| self.label(label)).collect();
        let keys = self.keys(by);
        let value = match value {
            None => None,
            Some(e) => {
                let value = self.expr(e, None)?;
                let want = Ty::optional(Type::Number);
                let value = match value.base() {
                    Type::Int | Type::Float | Type::Number => value,
                    _ => self.fit(value, &want, "what is counted")?,
                };
                Some(value.id)
            }
        };
        if super::test::is_metric_of_rules(&metric.name) {
            let message = format!("every rule counts its own `{}`", metric.name);
            return self.fail(Code::E108, metric.span, message);
        }
        let labels: Option<Vec<Arc<str>>> = labels.into_iter().collect();
        let labels = labels?;
        for (index, label) in labels.iter().enumerate() {
            if labels[..index].contains(label) {
                let message = format!("two labels would be called `{label}`");
                return self.fail(Code::E108, by[index].span, message);
            }
        }
        let metric = self.metric_named(metric, labels)?;
        let site = self.new_site("count".to_owned(), span);
        Some(Stmt::Count { metric, by: keys?, value, site })
    }

    /// The metric of that name; all that count to it have the same labels.
    fn metric_named(&mut self, name: &ast::Ident, labels: Vec<Arc<str>>) -> Option<MetricId> {
        let known = self.build.metrics.iter().position(|metric| *metric.name == *name.name);
        let Some(index) = known else {
            let id = MetricId(self.build.metrics.len() as u32);
            let metric = Metric { name: name.name.as_str().into(), labels, span: name.span };
            self.build.metrics.push(metric);
            return Some(id);
        };
        let metric = &self.build.metrics[index];
        if metric.labels != labels {
            let message = format!("`{}` has other labels elsewhere", name.name);
            let there = metric.span;
            self.report(
                Diagnostic::new(Code::E101, name.span, message)
                    .related(there, "counted here first")
                    .advise(
                        "a metric has one set of labels: count the same `by`, or use another name",
                    ),
            );
            return None;
        }
        Some(MetricId(index as u32))
    }

    /// What the label of a key is called: its path with `_`, or the name of its `let`.
    fn label(&mut self, e: &ast::Expr) -> Option<Arc<str>> {
        let text = match &e.kind {
            ExprKind::Name(name) => name.bare().map(str::to_owned),
            ExprKind::Path(path) => {
                let keys: Vec<&str> = leading(&path.segs).into_iter().map(|(key, _)| key).collect();
                match &path.root {
                    PathRoot::Meta(name) if path.segs.is_empty() => Some(name.name.clone()),
                    PathRoot::Event if !keys.is_empty() && keys.len() == path.segs.len() => {
                        Some(keys.join("_"))
                    }
                    PathRoot::Meta(_) | PathRoot::Event => None,
                }
            }
            ExprKind::Error => return None,
            _ => None,
        };
        let Some(text) = text else {
            self.report(
                Diagnostic::new(Code::E102, e.span, "this label has no name")
                    .advise("give it one: `let name = …`, then `by name`"),
            );
            return None;
        };
        let mut label: String = text
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
            .collect();
        if label.starts_with(|first: char| first.is_ascii_digit()) || label.starts_with("__") {
            label.insert(0, 'x');
        }
        Some(label.into())
    }

    fn keys(&mut self, by: &[ast::Expr]) -> Option<Vec<ExprId>> {
        let keys: Vec<_> = by.iter().map(|key| self.expr(key, None).map(|key| key.id)).collect();
        keys.into_iter().collect()
    }

    fn within(&mut self, count: &ast::Count, from: u64, to: u64, what: &str) -> bool {
        let sound = (from..=to).contains(&count.value);
        if !sound {
            let message = format!("{what} is a number from {from} to {to}");
            self.fail::<()>(Code::E120, count.span, message);
        }
        sound
    }

    /// The block of a thinning statement; what is known meets behind it.
    fn else_way(&mut self, block: Option<&Block>, exits: &mut Exits) -> Option<Vec<Stmt>> {
        let before = self.flow.clone();
        block.map(|block| {
            let body = self.block(block, exits);
            let after = std::mem::replace(&mut self.flow, before);
            if !body.ends {
                self.flow.meet(&after);
            }
            body.stmts
        })
    }

    /// A number that changes when what is remembered would mean something else.
    pub(super) fn identity(&self, params: &str, parts: impl Iterator<Item = Span>) -> u64 {
        let mut text = params.to_owned();
        for part in parts {
            text.push('\n');
            let words = self.loaded.sources.text(part).split_whitespace();
            text.extend(words.flat_map(|word| [word, " "]));
        }
        xxh3_64(text.as_bytes())
    }

    fn new_store(&mut self, word: &str, identity: u64, kind: StoreKind) -> StoreId {
        let rule = self.place.rule.and_then(|rule| self.build.rules.get(rule.0 as usize));
        let (label, was) = rule.map_or_else(
            || ("rule".into(), None),
            |rule| {
                let was = rule.was.as_ref().map(|was| {
                    let above = rule.label.rsplit_once('/').map_or("", |(above, _)| above);
                    format!("{above}/{was}")
                });
                (rule.label.to_string(), was)
            },
        );
        self.add_store(
            &format!("{label} {word}"),
            was.map(|was| format!("{was} {word}")),
            identity,
            kind,
        )
    }

    /// Enters a store; several of one name are numbered.
    pub(super) fn add_store(
        &mut self,
        label: &str,
        was: Option<String>,
        identity: u64,
        kind: StoreKind,
    ) -> StoreId {
        let id = StoreId(self.build.stores.len() as u32);
        let numbered = format!("{label} ");
        let before = self
            .build
            .stores
            .iter()
            .filter(|store| *store.label == *label || store.label.starts_with(&numbered))
            .count();
        let name = |text: &str| -> Arc<str> {
            if before == 0 { text.into() } else { format!("{text} {}", before + 1).into() }
        };
        let was = was.map(|was| name(&was));
        self.build.stores.push(Store { label: name(label), was, identity, kind });
        id
    }
}
