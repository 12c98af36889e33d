//! Computes expressions over a batch: frames of rows, and results kept as long as what they read is unchanged.

use std::{collections::HashMap, sync::Arc};

use super::{
    Lookups,
    analysis::{self, ExprFacts},
    doubts::Known,
    fields,
    literals::Lineup,
    memos::{Computed, Memo, Memos},
    recall::Recall,
};
use crate::{
    column::{Batch, Cells, Column, Mask, Names, NodeId, Value, View, blend, print, view::Arena},
    plan::{Expr, ExprId, Literal, LocalId, MetaField, Op, Plan},
    types::Type,
};

/// What stays between two statements of one batch.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The batch's own rows first, then one frame a lambda that is running.
    pub(super) frames: Vec<Frame>,
    /// How often each local of the plan was bound in this batch.
    pub(super) bound: Vec<u64>,
    /// Text on its way into the arena.
    pub(super) scratch: Vec<u8>,
    /// What groups of literals found.
    pub(super) lineups: Vec<Lineup>,
    /// What is known of each lookup; stays between batches.
    pub(super) recalls: Vec<Recall>,
    /// The memory for the results of the next batch.
    spare: Memos,
    /// How many batches there were.
    pub(super) batches: u64,
    /// Values of which it is known whether they went wrong somewhere.
    pub(super) doubts: Vec<Known>,
}

impl State {
    /// Lets go of a batch.
    pub(super) fn forget(&mut self) {
        if let Some(frame) = self.frames.first_mut() {
            self.spare = std::mem::take(&mut frame.memos);
            self.spare.clear();
        }
        self.frames.clear();
        self.lineups.iter_mut().for_each(Lineup::forget);
    }
}

/// The rows that an expression is computed for: events, or the elements that a lambda runs over.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) rows: usize,
    /// For each row the row of the frame below it that it belongs to; empty in the first frame.
    pub(super) parents: Vec<u32>,
    /// Bound here: a lambda's parameters, or the `let`s of the plan.
    pub(super) locals: HashMap<LocalId, Arc<Column>>,
    memos: Memos,
}

/// An operand: a constant that nobody spread over rows, or a column.
#[derive(Debug)]
pub(super) enum Operand<'p> {
    One(Value<'p>),
    Many(Arc<Column>),
}

impl<'p> Operand<'p> {
    /// The value of a row.
    pub(super) fn value<'a>(&'a self, arena: &'a Arena, row: usize) -> Value<'a>
    where
        'p: 'a,
    {
        match self {
            Self::One(value) => borrowed(value),
            Self::Many(column) => print::value(arena, column, row),
        }
    }
}

/// The same value, borrowing its text.
pub(super) fn borrowed<'a>(value: &'a Value<'_>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::text(text),
        Value::Json(text) => Value::Json(std::borrow::Cow::Borrowed(text)),
        Value::Bytes(bytes) => Value::Bytes(std::borrow::Cow::Borrowed(bytes)),
        Value::Absent(why) => Value::Absent(*why),
        Value::Bool(v) => Value::Bool(*v),
        Value::Int(v) => Value::Int(*v),
        Value::Float(v) => Value::Float(*v),
        Value::Timestamp(v) => Value::Timestamp(*v),
        Value::Duration(v) => Value::Duration(*v),
        Value::Ip(v) => Value::Ip(*v),
        Value::Cidr(v) => Value::Cidr(*v),
        Value::Severity(v) => Value::Severity(*v),
    }
}

/// A plan's expressions, a batch, and the world.
pub(crate) struct Machine<'m> {
    pub(super) plan: &'m Plan,
    pub(super) facts: &'m [ExprFacts],
    pub(super) state: &'m mut State,
    pub(super) batch: &'m mut Batch,
    pub(super) names: &'m Names,
    pub(super) lookups: &'m mut dyn Lookups,
    /// The frame that expressions are asked in: an index into the state's frames.
    pub(super) frame: usize,
}

impl<'m> Machine<'m> {
    /// Forgets the batch before.
    pub(super) fn begin(&mut self) {
        self.state.forget();
        self.state.batches += 1;
        let memos = std::mem::take(&mut self.state.spare);
        self.state.frames.push(Frame { rows: self.batch.rows, memos, ..Frame::default() });
        self.state.bound.clear();
        self.state.bound.resize(self.plan.n_locals, 0);
        self.frame = 0;
    }

