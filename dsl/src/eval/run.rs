//! Statements over masks: what a plan does to a batch.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Outcome, Routed, RowFate, RuleCount, fields,
    machine::{Machine, Operand},
    remember::Counts,
};
use crate::{
    column::{Absence, Column, Kind, Mask, NodeId, Value, View, batch::Snapshot, blend, print},
    plan::{
        AssignOp, ExprId, Literal, LocalId, Op, PathSet, Ratio, RuleId, SiteId, Step, Stmt, Target,
    },
    state::LaneState,
    types::Type,
};

/// One pass of a plan over one batch.
pub(super) struct Run<'m> {
    pub(super) machine: Machine<'m>,
    pub(super) outcome: Outcome,
    /// Rows that nothing dropped.
    pub(super) live: Mask,
    /// Rows that a route took.
    pub(super) taken: Mask,
    /// How many outputs each event has had.
    pub(super) emitted: Vec<u16>,
    /// How many rows were made of each event.
    pub(super) made: Vec<u16>,
    /// For each row that was made: the row it is a copy of.
    pub(super) parents: Vec<u32>,
    /// For each row that was made: in which growth of the batch.
    pub(super) grown: Vec<u32>,
    rule: Option<RuleId>,
    /// The fields as they are, until the next write.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) keep_fault_rows: bool,
    pub(super) memory: Memory<'m>,
    /// What `count` adds to.
    pub(super) counts: Counts,
    /// Inside a rule whose acts do not last.
    pub(super) shadow: bool,
}

/// What is remembered of the partition, and the time by which each event is judged.
#[derive(Default)]
pub(super) struct Memory<'m> {
    pub(super) lane: Option<&'m mut LaneState>,
    pub(super) clocks: Vec<i64>,
    /// Whether alerts are judged.
    pub(super) alerts: bool,
}

impl<'m> Run<'m> {
    pub(super) fn new(machine: Machine<'m>, memory: Memory<'m>, keep_fault_rows: bool) -> Self {
        let rows = machine.batch.rows;
        let outcome = Outcome {
            events: rows,
            dropped_by: vec![None; rows],
            rules: vec![RuleCount::default(); machine.plan.rules.len()],
            ..Outcome::default()
        };
        Self {
            machine,
            outcome,
            live: Mask::all(rows),
            taken: Mask::none(rows),
            emitted: vec![0; rows],
            made: vec![0; rows],
            parents: Vec::new(),
            grown: Vec::new(),
            rule: None,
            snapshot: None,
            keep_fault_rows,
            memory,
            counts: Counts::default(),
            shadow: false,
        }
    }

    /// Runs all steps and the default route.
    pub(super) fn finish(mut self) -> Outcome {
        self.machine.begin();
        let plan = self.machine.plan;
        let mut before = self.live.clone();
        for step in &plan.steps {
            match step {
                Step::Rule(id) => {
                    // Few rules drop rows, so this is rarely another set than before.
                    if before != self.live {
                        before = self.live.clone();
                    }
                    self.rule(*id, &before);
                }
                Step::Group { first, when, site, rules, .. } => {
                    let live = self.live.clone();
                    let mut rows = match when {
                        Some(when) => {
                            let hopeless = self.machine.is_hopeless(*when, &live);
                            let rows = self.machine.mask(*when, &live);
                            self.doubt(*site, *when, &live, hopeless);
                            rows
                        }
                        None => live,
                    };
                    for id in rules {
                        let matched = self.rule(*id, &rows);
                        rows = self.fit(rows);
                        if let (true, Some(matched)) = (*first, matched) {
                            rows.remove(&matched);
                        }
                        rows = rows.and(&self.live);
                    }
                }
                Step::Window(id) => self.window(*id),
            }
        }
        self.rule = None;
        let unrouted = self.live.and_not(&self.taken);
        self.route(&plan.default_route, &unrouted);
        self.outcome.fates = (0..self.live.len())
            .map(|row| match (self.taken.has(row), self.outcome.dropped_by[row]) {
                (false, Some((rule, reason))) => RowFate::Dropped { rule, reason },
                (false, None) => RowFate::Unrouted,
                (true, _) => RowFate::Routed,
            })
            .collect();
        self.outcome.counted = self.counts.finish();
        self.outcome
    }

