//! Which column takes which path: decided once, before anything runs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use logmon_dsl::{
    column::{Layout, NodeId, View},
    plan::{Plan, SinkId},
};

use super::{
    cell::{Cell, Converter},
    errors::{Class, SinkError},
    partition::{KeyColumn, PartitionKey},
    schema::{Column, Table},
    ttl::{Limit, Ttl},
    types::{Scalar, Type, unquote},
};

/// What becomes of a row that lacks a value for a column that cannot be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnAbsent {
    /// The column's default, counted.
    #[default]
    Default,
    /// The row is given back as dead.
    Dlq,
}

/// A sink's settings that concern its columns.
#[derive(Debug, Clone)]
pub struct Options {
    /// `[sink.x] on_absent`
    pub on_absent: OnAbsent,
    /// `[sink.x.columns]`: column and path.
    pub columns: Vec<(String, String)>,
    /// `[sink.x] rest`
    pub rest: Option<String>,
    /// How far an event's time may lie behind, and ahead of, the clock.
    pub accept_time: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self {
            on_absent: OnAbsent::default(),
            columns: Vec::new(),
            rest: None,
            accept_time: (day * 400, day),
        }
    }
}

/// Columns with this many underscores have all their nested spellings tried; beyond that, those with one dot.
const UNDERSCORES_MAX: usize = 3;

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum From {
    Topic,
    Partition,
    Offset,
    EmitIx,
    Attempt,
    Incarnation,
    /// The first of these paths that has a value.
    Fields(Vec<NodeId>),
    /// The same; if none has, the record's Kafka timestamp.
    ObservedAt(Vec<NodeId>),
    /// The same; if none has, the source's name.
    Source(Vec<NodeId>),
    /// The event's time: checked against `accept_time`, the record's Kafka timestamp where it is missing.
    EventTime(Vec<NodeId>),
    /// Members of a map, see [`MapTarget`].
    Map(usize),
}

/// What a row gets that has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fallback {
    /// Zero, empty.
    Zero,
    /// These bytes: of the fixed-width type, or text.
    Literal(Vec<u8>),
    /// The record's Kafka timestamp.
    KafkaTime,
    /// What the server computes: sent as NULL.
    Server,
}

/// One column and where it comes from.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) name: Arc<str>,
    pub(super) type_name: Arc<str>,
    pub(super) ty: Type,
    pub(super) from: From,
    pub(super) fallback: Fallback,
    /// A row without a value is dead.
    pub(super) dead_if_absent: bool,
    /// Sent even if no row brings a value.
    pub(super) always: bool,
    /// The server would fill it if it were left out.
    pub(super) has_default: bool,
}

/// A column that takes the members of an object one by one, or everything left over.
#[derive(Debug)]
pub(super) struct MapTarget {
    /// Among the bound columns.
    pub(super) column: usize,
    /// Its own object's path.
    pub(super) own: NodeId,
}

/// A sink's table bound to a plan's paths.
#[derive(Debug)]
pub struct Binding {
    /// The sink's name.
    pub sink: Arc<str>,
    /// The table as it was read.
    pub table: Arc<Table>,
    pub(super) options: Options,
    pub(super) columns: Vec<Bound>,
    pub(super) maps: Vec<MapTarget>,
    /// The map that takes what no column takes.
    pub(super) rest: Option<usize>,
    pub(super) partition: Option<PartitionKey>,
    pub(super) zone: TimeZone,
    /// How long rows are kept, by column.
    pub(super) ttl: Vec<Limit>,
    pub(super) layout: Layout,
    /// Per node, once sealed.
    pub(super) uses: Vec<NodeUse>,
}

/// What becomes of a known path's value.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeUse {
    /// The column that takes it.
    pub(super) taken: Option<usize>,
    /// The map whose own object it belongs to (deepest one).
    pub(super) owner: Option<usize>,
    /// Its key in the owner's map, or in the rest: a dotted path.
    pub(super) key: String,
    /// What stands in front of its members' keys: the same, but nothing for the object that a map takes the members of.
    pub(super) prefix: String,
}

