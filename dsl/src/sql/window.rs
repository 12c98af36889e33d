//! Windows and alerts as one query: what they would have computed, had the stored events come by now.

use super::{
    Kind, Query, Store, Value, Writer,
    text::name,
    value::{as_float, kind_of, nanos},
};
use crate::{
    diagnostic::Diagnostic,
    plan::{Aggregate, AggregateKind, Plan, StoreKind, Window, WindowId},
    span::Span,
};

/// A window's rows, or an alert's with the column `fires`, over the events of a table. The numbers of parameters begin behind `before`.
///
/// Windows without events have no row here, and every event is in time.
pub fn window(
    plan: &Plan,
    id: WindowId,
    table: &str,
    store: &Store,
    before: usize,
) -> Result<Query, Vec<Diagnostic>> {
    let mut writer = Writer::new(plan, store, before);
    let written = writer.window(&plan.windows[id.0 as usize], table);
    writer.finish(written)
}

impl Writer<'_> {
    fn window(&mut self, window: &Window, table: &str) -> Option<String> {
        let plan = self.plan;
        let StoreKind::Window(spans, _) = &plan.stores[window.store.0 as usize].kind else {
            return self.refuse(window.span, "a window that keeps no sums");
        };
        if !spans.grouped {
            self.note(window.span, "a window without any event has no row in SQL");
        }
        let time = self.value(window.time)?;
        let time = nanos(&time.text);
        let filter = match window.when {
            Some(when) => self.condition(when)?.two_valued(),
            None => "true".to_owned(),
        };
        let mut inner = vec!["`w 0`".to_owned()];
        let mut groups = inner.clone();
        let mut outer = vec![
            "fromUnixTimestamp64Nano(`w 0`, 'UTC') AS `window_start`".to_owned(),
            format!("fromUnixTimestamp64Nano(`w 0` + {}, 'UTC') AS `window_end`", spans.over),
        ];
        let mut keys = Vec::new();
        for (at, (node, value)) in window.by.iter().enumerate() {
            let read = self.value(*value)?;
            let column = format!("`k {at}`");
            inner.push(format!("{} AS {column}", read.text));
            groups.push(column.clone());
            outer.push(format!("{column} AS {}", name(&plan.layout.path(*node).join("."))));
            keys.push((*value, Value { text: column, ..read }));
        }
        let seconds = spans.over as f64 / 1e9;
        let mut sums = Vec::new();
        for aggregate in &window.aggregates {
            let sum = self.aggregate(aggregate, &time, seconds, window.span)?;
            let column = format!("`a {}`", aggregate.local.0);
            inner.push(format!("{} AS {column}", sum.text));
            sums.push((aggregate.local, Value { text: column, ..sum }));
        }
        // From here on fields are the keys that stand in the rows.
        self.fixed.extend(keys);
        self.locals.extend(sums);
        for bound in &window.lets {
            let value = self.value(bound.value)?;
            let column = name(&bound.name);
            outer.push(format!("{} AS {column}", value.text));
            self.locals.insert(bound.local, Value { text: column, ..value });
        }
        if let Some(alert) = &window.alert {
            let fires = self.condition(alert.condition)?.two_valued();
            outer.push(format!("{fires} AS `fires`"));
        }
        let (every, n) = (spans.every, spans.over / spans.every);
        Some(format!(
            "SELECT {}\nFROM (\n  SELECT {}\n  FROM {table}\n  ARRAY JOIN arrayMap(i -> assumeNotNull(intDiv({time}, {every}) * {every} - i * {every}), range({n})) AS `w 0`\n  WHERE isNotNull({time}) AND {filter}\n  GROUP BY {}\n)\nORDER BY {}",
            outer.join(", "),
            inner.join(", "),
            groups.join(", "),
            groups.join(", "),
        ))
    }

    /// One aggregate over the events of a group. `OrNull` because what nothing was added to is absent.
    fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        time: &str,
        seconds: f64,
        at: Span,
    ) -> Option<Value> {
        use AggregateKind as A;
        let counts = match aggregate.filter {
            Some(filter) => self.condition(filter)?.two_valued(),
            None => "true".to_owned(),
        };
        let weight = match aggregate.weight {
            Some(weight) => {
                let weight = as_float(self.value(weight)?);
                Some(format!("ifNull({}, 1)", weight.text))
            }
            None => None,
        };
        let value = match aggregate.value {
            Some(value) => Some(self.value(value)?),
            None => None,
        };
        let float = |text: String| Value { text, kind: Kind::Float, nullable: true };
        let int = |text: String| {
            let text = format!("accurateCastOrNull({text}, 'Int64')");
            Value { text, kind: Kind::Int, nullable: true }
        };
        let Some(value) = value else {
            return Some(match (aggregate.kind, weight) {
                (A::Rate, Some(weight)) => float(format!("sumIf({weight}, {counts}) / {seconds}")),
                (A::Rate, None) => float(format!("countIf({counts}) / {seconds}")),
                (_, Some(weight)) => float(format!("sumIf({weight}, {counts})")),
                (_, None) => int(format!("countIf({counts})")),
            });
        };
        let weightless =
            matches!(aggregate.kind, A::Min | A::Max | A::Uniq | A::Any | A::First | A::Last);
        if let (Some(weight), false) = (&weight, weightless) {
            let number = as_float(value).text;
            return match aggregate.kind {
                A::Sum => Some(float(format!("sumOrNullIf({number} * {weight}, {counts})"))),
                A::Rate => Some(float(format!(
                    "sumIf(ifNull({number}, 0) * {weight}, {counts}) / {seconds}"
                ))),
                A::Avg => Some(float(format!("avgWeightedOrNullIf({number}, {weight}, {counts})"))),
                _ => self.refuse(at, "a weighted quantile, deviation or list of the most frequent"),
            };
        }
        let whole = value.kind == Kind::Int;
        let same = |text: String, value: Value| Value { text, nullable: true, ..value };
        Some(match aggregate.kind {
            A::Count | A::Uniq => {
                self.note(at, "`uniq` in SQL counts many values by a sketch of its own");
                int(format!("uniqCombined64If({}, {counts})", value.text))
            }
            A::Sum if whole => {
                // What leaves 64 bits is a float in the stream; here it is absent.
                int(format!("sumOrNullIf(toInt128({}), {counts})", value.text))
            }
            A::Sum => float(format!("sumOrNullIf({}, {counts})", as_float(value).text)),
            A::Rate => {
                let number = as_float(value).text;
                float(format!("sumIf(ifNull({number}, 0), {counts}) / {seconds}"))
            }
            A::Avg => float(format!("avgOrNullIf({}, {counts})", as_float(value).text)),
            A::Stddev => float(format!("stddevPopOrNullIf({}, {counts})", as_float(value).text)),
            A::Min => same(format!("minOrNullIf({}, {counts})", value.text), value),
            A::Max => same(format!("maxOrNullIf({}, {counts})", value.text), value),
            A::Any | A::First => {
                same(format!("argMinOrNullIf({}, {time}, {counts})", value.text), value)
            }
            A::Last => same(format!("argMaxOrNullIf({}, {time}, {counts})", value.text), value),
            A::Quantile(q) => {
                self.note(at, "`quantile` in SQL is estimated by a sketch of its own");
                let number = as_float(value).text;
                float(format!("quantileTDigestOrNullIf({q})({number}, {counts})"))
            }
            A::Top(wanted) => {
                self.note(at, "`top` in SQL chooses among equally frequent values in its own way");
                if kind_of(&aggregate.ty) != Some(Kind::List(Box::new(value.kind.clone()))) {
                    return self.refuse(at, "the most frequent of values that are no text");
                }
                let text = format!("topKIf({wanted})({}, {counts})", value.text);
                Value { text, kind: Kind::List(Box::new(value.kind)), nullable: false }
            }
        })
    }
}