    /// Runs one rule and returns the rows that it takes: those for which its `on` and `when` hold; `None` where there are none.
    fn rule(&mut self, id: RuleId, rows: &Mask) -> Option<Mask> {
        let rule = self.machine.plan.rule(id);
        let source = self.machine.batch.meta.source;
        if !rule.on.is_empty() && !rule.on.contains(&source) {
            return None;
        }
        let count = &mut self.outcome.rules[id.0 as usize];
        count.evaluated += rows.count() as u64;
        let mut matched = match rule.when {
            Some(_) if rows.is_empty() => return None,
            Some(when) if self.machine.is_hopeless(when, rows) => {
                self.doubt(rule.site, when, rows, true);
                return None;
            }
            Some(when) => {
                let matched = self.machine.mask(when, rows);
                self.doubt(rule.site, when, rows, false);
                matched
            }
            None => rows.clone(),
        };
        if let Some(share) = rule.canary {
            matched = self.canary(&rule.label, share, &matched);
        }
        if matched.is_empty() {
            return None;
        }
        self.outcome.rules[id.0 as usize].matched += matched.count() as u64;
        self.rule = Some(id);
        if rule.shadow {
            self.shadow(id, &rule.body, matched);
            // Whoever looks on takes nothing away from others.
            return None;
        }
        self.block(&rule.body, matched.clone());
        Some(self.fit(matched))
    }

    /// Runs statements and returns the rows that go on behind the block.
    pub(super) fn block(&mut self, statements: &'m [Stmt], rows: Mask) -> Mask {
        let mut rows = rows;
        let mut behind = Mask::none(rows.len());
        for statement in statements {
            if rows.is_empty() {
                break;
            }
            match statement {
                Stmt::Assign { target, op, value, otherwise, site } => {
                    rows = self.assign((*target, *op), *value, otherwise.as_deref(), *site, rows);
                }
                Stmt::Del(paths) => {
                    self.snapshot = None;
                    for path in paths {
                        if path.below {
                            self.machine.erase_below(path.node, &rows);
                        } else {
                            self.machine.erase(path.node, &rows);
                        }
                    }
                }
                Stmt::Keep(paths) => self.keep(paths, &rows),
                Stmt::Rename { from, to, site } => self.rename(*from, *to, *site, &rows),
                Stmt::Tag { tags, texts, site } => self.tag(*tags, texts, *site, &rows),
                Stmt::Let { bindings, otherwise, site } => {
                    let absent = self.bind(bindings, *site, otherwise.is_some(), &rows);
                    if let Some(otherwise) = otherwise {
                        rows.remove(&absent);
                        let back = self.block(otherwise, absent);
                        behind = self.fit(behind);
                        behind.add(&back);
                    }
                }
                Stmt::If { condition, site, then, otherwise } => {
                    let hopeless = self.machine.is_hopeless(*condition, &rows);
                    let holds = self.machine.mask(*condition, &rows);
                    self.doubt(*site, *condition, &rows, hopeless);
                    let others = rows.and_not(&holds);
                    let then = self.block(then, holds);
                    let others = self.fit(others);
                    rows = self.block(otherwise, others);
                    rows.add(&self.fit(then));
                }
                Stmt::Return => rows = Mask::none(rows.len()),
                Stmt::Route(targets) => self.route(targets, &rows),
                Stmt::Drop { reason } => {
                    self.drop_rows(reason, &rows);
                    rows = Mask::none(rows.len());
                }
                Stmt::Sample { ratio, by, otherwise, weight } => {
                    let kept = self.sample(*ratio, by, &rows);
                    let lost = rows.and_not(&kept);
                    self.weigh(*ratio, *weight, &kept);
                    rows = self.lost("sample", otherwise.as_deref(), kept, lost);
                }
                Stmt::Limit { store, by, otherwise } => {
                    let kept = self.limit(*store, by, &rows);
                    let lost = rows.and_not(&kept);
                    rows = self.lost("limit", otherwise.as_deref(), kept, lost);
                }
                Stmt::Dedup { store, by, otherwise, count } => {
                    let count = otherwise.is_some().then_some(*count);
                    let kept = self.dedup(*store, by, count, &rows);
                    let lost = rows.and_not(&kept);
                    rows = self.lost("dedup", otherwise.as_deref(), kept, lost);
                }
                Stmt::Emit { list, target, site } => rows = self.emit(*list, *target, *site, rows),
                Stmt::Count { metric, by, value, site } => {
                    self.count(*metric, by, *value, *site, &rows);
                }
            }
            rows = self.fit(rows);
            behind = self.fit(behind);
        }
        rows.add(&behind);
        rows
    }