/// Binds a sink's table: every path that feeds a column is added to the layout. When all sinks are bound, each binding must be
/// [sealed](Binding::seal).
pub fn bind(
    layout: &mut Layout,
    plan: &Plan,
    sink: SinkId,
    table: &Arc<Table>,
    options: &Options,
) -> Result<Binding, SinkError> {
    let name = plan.sinks[sink.0 as usize].name.clone();
    bind_named(layout, &name, table, options)
}

/// The same for a sink that stands in no plan.
pub fn bind_named(
    layout: &mut Layout,
    sink: &Arc<str>,
    table: &Arc<Table>,
    options: &Options,
) -> Result<Binding, SinkError> {
    let refuse = |setting: &str, text: String| SinkError::new(Class::Stop, sink, setting, text);
    let mut paths = HashMap::new();
    for (column, path) in &options.columns {
        let keys = parse_path(path).ok_or_else(|| {
            refuse("columns", format!("{path:?} is no path like .http.user_agent"))
        })?;
        if table.column(column).is_none() {
            let text = format!("table {} has no column {column}", table.name);
            return Err(refuse("columns", text));
        }
        paths.insert(column.as_str(), keys);
    }
    let rest = match &options.rest {
        Some(name) => match table.column(name).map(|column| &column.ty) {
            Some(Ok(Type::Map { .. } | Type::Json)) => Some(name.as_str()),
            Some(_) => return Err(refuse("rest", format!("column {name} is no Map and no JSON"))),
            None => {
                return Err(refuse("rest", format!("table {} has no column {name}", table.name)));
            }
        },
        None => match table.column("attributes").map(|column| &column.ty) {
            Some(Ok(Type::Map { .. } | Type::Json)) => Some("attributes"),
            _ => None,
        },
    };
    let event_time = event_time(table);
    let mut binding = Binding {
        sink: sink.clone(),
        table: table.clone(),
        options: options.clone(),
        columns: Vec::with_capacity(table.columns.len()),
        maps: Vec::new(),
        rest: None,
        partition: None,
        zone: table.timezone.clone(),
        ttl: Vec::new(),
        layout: Layout::new(),
        uses: Vec::new(),
    };
    for column in &table.columns {
        let ty = match &column.ty {
            Ok(ty) => ty.clone(),
            // The server's own default fills it, as nobody asked for more.
            Err(_) if column.default.is_some() && !paths.contains_key(&*column.name) => continue,
            Err(unsupported) => {
                let text = format!("column {} of {}: {unsupported}", column.name, table.name);
                return Err(refuse("table", text));
            }
        };
        let candidates = match paths.get(&*column.name) {
            Some(keys) => vec![keys.clone()],
            None => candidates(&column.name),
        };
        let is_rest = rest == Some(&*column.name);
        let at = binding.columns.len();
        let from = match identity(&column.name) {
            Some(from) => from,
            None if matches!(ty, Type::Map { .. }) || is_rest => {
                // What the event itself calls attributes belongs into whatever column keeps the rest.
                let takes_attributes = is_rest && table.column("attributes").is_none();
                let own = if takes_attributes {
                    layout.add(&["attributes"])
                } else {
                    layout.add(&candidates[0])
                };
                layout.spread(own);
                binding.maps.push(MapTarget { column: at, own });
                if is_rest {
                    binding.rest = Some(binding.maps.len() - 1);
                }
                From::Map(binding.maps.len() - 1)
            }
            None => {
                let nodes: Vec<NodeId> = candidates.iter().map(|keys| layout.add(keys)).collect();
                match &*column.name {
                    "observed_at" if ty.scalar().is_some_and(Scalar::is_time) => {
                        From::ObservedAt(nodes)
                    }
                    "source" if ty.scalar() == Some(&Scalar::Text) => From::Source(nodes),
                    name if event_time == Some(name) => From::EventTime(nodes),
                    _ => From::Fields(nodes),
                }
            }
        };
        binding.columns.push(bound(column, ty, from, options, &table.timezone));
    }
    let find = |name: &str| {
        let at = binding.columns.iter().position(|column| &*column.name == name)?;
        Some(KeyColumn { at, ty: binding.columns[at].ty.clone() })
    };
    binding.partition = PartitionKey::parse(&table.partition_key, &table.timezone, &find);
    let limit = |ttl: &Ttl| {
        let at = binding.columns.iter().position(|column| *column.name == *ttl.column)?;
        Limit::new(at, &binding.columns[at].ty, ttl.keeps)
    };
    binding.ttl = table.ttl.iter().filter_map(limit).collect();
    Ok(binding)
}