    /// Gives the batch's frame more rows: its values are those of the rows at these places.
    pub(super) fn grow(&mut self, rows: &[u32]) {
        let frame = &mut self.state.frames[0];
        frame.rows = rows.len();
        frame.memos = Memos::default();
        frame.locals.values_mut().for_each(|column| *column = Arc::new(column.gather(rows)));
    }

    /// How many rows the frame has.
    pub(super) fn rows(&self) -> usize {
        self.state.frames[self.frame].rows
    }

    /// Binds a `let` of the plan.
    pub(super) fn bind(&mut self, local: LocalId, column: Arc<Column>) {
        self.state.frames[0].locals.insert(local, column);
        if let Some(count) = self.state.bound.get_mut(local.0 as usize) {
            *count += 1;
        }
    }

    /// Runs `inner` in a new frame of elements: `parents[i]` is the row of this frame that element i belongs to.
    pub(super) fn with_elements<T>(
        &mut self,
        parents: Vec<u32>,
        locals: impl IntoIterator<Item = (LocalId, Arc<Column>)>,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.frame;
        // An expression of a frame below may be asked for from a frame above, which must survive.
        let above = self.state.frames.split_off(before + 1);
        self.state.frames.push(Frame {
            rows: parents.len(),
            parents,
            locals: locals.into_iter().collect(),
            memos: Memos::Few(HashMap::new()),
        });
        self.frame = before + 1;
        let result = inner(self);
        self.state.frames.truncate(before + 1);
        self.state.frames.extend(above);
        self.frame = before;
        result
    }

    /// The event that each row of this frame belongs to; `None` where rows are events.
    pub(super) fn events(&self) -> Option<Vec<u32>> {
        (self.frame > 0).then(|| self.ancestors(0))
    }

    fn ancestors(&self, frame: usize) -> Vec<u32> {
        let frames = &self.state.frames;
        let mut rows = frames[self.frame].parents.clone();
        for below in (frame + 1..self.frame).rev() {
            for row in &mut rows {
                *row = frames[below].parents[*row as usize];
            }
        }
        rows
    }

    /// The deepest frame that binds a local of the expression: all other frames above it would only repeat its values.
    fn home(&self, id: ExprId) -> usize {
        if self.frame == 0 {
            return 0;
        }
        let locals = &self.facts[id.0 as usize].locals;
        let binds = |frame: &Frame| locals.iter().any(|local| frame.locals.contains_key(local));
        (1..=self.frame).rev().find(|&at| binds(&self.state.frames[at])).unwrap_or(0)
    }

    pub(super) fn stamp(&self, id: ExprId) -> u64 {
        let facts = &self.facts[id.0 as usize];
        let fields =
            facts.nodes.iter().map(|&node| u64::from(self.batch.fields[node as usize].version));
        let locals = facts
            .locals
            .iter()
            .map(|local| self.state.bound.get(local.0 as usize).copied().unwrap_or(0));
        fields.sum::<u64>() + locals.sum::<u64>()
    }

    /// Returns the value of an expression for the rows of `within`; other rows mean nothing.
    pub(super) fn column(&mut self, id: ExprId, within: &Mask) -> Arc<Column> {
        let plan = self.plan;
        let expr = plan.expr(id);
        let home = self.home(id);
        if home < self.frame {
            return self.column_from(home, id, within);
        }
        if expr.op.is_predicate() {
            let mask = self.mask(id, within);
            let values = (0..mask.len()).map(|row| mask.has(row)).collect();
            return Arc::new(Column::Bool(Cells { values, state: vec![0; mask.len()] }));
        }
        match &expr.op {
            Op::Local(local) => {
                let column = self.state.frames[self.frame].locals.get(local).cloned();
                let column = column.unwrap_or_else(|| Arc::new(Column::missing(self.rows())));
                if fits(&column, &expr.ty.base) {
                    return column;
                }
            }
            Op::Field(node) if !plan.layout.node(*node).is_interior() => {
                let column = if expr.ty.base == Type::Any {
                    fields::own_leaf(self.plan, self.batch, *node)
                } else {
                    fields::leaf(self.plan, self.batch, *node)
                };
                if fits(&column, &expr.ty.base) {
                    return column;
                }
            }
            _ => {}
        }
        let stamp = self.stamp(id);
        let costly = self.facts[id.0 as usize].costly;
        let old = match self.state.frames[self.frame].memos.get(id, stamp) {
            Some(Memo { valid, result: Computed::Column(column), .. }) => match valid {
                None => return column.clone(),
                Some(valid) if within.and_not(valid).is_empty() => return column.clone(),
                Some(valid) => Some((valid.clone(), column.clone())),
            },
            _ => None,
        };
        let mut valid = costly.then(|| within.clone());
        let mut column = match old {
            Some((known, before)) => {
                let asked = valid.unwrap_or_else(|| Mask::all(self.rows()));
                let need = asked.and_not(&known);
                let new = self.compute(expr, id, &need);
                valid = Some(asked.or(&known));
                blend::blend(&mut self.batch.arena, before, &new, &need)
            }
            None if costly => self.compute(expr, id, within),
            None => self.compute(expr, id, &Mask::all(self.rows())),
        };
        if !fits(&column, &expr.ty.base) {
            column = blend::narrow(&mut self.batch.arena, &column, &expr.ty.base);
        }
        let result = Computed::Column(column.clone());
        self.state.frames[self.frame].memos.set(id, Memo { stamp, valid, result });
        column
    }

