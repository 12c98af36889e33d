//! Rows into a real ClickHouse and back.
mod errors;
mod inserts;
mod pulled;
mod rows;
mod search;
mod types;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use logmon_dsl::{
    column::{Batch, Column, Layout, Mask, Names, batch::Meta, load::load},
    eval::Routed,
    plan::SinkId,
};
use logmon_engine::sink::clickhouse::{
    AppendReport, Binding, Block, Client, Compression, Context, Endpoint, Inserter, Options,
    SinkError, Table, TableBuilder, bind::bind_named,
};
use logmon_services::ClickHouse;

/// 2026-11-21T12:00:00Z: the clock and the records' Kafka timestamp.
pub(super) const NOON: i64 = 1_795_262_400_000_000_000;

pub(super) fn server() -> &'static ClickHouse {
    static SERVER: OnceLock<ClickHouse> = OnceLock::new();
    SERVER.get_or_init(|| ClickHouse::start().unwrap())
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn endpoint() -> Endpoint {
    let server = server();
    Endpoint {
        sink: "logs".into(),
        url: server.url().into(),
        database: "default".into(),
        user: server.user().into(),
        password: server.password().into(),
        ..Endpoint::default()
    }
}

fn client() -> Arc<Client> {
    Arc::new(Client::new(endpoint()).unwrap())
}

fn context() -> Context<'static> {
    Context {
        names_table: 0,
        source: "events",
        wall: NOON,
        now: Instant::now(),
        ticket: 0,
        attempt: 0,
        incarnation: 7,
    }
}

/// Events of one partition, counted from that offset.
pub(super) fn batch(layout: &Layout, names: &mut Names, events: &[String], first: usize) -> Batch {
    let mut batch = Batch::new(layout);
    let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    load(&mut batch, layout, names, &bytes).unwrap();
    batch.meta = Meta {
        topic: "app".into(),
        partition: 3,
        offsets: (0..batch.rows).map(|row| (first + row) as i64).collect(),
        times: vec![NOON; batch.rows],
        ..Meta::default()
    };
    batch
}

/// All rows, as they are now.
fn route(batch: &Batch, args: &[Argument]) -> Routed {
    Routed {
        sink: SinkId(0),
        rows: (0..batch.rows as u32).collect(),
        emit_ix: vec![0; batch.rows],
        snapshot: Arc::new(batch.snapshot()),
        args: args.to_vec(),
        rule: None,
    }
}

pub(super) fn sql(statement: &str) -> String {
    server().query(statement).unwrap()
}

/// A parameter of a route: path and values.
type Argument = (Vec<Arc<str>>, Arc<Column>);

/// A table, and events on their way into it.
pub(super) struct Case {
    options: Options,
    args: Vec<Argument>,
    /// What rules wrote into every second row.
    written: Vec<(Vec<&'static str>, Column)>,
    compression: Compression,
    pub(super) events: Vec<String>,
}

impl Case {
    pub(super) fn new(events: &[&str]) -> Self {
        Self {
            options: Options::default(),
            args: Vec::new(),
            written: Vec::new(),
            compression: Compression::Lz4,
            events: events.iter().map(|&event| event.to_owned()).collect(),
        }
    }

    pub(super) fn bind(&self, table: &str) -> Result<(Binding, Layout), SinkError> {
        let client = client();
        let table = runtime().block_on(Table::read(&client, table))?;
        let mut layout = Layout::new();
        let mut binding = bind_named(&mut layout, &"logs".into(), &Arc::new(table), &self.options)?;
        binding.seal(&layout);
        Ok((binding, layout))
    }

    fn build(&self, table: &str) -> (AppendReport, Vec<Block>) {
        let (binding, layout) = self.bind(table).unwrap();
        let mut builder = TableBuilder::new(Arc::new(binding));
        let mut names = Names::default();
        let mut sum = AppendReport::default();
        for (ticket, events) in self.events.chunks(512).enumerate() {
            let mut batch = batch(&layout, &mut names, events, ticket * 512);
            for (path, column) in &self.written {
                let node = layout.find(path).unwrap();
                let field = &mut batch.fields[node.index()];
                field.written = Some(Arc::new(Mask::from_fn(batch.rows, |row| row % 2 == 0)));
                field.column = Some(Arc::new(column.clone()));
            }
            let routed = route(&batch, &self.args);
            let context = Context { ticket: ticket as u64, ..context() };
            let report = builder.append(&mut batch, &names, &routed, &context);
            sum.rows += report.rows;
            sum.retimed += report.retimed;
            sum.dead.extend(report.dead);
            sum.defaulted.extend(report.defaulted);
            sum.unfit.extend(report.unfit);
        }
        let blocks =
            builder.finish().iter().map(|finished| finished.encode(self.compression)).collect();
        (sum, blocks)
    }

    pub(super) fn insert(&self, table: &str) -> AppendReport {
        let (report, blocks) = self.build(table);
        let inserter = Inserter::new(client());
        let runtime = runtime();
        for (number, block) in blocks.iter().enumerate() {
            let token = format!("{table}/{number}/{:?}", self.compression);
            runtime.block_on(inserter.insert(block, &token)).unwrap();
        }
        report
    }
}
