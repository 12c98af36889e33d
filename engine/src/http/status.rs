//! What the engine says about itself: set by the pipeline, read by pages.
//!
//! Counts are not kept here: they are read back from the metrics, so both always agree.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use logmon_dsl::plan::Plan;
use serde::Serialize;

use crate::{
    clock::Clock,
    lookup::{LookupSet, LookupState},
    metrics::{
        DEFAULT_ROUTE, Fate, LookupTotals, Metrics, ReloadOutcome, RuleTotals, SinkTotals,
        SourceTotals,
    },
};

/// The engine's state, shared by everybody who knows a part of it.
#[derive(Debug)]
pub struct Status {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    started: i64,
    state: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    phase: Phase,
    bundle: Option<BundleState>,
    plan: Option<Arc<Plan>>,
    lookups: LookupSet,
    troubles: BTreeMap<(Part, String), (String, i64)>,
    reload: Option<ReloadReport>,
}

/// How far the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not everything is connected yet.
    Starting,
    /// Events flow.
    Running,
    /// What is open is brought to its end.
    Stopping,
}

/// What may be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A source: the engine is not ready.
    Source,
    /// A sink: the engine is not ready.
    Sink,
    /// A lookup: its values are absent, but events flow.
    Lookup,
}

/// Something that does not work now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// A source, a sink, a lookup; none for the engine as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One sentence that names the setting to look at.
    pub message: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// The rules that run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleState {
    /// What names them.
    pub hash: String,
    /// The entry file.
    pub entry: PathBuf,
    /// Since when, RFC 3339.
    pub since: String,
    /// How many rules.
    pub rules: usize,
}

/// How the last attempt to replace the rules ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReloadReport {
    /// `applied`, `unchanged` or `refused`.
    pub outcome: &'static str,
    /// When, RFC 3339.
    pub at: String,
    /// The diagnostics as data.
    pub diagnostics: Vec<serde_json::Value>,
    /// The diagnostics as drawn for a person.
    pub text: String,
}

/// `/api/status`
#[derive(Debug, Clone, Serialize)]
pub struct StatusPage {
    /// The engine's version.
    pub version: &'static str,
    /// When the process started, RFC 3339.
    pub started: String,
    /// How far it is.
    pub phase: Phase,
    /// The rules that run.
    pub bundle: Option<BundleState>,
    /// All sources together.
    pub events: EventTotals,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Each source.
    pub sources: BTreeMap<String, PartState<SourceTotals>>,
    /// Each sink.
    pub sinks: BTreeMap<String, PartState<SinkTotals>>,
    /// Each lookup.
    pub lookups: BTreeMap<String, PartState<LookupPage>>,
    /// The byte budget.
    pub memory: Memory,
    /// How the last attempt to replace the rules ended.
    pub reload: Option<ReloadReport>,
}

/// What was read and what became of it: `read = delivered + dropped + dead_lettered + given_back + open`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EventTotals {
    /// Records read.
    pub read: u64,
    /// Events that reached a sink.
    pub delivered: u64,
    /// Events dropped.
    pub dropped: u64,
    /// Events among the dead letters.
    pub dead_lettered: u64,
    /// Events whose partition was taken away before their fate was settled; the next owner reads them.
    pub given_back: u64,
    /// Events whose fate is open.
    pub open: i64,
}

/// A part's counts, and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub struct PartState<T> {
    /// What it did.
    #[serde(flatten)]
    pub totals: T,
    /// What is wrong with it now.
    pub trouble: Option<Trouble>,
}

/// A lookup's counts and data.
#[derive(Debug, Clone, Serialize)]
pub struct LookupPage {
    /// What it was asked.
    #[serde(flatten)]
    pub totals: LookupTotals,
    /// What it holds.
    #[serde(flatten)]
    pub state: LookupState,
}

/// The byte budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes in use.
    pub used: i64,
    /// The budget.
    pub limit: i64,
}

/// A rule on `/api/rules`.
#[derive(Debug, Clone, Serialize)]
pub struct RuleState {
    /// `file/group/rule`, the metric label; `default route` for the default route.
    pub rule: String,
    /// The bare name.
    pub name: String,
    /// `@owner`, `@expires` …
    pub attributes: BTreeMap<String, String>,
    /// What it did since the process started.
    #[serde(flatten)]
    pub totals: RuleTotals,
}