impl Binding {
    /// Fixes what becomes of every known path. The layout must not grow afterwards.
    pub fn seal(&mut self, layout: &Layout) {
        self.layout = layout.clone();
        self.uses = vec![NodeUse::default(); layout.len()];
        for (id, _) in layout.nodes() {
            let node = &mut self.uses[id.index()];
            node.key = layout.path(id).join(".");
            node.prefix.clone_from(&node.key);
        }
        // Deeper objects come later and win.
        let mut maps: Vec<usize> = (0..self.maps.len()).collect();
        maps.sort_by_key(|&map| layout.path(self.maps[map].own).len());
        for map in maps {
            let own = self.maps[map].own;
            let depth = layout.path(own).len();
            for id in layout.subtree(own) {
                let node = &mut self.uses[id.index()];
                node.owner = Some(map);
                node.prefix = layout.path(id)[depth..].join(".");
                if id != own {
                    node.key.clone_from(&node.prefix);
                }
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            let (From::Fields(nodes)
            | From::ObservedAt(nodes)
            | From::Source(nodes)
            | From::EventTime(nodes)) = &column.from
            else {
                continue;
            };
            for node in nodes {
                self.uses[node.index()].taken.get_or_insert(at);
            }
        }
    }

    /// Whether blocks are cut by the table's partitions; otherwise the server does it, and a delivery can be at least once only.
    pub fn cuts_partitions(&self) -> bool {
        self.partition.is_some()
    }

    /// The names of the columns that rows are built for.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    /// Whether what no column takes is kept.
    pub fn has_rest(&self) -> bool {
        self.rest.is_some()
    }
}

fn identity(name: &str) -> Option<From> {
    Some(match name {
        "kafka_topic" => From::Topic,
        "kafka_partition" => From::Partition,
        "kafka_offset" => From::Offset,
        "emit_ix" => From::EmitIx,
        "attempt" => From::Attempt,
        "incarnation" => From::Incarnation,
        _ => return None,
    })
}

/// The column that holds the event's time: `timestamp`, else what the partition key reads.
fn event_time(table: &Table) -> Option<&str> {
    let is_time = |column: &&Column| {
        column.ty.as_ref().is_ok_and(|ty| ty.scalar().is_some_and(Scalar::is_time))
    };
    let named = table.columns.iter().filter(is_time).find(|column| column.name == "timestamp");
    let keyed = || table.columns.iter().filter(is_time).find(|column| column.in_partition_key);
    named.or_else(keyed).map(|column| &*column.name)
}

fn bound(column: &Column, ty: Type, from: From, options: &Options, zone: &TimeZone) -> Bound {
    let mut fallback = match &column.default {
        None => Fallback::Zero,
        Some(expression) => fallback(expression, &ty, zone),
    };
    if from == From::Incarnation || matches!(from, From::EventTime(_)) {
        fallback = Fallback::Zero;
    }
    if fallback == Fallback::Server {
        let is_time = ty.scalar().is_some_and(Scalar::is_time);
        let can_be_null = matches!(ty, Type::Scalar(_) | Type::Low(_, false));
        if column.in_partition_key {
            fallback = if is_time { Fallback::KafkaTime } else { Fallback::Zero };
        } else if !can_be_null {
            fallback = Fallback::Zero;
        }
    }
    if fallback == Fallback::Zero
        && let Some(Scalar::Enum(values)) = ty.scalar()
    {
        let first = values.first().to_le_bytes();
        fallback = Fallback::Literal(first[..usize::from(values.bytes)].to_vec());
    }
    let null_as_default = fallback == Fallback::Server;
    let (ty, type_name) = if null_as_default {
        match ty {
            Type::Low(scalar, _) => {
                let inner = column.type_name.trim_start_matches("LowCardinality(");
                let inner = inner.strip_suffix(')').unwrap_or(inner);
                (Type::Low(scalar, true), format!("LowCardinality(Nullable({inner}))"))
            }
            Type::Scalar(scalar) => {
                (Type::Nullable(scalar), format!("Nullable({})", column.type_name))
            }
            other => (other, column.type_name.clone()),
        }
    } else {
        (ty, column.type_name.clone())
    };
    let needs_value =
        matches!(ty, Type::Scalar(_) | Type::Low(_, false)) && column.default.is_none();
    Bound {
        name: column.name.as_str().into(),
        type_name: type_name.into(),
        dead_if_absent: options.on_absent == OnAbsent::Dlq
            && needs_value
            && matches!(from, From::Fields(_) | From::EventTime(_)),
        always: column.in_partition_key,
        has_default: column.default.is_some(),
        ty,
        from,
        fallback,
    }
}

/// What a `DEFAULT` expression means here: literals are known, everything else is the server's.
fn fallback(expression: &str, ty: &Type, zone: &TimeZone) -> Fallback {
    let expression = expression.trim();
    let literal = match unquote(expression) {
        Some(text) => text,
        None if expression.parse::<f64>().is_ok() || matches!(expression, "true" | "false") => {
            expression.to_owned()
        }
        None => return Fallback::Server,
    };
    let Some(scalar) = ty.scalar() else { return Fallback::Server };
    if *scalar == Scalar::Text {
        return Fallback::Literal(literal.into_bytes());
    }
    let mut bytes = Vec::new();
    let view = View::new(logmon_dsl::column::Kind::Text, 0, literal.len());
    let put =
        Converter::new(scalar.clone(), zone).put(Cell::View(view), literal.as_bytes(), &mut bytes);
    if put.is_ok() { Fallback::Literal(bytes) } else { Fallback::Server }
}

/// The paths that may feed a column of this name, the likeliest first: `.a_b`, `.a.b`.
fn candidates(name: &str) -> Vec<Vec<String>> {
    let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut found = vec![vec![name.to_owned()]];
    if name.contains('.') {
        found.push(owned(name.split('.').collect()));
    }
    let cuts: Vec<usize> = name
        .match_indices('_')
        .map(|(at, _)| at)
        .filter(|&at| at > 0 && at + 1 < name.len())
        .collect();
    let choices: Vec<u32> = if cuts.len() <= UNDERSCORES_MAX {
        (1..1 << cuts.len()).collect()
    } else {
        (0..cuts.len().min(31)).map(|at| 1 << at).collect()
    };
    for chosen in choices {
        let mut keys = Vec::new();
        let mut start = 0;
        for (number, &cut) in cuts.iter().enumerate() {
            if number < 32 && chosen >> number & 1 == 1 {
                keys.push(&name[start..cut]);
                start = cut + 1;
            }
        }
        keys.push(&name[start..]);
        if keys.iter().all(|key| !key.is_empty()) {
            found.push(owned(keys));
        }
    }
    found
}

/// Reads `.a.b` or `."k8s.io/name".c`.
fn parse_path(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('.')?;
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"')?;
            keys.push(quoted[..end].to_owned());
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            keys.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_look_for_nested_paths() {
        let paths = |name: &str| {
            candidates(name).iter().map(|keys| keys.join("/")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(paths("message"), "message");
        assert_eq!(
            paths("http_status_code"),
            "http_status_code http/status_code http_status/code http/status/code"
        );
        assert_eq!(paths("http.status"), "http.status http/status");
        assert_eq!(paths("_id"), "_id");
        assert_eq!(paths("a__b"), "a__b a/_b a_/b");
        assert_eq!(paths("a_b_c_d_e"), "a_b_c_d_e a/b_c_d_e a_b/c_d_e a_b_c/d_e a_b_c_d/e");
    }

    #[test]
    fn paths_are_read() {
        assert_eq!(parse_path(r#"."k8s.io/x".b"#), Some(vec!["k8s.io/x".into(), "b".into()]));
        assert_eq!((parse_path("a.b"), parse_path(".a."), parse_path("")), (None, None, None));
    }

    #[test]
    fn literal_defaults_are_known() {
        let of = |expression, ty| fallback(expression, &Type::parse(ty).unwrap(), &TimeZone::UTC);
        assert_eq!(
            of("'standard'", "LowCardinality(String)"),
            Fallback::Literal(b"standard".to_vec())
        );
        assert_eq!(of("7", "UInt16"), Fallback::Literal(vec![7, 0]));
        assert_eq!(of("now64(3)", "DateTime64(3)"), Fallback::Server);
    }
}