    /// The values of an expression, as far as they were computed.
    pub(super) fn at_hand(&self, id: ExprId) -> Option<Arc<Column>> {
        let expr = self.plan.expr(id);
        if let Op::Field(node) = &expr.op
            && let Some(column) = &self.batch.fields[node.index()].column
            && fits(column, &expr.ty.base)
        {
            return Some(column.clone());
        }
        match self.state.frames[self.frame].memos.get(id, self.stamp(id))? {
            Memo { result: Computed::Column(column), .. } => Some(column.clone()),
            Memo { .. } => None,
        }
    }

    /// Conditions in the order in which they are asked.
    pub(super) fn in_order(&self, all: &'m [ExprId]) -> impl Iterator<Item = ExprId> + use<'m> {
        analysis::in_order(self.facts, all)
    }

    /// Returns the rows of `within` for which a predicate holds.
    pub(super) fn mask(&mut self, id: ExprId, within: &Mask) -> Mask {
        let plan = self.plan;
        let expr = plan.expr(id);
        if within.is_empty() {
            return within.clone();
        }
        let home = self.home(id);
        if home < self.frame {
            let column = self.column_from(home, id, within);
            return truth(&column, within);
        }
        if !expr.op.is_predicate() {
            let column = self.column(id, within);
            return truth(&column, within);
        }
        let facts = self.facts;
        if self.frame == 0
            && let Some(seat) = &facts[id.0 as usize].seat
            && let Some(mask) = self.seated(seat, within)
        {
            return mask;
        }
        if self.is_hopeless(id, within) {
            return Mask::none(within.len());
        }
        let stamp = self.stamp(id);
        let costly = self.facts[id.0 as usize].costly;
        if !costly {
            if let Some(Memo { result: Computed::Mask(mask), .. }) =
                self.state.frames[self.frame].memos.get(id, stamp)
            {
                return mask.and(within);
            }
            let all = Mask::all(self.rows());
            let mask = self.test(expr, id, &all);
            let result = mask.and(within);
            let memo = Memo { stamp, valid: None, result: Computed::Mask(mask) };
            self.state.frames[self.frame].memos.set(id, memo);
            return result;
        }
        let known = match self.state.frames[self.frame].memos.get(id, stamp) {
            Some(Memo { valid: Some(valid), result: Computed::Mask(mask), .. }) => {
                Some((valid.clone(), mask.clone()))
            }
            _ => None,
        };
        let (valid, mask) = match known {
            Some((mut valid, mut mask)) => {
                let need = within.and_not(&valid);
                if !need.is_empty() {
                    mask.add(&self.test(expr, id, &need).and(&need));
                    valid.add(&need);
                }
                (valid, mask)
            }
            None => (within.clone(), self.test(expr, id, within).and(within)),
        };
        let result = mask.and(within);
        let memo = Memo { stamp, valid: Some(valid), result: Computed::Mask(mask) };
        self.state.frames[self.frame].memos.set(id, memo);
        result
    }

    /// Computes an expression in a frame below and repeats its values for the rows of this one.
    fn column_from(&mut self, home: usize, id: ExprId, within: &Mask) -> Arc<Column> {
        let rows = self.ancestors(home);
        let here = self.frame;
        let mut asked = Mask::none(self.state.frames[home].rows);
        for row in within.rows() {
            asked.set(rows[row] as usize);
        }
        self.frame = home;
        let column = if asked.is_empty() {
            Arc::new(missing_of(&self.batch.arena, &self.plan.expr(id).ty.base, asked.len()))
        } else {
            self.column(id, &asked)
        };
        self.frame = here;
        Arc::new(column.gather(&rows))
    }

    /// An operand; constants are not spread over rows.
    pub(super) fn operand(&mut self, id: ExprId, within: &Mask) -> Operand<'m> {
        let plan = self.plan;
        match &plan.expr(id).op {
            Op::Literal(literal) => Operand::One(literal_value(literal)),
            _ => Operand::Many(self.column(id, within)),
        }
    }