impl Status {
    /// The status of an engine that starts now.
    pub fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let known = Known {
            phase: Phase::Starting,
            bundle: None,
            plan: None,
            lookups: LookupSet::default(),
            troubles: BTreeMap::new(),
            reload: None,
        };
        let started = clock.now();
        Arc::new(Self { clock, metrics, started, state: RwLock::new(known) })
    }

    /// The metrics it reads counts from.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Says how far the engine is.
    pub fn phase(&self, phase: Phase) {
        self.write().phase = phase;
    }

    /// Says which rules run from now on.
    pub fn bundle(&self, hash: &str, entry: PathBuf, plan: Arc<Plan>, lookups: LookupSet) {
        let since = text_of(self.clock.now());
        let rules = plan.rules.len();
        self.metrics.bundle(hash);
        let mut known = self.write();
        known.bundle = Some(BundleState { hash: hash.to_owned(), entry, since, rules });
        known.plan = Some(plan);
        known.lookups = lookups;
    }

    /// Says how an attempt to replace the rules ended, and counts it.
    pub fn reloaded(
        &self,
        outcome: ReloadOutcome,
        diagnostics: Vec<serde_json::Value>,
        text: String,
    ) {
        self.metrics.reload(outcome);
        let at = text_of(self.clock.now());
        let report = ReloadReport { outcome: outcome.name(), at, diagnostics, text };
        self.write().reload = Some(report);
    }

    /// Says what is wrong with a part; returns whether that is news. Said again, it is still wrong since the first time.
    pub fn trouble(&self, part: Part, name: &str, message: impl Into<String>) -> bool {
        let (now, message) = (self.clock.now(), message.into());
        let mut known = self.write();
        let said =
            &mut known.troubles.entry((part, name.to_owned())).or_insert((String::new(), now)).0;
        let news = *said != message;
        *said = message;
        news
    }

    /// Says that a part works. Returns whether that is news.
    pub fn well(&self, part: Part, name: &str) -> bool {
        let key = (part, name.to_owned());
        // Said after every block: look before locking everybody out.
        self.read().troubles.contains_key(&key) && self.write().troubles.remove(&key).is_some()
    }

    /// Why the engine is not ready; empty if it is. A refused reload is no reason: the old rules run.
    pub fn reasons(&self) -> Vec<Trouble> {
        let known = self.read();
        let whole = |message: &str| Trouble {
            part: None,
            name: None,
            message: message.to_owned(),
            since: text_of(self.started),
        };
        let mut reasons = Vec::new();
        match known.phase {
            Phase::Starting => reasons.push(whole("the engine is starting")),
            Phase::Running => {}
            Phase::Stopping => reasons.push(whole("the engine is stopping")),
        }
        let parts = known.troubles.keys().filter(|(part, _)| *part != Part::Lookup);
        reasons.extend(parts.filter_map(|(part, name)| known.trouble(*part, name)));
        reasons
    }

    /// `/api/status`
    pub fn page(&self) -> StatusPage {
        let known = self.read();
        let metrics = &self.metrics;
        let mut events = EventTotals::default();
        let mut sources = BTreeMap::new();
        let mut sinks = BTreeMap::new();
        if let Some(plan) = &known.plan {
            for source in &plan.sources {
                let totals = metrics.source_totals(&source.name);
                events.add(&totals);
                let trouble = known.trouble(Part::Source, &source.name);
                sources.insert(source.name.to_string(), PartState { totals, trouble });
            }
            for sink in &plan.sinks {
                let totals = metrics.sink_totals(&sink.name);
                let trouble = known.trouble(Part::Sink, &sink.name);
                sinks.insert(sink.name.to_string(), PartState { totals, trouble });
            }
        }
        let lookup = |state: LookupState| {
            let name = state.name.to_string();
            let trouble = known.trouble(Part::Lookup, &name);
            let totals = LookupPage { totals: metrics.lookup_totals(&name), state };
            (name, PartState { totals, trouble })
        };
        StatusPage {
            version: env!("CARGO_PKG_VERSION"),
            started: text_of(self.started),
            phase: known.phase,
            bundle: known.bundle.clone(),
            events,
            dead_letters: metrics.dead_letter_totals(),
            sources,
            sinks,
            lookups: known.lookups.states().into_iter().map(lookup).collect(),
            memory: Memory { used: metrics.memory_used.get(), limit: metrics.memory_limit.get() },
            reload: known.reload.clone(),
        }
    }

    /// `/api/rules`: in running order, the default route last.
    pub fn rules(&self) -> Vec<RuleState> {
        let Some(plan) = self.read().plan.clone() else { return Vec::new() };
        let mut totals = self.metrics.rule_totals();
        let mut states: Vec<RuleState> = plan
            .rules
            .iter()
            .map(|rule| RuleState {
                rule: rule.label.to_string(),
                name: rule.name.to_string(),
                attributes: rule
                    .attributes
                    .iter()
                    .map(|(name, text)| (name.to_string(), text.clone()))
                    .collect(),
                totals: totals.remove(&*rule.label).unwrap_or_default(),
            })
            .collect();
        if !plan.default_route.is_empty() {
            states.push(RuleState {
                rule: DEFAULT_ROUTE.to_owned(),
                name: DEFAULT_ROUTE.to_owned(),
                attributes: BTreeMap::new(),
                totals: totals.remove(DEFAULT_ROUTE).unwrap_or_default(),
            });
        }
        states
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn trouble(&self, part: Part, name: &str) -> Option<Trouble> {
        let (message, since) = self.troubles.get(&(part, name.to_owned()))?;
        Some(Trouble {
            part: Some(part),
            name: Some(name.to_owned()),
            message: message.clone(),
            since: text_of(*since),
        })
    }
}

impl EventTotals {
    fn add(&mut self, source: &SourceTotals) {
        let of = |fate: Fate| source.fates.get(fate.name()).copied().unwrap_or_default();
        self.read += source.read;
        self.delivered += of(Fate::Delivered);
        self.dropped += of(Fate::Dropped);
        self.dead_lettered += of(Fate::DeadLettered);
        self.given_back += of(Fate::GivenBack);
        self.open += source.open;
    }
}

/// Nanoseconds since 1970 as RFC 3339.
fn text_of(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| nanos.to_string(), |at| at.to_string())
}