    /// What a thinning statement does with the rows that do not pass; returns all that go on.
    fn lost(
        &mut self,
        reason: &str,
        otherwise: Option<&'m [Stmt]>,
        kept: Mask,
        lost: Mask,
    ) -> Mask {
        let Some(otherwise) = otherwise else {
            self.drop_rows(&reason.into(), &lost);
            return kept;
        };
        let back = self.block(otherwise, lost);
        let mut kept = self.fit(kept);
        kept.add(&back);
        kept
    }

    fn assign(
        &mut self,
        (target, op): (NodeId, AssignOp),
        value: ExprId,
        otherwise: Option<&'m [Stmt]>,
        site: SiteId,
        rows: Mask,
    ) -> Mask {
        let asked = match op {
            AssignOp::Set | AssignOp::Merge => rows.clone(),
            AssignOp::Default => self.machine.absent_at(target, &rows),
        };
        if asked.is_empty() {
            return rows;
        }
        let column = self.machine.column(value, &asked);
        let null = self.machine.plan.expr(value).op == Op::Literal(Literal::Absent(Absence::Null));
        if null && op != AssignOp::Set {
            return rows;
        }
        let present = if null { asked.clone() } else { asked.and(&column.present()) };
        let absent = asked.and_not(&present);
        if !present.is_empty() {
            self.snapshot = None;
            let refused = match op {
                AssignOp::Set | AssignOp::Default => self.machine.write(target, &column, &present),
                AssignOp::Merge => self.machine.merge(target, &column, &present),
            };
            self.fault_rows(site, Absence::NotARecord, &refused);
        }
        if absent.is_empty() {
            return rows;
        }
        let Some(otherwise) = otherwise else {
            self.faults(site, &column, &absent);
            return rows;
        };
        let on = rows.and_not(&absent);
        let back = self.block(otherwise, absent);
        let mut on = self.fit(on);
        on.add(&back);
        on
    }

    /// Binds locals and returns the rows where one that must be there is absent.
    fn bind(
        &mut self,
        bindings: &[(LocalId, ExprId)],
        site: SiteId,
        has_otherwise: bool,
        rows: &Mask,
    ) -> Mask {
        let plan = self.machine.plan;
        let mut absent = Mask::none(rows.len());
        for &(local, value) in bindings {
            let column = self.machine.column(value, rows);
            let mut must = (value, column.clone());
            // A member that its record may lack is required only as far as the record is.
            if let Op::Member { of, key } = &plan.expr(value).op
                && let Type::Record(shape) = &plan.expr(*of).ty.base
                && shape.field(key).is_some_and(|field| field.ty.optional)
                && bindings.len() > 1
            {
                must = (*of, self.machine.column(*of, rows));
            }
            let missing = rows.and_not(&must.1.present());
            let new = missing.and_not(&absent);
            // What is simply not there is no fault of a `let`; what went wrong is, with an `else` or without.
            let wrong =
                Mask::filter(&new, |row| must.1.absence(row).is_some_and(Absence::is_fault));
            self.faults(site, &must.1, &wrong);
            absent.add(&missing);
            self.machine.bind(local, column);
        }
        if has_otherwise { absent } else { Mask::none(rows.len()) }
    }