    fn compute(&mut self, expr: &'m Expr, id: ExprId, within: &Mask) -> Arc<Column> {
        let ty = &expr.ty.base;
        if within.is_empty() {
            return Arc::new(missing_of(&self.batch.arena, ty, self.rows()));
        }
        match &expr.op {
            Op::Literal(literal) => {
                let rows = self.rows();
                let value = literal_value(literal);
                Arc::new(blend::constant(&mut self.batch.arena, value, ty, rows))
            }
            Op::Field(node) => self.field(*node, within),
            Op::Meta(field) => Arc::new(self.meta(*field)),
            Op::Local(local) => self.state.frames[self.frame]
                .locals
                .get(local)
                .cloned()
                .unwrap_or_else(|| Arc::new(Column::missing(self.rows()))),
            Op::Member { of, key } => self.member(*of, key, ty, within),
            Op::Index { of, index } => self.index(*of, *index, within),
            Op::Each { of, keys } => self.each(*of, keys, within),
            Op::Narrow(of) => {
                let column = self.column(*of, within);
                blend::narrow(&mut self.batch.arena, &column, ty)
            }
            Op::Call { function, args } => self.call(function, args, expr, within),
            Op::Lookup { lookup, args } => self.lookup(*lookup, args, within),
            Op::Neg(of) => self.negate(*of, within),
            Op::Arith { op, left, right } => self.arith(*op, *left, *right, ty, within),
            Op::Coalesce(first, second) => {
                let first = self.column(*first, within);
                let absent = within.and_not(&first.present());
                if absent.is_empty() {
                    return first;
                }
                let second = self.column(*second, &absent);
                self.blended(ty, first, &second, &absent)
            }
            Op::If { condition, then, otherwise } => {
                let holds = self.mask(*condition, within);
                let rest = within.and_not(&holds);
                if rest.is_empty() {
                    return self.column(*then, &holds);
                }
                let other = self.column(*otherwise, &rest);
                if holds.is_empty() {
                    return other;
                }
                let then = self.column(*then, &holds);
                self.blended(ty, other, &then, &holds)
            }
            Op::Match { on, arms } => self.match_arms(*on, arms, ty, within),
            Op::Record(parts) => self.record(parts, within),
            Op::List(elements) => self.list(elements, within),
            Op::Format(parts) => self.format(parts, within),
            Op::And(_)
            | Op::Or(_)
            | Op::Not(_)
            | Op::Truth(_)
            | Op::Compare { .. }
            | Op::InSet { .. }
            | Op::In { .. }
            | Op::TextTest { .. }
            | Op::Like { .. }
            | Op::Matches { .. }
            | Op::Has { .. }
            | Op::Is { .. }
            | Op::AnyElement { .. } => self.column(id, within),
        }
    }

    /// `base` with the rows of `mask` from `over`, both first read as the result's type.
    pub(super) fn blended(
        &mut self,
        ty: &Type,
        base: Arc<Column>,
        over: &Arc<Column>,
        mask: &Mask,
    ) -> Arc<Column> {
        let arena = &mut self.batch.arena;
        let base = if fits(&base, ty) { base } else { blend::narrow(arena, &base, ty) };
        let over = if fits(over, ty) { over.clone() } else { blend::narrow(arena, over, ty) };
        blend::blend(arena, base, &over, mask)
    }

    /// An expression's values as they leave the machine: bytes as Base64 text.
    pub(super) fn sent(&mut self, id: ExprId, within: &Mask) -> Arc<Column> {
        let column = self.column(id, within);
        blend::without_bytes(&mut self.batch.arena, column)
    }

    fn field(&mut self, node: NodeId, within: &Mask) -> Arc<Column> {
        if self.plan.layout.node(node).is_interior() {
            Arc::new(fields::assemble(self, node, within))
        } else {
            fields::leaf(self.plan, self.batch, node)
        }
    }

    fn meta(&mut self, field: MetaField) -> Column {
        let rows = self.rows();
        let arena = &mut self.batch.arena;
        let meta = &self.batch.meta;
        let text =
            |arena: &mut Arena, text: &str| Column::Text(vec![arena.text(text.as_bytes()); rows]);
        let ints = |numbers: &Vec<i64>| {
            if numbers.len() == rows {
                Cells { values: numbers.clone(), state: vec![0; rows] }
            } else {
                Cells::absent(rows, crate::column::Absence::Missing)
            }
        };
        let views = |views: &Vec<View>| {
            if views.len() == rows { views.clone() } else { vec![View::MISSING; rows] }
        };
        match field {
            MetaField::Topic => text(arena, &meta.topic),
            MetaField::Partition => Column::Int(Cells::constant(rows, i64::from(meta.partition))),
            MetaField::Offset => Column::Int(ints(&meta.offsets)),
            MetaField::Key => Column::Text(views(&meta.keys)),
            MetaField::IngestTime => Column::Timestamp(ints(&meta.times)),
            MetaField::Headers => Column::Json(views(&meta.headers)),
            MetaField::Source => match self.plan.sources.get(meta.source) {
                Some(source) => text(arena, &source.name),
                None => Column::Text(vec![View::MISSING; rows]),
            },
        }
    }
}

/// The rows of `within` where a truth value is true.
pub(super) fn truth(column: &Column, within: &Mask) -> Mask {
    let holds = match column {
        Column::Bool(cells) => {
            Mask::from_fn(cells.state.len(), |row| cells.state[row] == 0 && cells.values[row])
        }
        Column::Json(views) => Mask::from_fn(views.len(), |row| views[row].truth() == Some(true)),
        Column::Int(_)
        | Column::Float(_)
        | Column::Timestamp(_)
        | Column::Duration(_)
        | Column::Ip(_)
        | Column::Cidr(_)
        | Column::Severity(_)
        | Column::Text(_)
        | Column::Bytes(_)
        | Column::Record(_) => Mask::none(column.len()),
    };
    holds.and(within)
}

/// A column of that type without any value.
pub(super) fn missing_of(arena: &Arena, ty: &Type, rows: usize) -> Column {
    let mut builder = blend::Builder::new(arena, ty, rows);
    for _ in 0..rows {
        builder.push_absent(arena, crate::column::Absence::Missing);
    }
    builder.into_column()
}

/// Whether a column is what an expression of that type yields.
pub(super) fn fits(column: &Column, ty: &Type) -> bool {
    match ty {
        // Values that JSON has no type for are text there: whether a batch mixes them with others must not change what they compare to.
        Type::Any => matches!(
            column,
            Column::Bool(_)
                | Column::Int(_)
                | Column::Float(_)
                | Column::Text(_)
                | Column::Json(_)
                | Column::Record(_)
        ),
        Type::Bool => matches!(column, Column::Bool(_)),
        Type::Int => matches!(column, Column::Int(_)),
        Type::Float => matches!(column, Column::Float(_)),
        Type::Text | Type::Enum(_) => matches!(column, Column::Text(_)),
        Type::Bytes => matches!(column, Column::Bytes(_)),
        Type::Timestamp => matches!(column, Column::Timestamp(_)),
        Type::Duration => matches!(column, Column::Duration(_)),
        Type::Ip => matches!(column, Column::Ip(_)),
        Type::Cidr => matches!(column, Column::Cidr(_)),
        Type::Severity => matches!(column, Column::Severity(_)),
        Type::Number => matches!(column, Column::Int(_) | Column::Float(_) | Column::Json(_)),
        Type::Map(_) | Type::Record(_) => matches!(column, Column::Json(_) | Column::Record(_)),
        Type::List(_) => matches!(column, Column::Json(_)),
        Type::Regex | Type::Pattern(_) | Type::Glob | Type::Null => true,
    }
}

/// A constant as a value that borrows from the plan.
pub(super) fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Absent(why) => Value::Absent(*why),
        Literal::Bool(v) => Value::Bool(*v),
        Literal::Int(v) => Value::Int(*v),
        Literal::Float(v) => Value::Float(*v),
        Literal::Text(v) => Value::text(v),
        Literal::Timestamp(v) => Value::Timestamp(*v),
        Literal::Duration(v) => Value::Duration(*v),
        Literal::Ip(v) => Value::Ip(*v),
        Literal::Cidr(v) => Value::Cidr(*v),
        Literal::Severity(v) => Value::Severity(*v),
        Literal::Json(v) => Value::Json(std::borrow::Cow::Borrowed(v)),
    }
}