    fn keep(&mut self, paths: &[PathSet], rows: &Mask) {
        self.snapshot = None;
        let layout = &self.machine.plan.layout;
        let mut kept = vec![false; layout.len()];
        let mut above = vec![false; layout.len()];
        above[NodeId::ROOT.index()] = true;
        for path in paths {
            for node in layout.subtree(path.node) {
                kept[node.index()] = true;
            }
            let mut at = path.node;
            while at != NodeId::ROOT {
                at = layout.node(at).parent;
                above[at.index()] = true;
            }
        }
        for (node, known) in layout.nodes() {
            if kept[node.index()] {
                continue;
            }
            if above[node.index()] {
                self.trim(node, rows);
            } else if above[known.parent.index()] && node != NodeId::ROOT {
                self.machine.erase(node, rows);
            }
        }
    }

    /// Of a record above a kept path only the way down stays; what is no record goes.
    fn trim(&mut self, node: NodeId, rows: &Mask) {
        if node != NodeId::ROOT {
            let field = self.machine.batch.field(node);
            let other =
                Mask::filter(rows, |row| matches!(fields::own(field, row), fields::Own::Other(_)));
            self.machine.erase(node, &other);
        }
        self.machine.erase_text(node, rows);
    }

    fn rename(&mut self, from: NodeId, to: NodeId, site: SiteId, rows: &Mask) {
        let value = self.machine.value_at(from, rows);
        let present = rows.and(&value.present());
        let wrong = Mask::filter(&rows.and_not(&present), |row| {
            value.absence(row).is_some_and(Absence::is_fault)
        });
        self.faults(site, &value, &wrong);
        if present.is_empty() || from == to {
            return;
        }
        self.snapshot = None;
        // The way to the new place is looked at first: what cannot arrive stays where it is.
        let inside = self.machine.plan.layout.subtree(from).contains(&to);
        let refused =
            if inside { Mask::none(rows.len()) } else { self.machine.make_parents(to, &present) };
        let moved = present.and_not(&refused);
        self.machine.erase(from, &moved);
        let lost = self.machine.write(to, &value, &moved);
        self.fault_rows(site, Absence::NotARecord, &refused.or(&lost));
    }

    fn tag(&mut self, tags: NodeId, texts: &[Arc<str>], site: SiteId, rows: &Mask) {
        let column = self.machine.value_at(tags, rows);
        let lists = blend::to_json(&mut self.machine.batch.arena, &column);
        let mut views = vec![View::MISSING; lists.len()];
        let mut changed = Mask::none(lists.len());
        let mut wrong = Mask::none(lists.len());
        let mut text = Vec::new();
        for row in rows.rows() {
            let list = match lists[row].kind() {
                Kind::Array => Some(self.machine.batch.arena.get(lists[row])),
                Kind::Absent if lists[row].absence().is_some_and(|why| !why.is_fault()) => None,
                // `.tags` that is no list stays as it is.
                Kind::Absent
                | Kind::Text
                | Kind::Escaped
                | Kind::Number
                | Kind::Bool
                | Kind::Object
                | Kind::Spread => {
                    wrong.set(row);
                    continue;
                }
            };
            text.clear();
            if fields::tagged(&mut text, list, texts) {
                changed.set(row);
                views[row] = blend::store(&mut self.machine.batch.arena, Kind::Array, &text);
            }
        }
        self.fault_rows(site, Absence::Type, &wrong);
        if !changed.is_empty() {
            self.snapshot = None;
            self.machine.write(tags, &Arc::new(Column::Json(views)), &changed);
        }
    }

    fn route(&mut self, targets: &'m [Target], rows: &Mask) {
        if rows.is_empty() {
            return;
        }
        for target in targets {
            let args = target
                .args
                .iter()
                .map(|(path, value)| (path.clone(), self.machine.sent(*value, rows)))
                .collect();
            let mut emit_ix = Vec::with_capacity(rows.count());
            for row in rows.rows() {
                let event = self.outcome.origin(row);
                emit_ix.push(self.emitted[event]);
                self.emitted[event] = self.emitted[event].saturating_add(1);
            }
            self.taken.add(rows);
            let snapshot = self
                .snapshot
                .get_or_insert_with(|| Arc::new(self.machine.batch.snapshot()))
                .clone();
            self.outcome.routed.push(Routed {
                sink: target.sink,
                rows: rows.rows().map(|row| row as u32).collect(),
                emit_ix,
                snapshot,
                args,
                rule: self.rule,
            });
        }
    }

    fn drop_rows(&mut self, reason: &Arc<str>, rows: &Mask) {
        if rows.is_empty() {
            return;
        }
        let Some(rule) = self.rule else { return };
        let reasons = &mut self.outcome.reasons;
        let number = reasons.iter().position(|known| known == reason).unwrap_or_else(|| {
            reasons.push(reason.clone());
            reasons.len() - 1
        });
        for row in rows.rows() {
            self.outcome.dropped_by[row] = Some((rule, number as u32));
        }
        self.live.remove(rows);
    }

    /// The rows that survive: chosen by the hash of their key, so that equal keys share one lot in every process.
    fn sample(&mut self, ratio: Ratio, by: &[ExprId], rows: &Mask) -> Mask {
        let keys: Vec<Operand<'_>> =
            by.iter().map(|key| self.machine.operand(*key, rows)).collect();
        let share = ratio.n / ratio.of;
        let mut text = Vec::new();
        Mask::filter(rows, |row| {
            text.clear();
            self.key(&keys, row, &mut text);
            if keys.is_empty() {
                self.coordinates(row, &mut text);
            }
            (xxh3_64(&text) as f64) / 2f64.powi(64) < share
        })
    }

    /// The rows on which a rule on trial acts: the same in every process.
    fn canary(&self, label: &str, share: f64, rows: &Mask) -> Mask {
        let mut text = Vec::new();
        Mask::filter(rows, |row| {
            text.clear();
            text.extend_from_slice(label.as_bytes());
            self.coordinates(row, &mut text);
            (xxh3_64(&text) as f64) / 2f64.powi(64) < share
        })
    }

    /// Appends a row's values of some expressions, so that different ones give different text.
    pub(super) fn key(&self, keys: &[Operand<'_>], row: usize, text: &mut Vec<u8>) {
        for key in keys {
            match key.value(&self.machine.batch.arena, row) {
                Value::Absent(_) => text.push(0),
                value => {
                    text.push(1);
                    print::plain(text, &value);
                }
            }
            text.push(0x1f);
        }
    }

    /// Appends where a row's event came from.
    fn coordinates(&self, row: usize, text: &mut Vec<u8>) {
        let meta = &self.machine.batch.meta;
        text.extend_from_slice(meta.topic.as_bytes());
        text.extend_from_slice(&meta.partition.to_le_bytes());
        let offset = meta.offsets.get(row).copied().unwrap_or(row as i64);
        text.extend_from_slice(&offset.to_le_bytes());
    }

    /// Survivors of a sample stand for those that did not survive.
    fn weigh(&mut self, ratio: Ratio, weight: NodeId, rows: &Mask) {
        if rows.is_empty() {
            return;
        }
        self.snapshot = None;
        let old = self.machine.value_at(weight, rows);
        let factor = ratio.of / ratio.n;
        let arena = &mut self.machine.batch.arena;
        let mut weights = blend::Builder::new(arena, &Type::Any, rows.len());
        for row in 0..rows.len() {
            let product = match print::value(arena, &old, row) {
                Value::Int(before) => before as f64 * factor,
                Value::Float(before) => before * factor,
                _ => factor,
            };
            // Twenty is 20, not 20.0: what is whole stays so.
            let whole = product.fract() == 0.0 && product.abs() < 1e15;
            weights.push(
                arena,
                if whole { Value::Int(product as i64) } else { Value::float(product) },
            );
        }
        let weights = Arc::new(weights.finish(arena));
        self.machine.write(weight, &weights, rows);
    }
}
