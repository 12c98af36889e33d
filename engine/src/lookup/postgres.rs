//! A table in `PostgreSQL` as a lookup: one query a call, over one connection.

use std::{sync::Arc, time::Duration};

use logmon_dsl::{eval::Answer, plan::LookupDecl, types::Type};
use serde_json::Value;
use tokio::{runtime::Handle, sync::Mutex};
use tokio_postgres::{
    Client, NoTls, Statement,
    types::{Kind as PgKind, ToSql, Type as PgType},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    CONNECT, OpenError,
    http::chain,
    remote::{Asked, Asker, Met, Remote, Trouble, Unmet},
    row,
    shape::{Bound, Column, Kind},
    table::{self, KeyKind},
};
use crate::{
    config::{KeyedTable, PostgresLookup},
    tls,
};

/// A statement that the server still works on when nobody waits for it any longer is ended there.
const STATEMENT: Duration = Duration::from_mins(1);

/// A table.
#[derive(Debug)]
struct Postgres {
    bound: Bound,
    table: KeyedTable,
    config: tokio_postgres::Config,
    tls: Option<rustls::ClientConfig>,
    session: Mutex<Option<Arc<Session>>>,
}

/// A connection with its statement; gone with the first error of the connection.
#[derive(Debug)]
struct Session {
    client: Client,
    statement: Statement,
    keys: Vec<KeyKind>,
}

/// A table as a lookup.
pub(super) fn open(
    decl: &LookupDecl,
    bound: Bound,
    settings: &PostgresLookup,
    runtime: &Handle,
) -> Result<Asker, OpenError> {
    let key = format!("[lookup.{}]", decl.name);
    bound.check_key(&settings.table.key)?;
    let mut config: tokio_postgres::Config = settings.url.parse().map_err(|error| {
        OpenError::Config(format!("{key} url is no address of a PostgreSQL server: {error}"))
    })?;
    if let Some(user) = &settings.user {
        config.user(user);
    }
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    config.application_name("logmon-engine").connect_timeout(CONNECT);
    let tls = settings
        .tls
        .then(|| {
            let trust = &settings.trust;
            tls::known(trust.ca.as_deref(), trust.identity.as_ref(), &format!("{key} ca"))
        })
        .transpose()?;
    config.ssl_mode(if tls.is_some() {
        tokio_postgres::config::SslMode::Require
    } else {
        tokio_postgres::config::SslMode::Disable
    });
    let table = settings.table.clone();
    let back = Postgres { bound, table, config, tls, session: Mutex::default() };
    Asker::open(decl, back, settings.asking, runtime)
}

impl Remote for Postgres {
    fn server(&self) -> &'static str {
        "PostgreSQL"
    }

    fn meet(&self) -> Met<'_> {
        Box::pin(async { self.session().await.map(drop) })
    }

    fn ask<'a>(&'a self, keys: &'a [Arc<str>]) -> Asked<'a> {
        Box::pin(async move {
            let session = self.session().await.map_err(Unmet::trouble)?;
            match self.query(&session, keys).await {
                // The server was started anew: the first query after that finds out.
                Err(error) if session.client.is_closed() => {
                    tracing::debug!(lookup = &*self.bound.decl.name, %error, "connects again");
                    let session = self.session().await.map_err(Unmet::trouble)?;
                    self.query(&session, keys).await
                }
                outcome => outcome,
            }
        })
    }
}

impl Postgres {
    async fn query(&self, session: &Session, keys: &[Arc<str>]) -> Result<Vec<Answer>, Trouble> {
        let mut answers = vec![Answer::Miss; keys.len()];
        let mut places = Vec::with_capacity(keys.len());
        let mut columns: Vec<Vec<String>> = vec![Vec::new(); session.keys.len()];
        for (place, key) in keys.iter().enumerate() {
            let Some(parts) = table::parts(&session.keys, key) else { continue };
            places.push(place);
            for (column, part) in columns.iter_mut().zip(parts) {
                column.push(part);
            }
        }
        if places.is_empty() {
            return Ok(answers);
        }
        let given: Vec<&(dyn ToSql + Sync)> =
            columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        let rows = session.client.query(&session.statement, &given).await;
        let refused = |error: tokio_postgres::Error| Trouble::Refused(chain(&error));
        for row in rows.map_err(refused)? {
            let number: i64 = row.try_get(0).map_err(refused)?;
            let text: Option<String> = row.try_get(1).map_err(refused)?;
            let place = usize::try_from(number - 1).ok().and_then(|number| places.get(number));
            let (Some(&place), Some(text)) = (place, text) else { continue };
            answers[place] = match serde_json::from_str(&text) {
                Ok(Value::Object(members)) if self.table.value.is_none() => {
                    row::answer(&self.bound, members)
                }
                Ok(value) => row::single(&self.bound, &value),
                Err(_) => Answer::Failed,
            };
        }
        Ok(answers)
    }

    async fn session(&self) -> Result<Arc<Session>, Unmet> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let fresh = Arc::new(self.connect().await?);
        *session = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    async fn connect(&self) -> Result<Session, Unmet> {
        let name = Arc::clone(&self.bound.decl.name);
        let ended = move |outcome: Result<(), tokio_postgres::Error>| {
            if let Err(error) = outcome {
                tracing::debug!(lookup = &*name, error = chain(&error), "the connection ended");
            }
        };
        let client = if let Some(tls) = &self.tls {
            let (client, connection) = self
                .config
                .connect(MakeRustlsConnect::new(tls.clone()))
                .await
                .map_err(|error| no_session(&error))?;
            tokio::spawn(async move { ended(connection.await) });
            client
        } else {
            let (client, connection) =
                self.config.connect(NoTls).await.map_err(|error| no_session(&error))?;
            tokio::spawn(async move { ended(connection.await) });
            client
        };
        let failed = |error: tokio_postgres::Error| no_session(&error);
        let settings = format!(
            "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; SET statement_timeout = {}",
            STATEMENT.as_millis()
        );
        client.batch_execute(&settings).await.map_err(failed)?;
        let from = quoted_table(&self.table.table);
        let all = client.prepare(&format!("SELECT * FROM {from}")).await.map_err(failed)?;
        let types: Vec<(&str, &PgType)> =
            all.columns().iter().map(|column| (column.name(), column.type_())).collect();
        let columns: Vec<Column> = types
            .iter()
            .map(|(name, ty)| Column {
                name: (*name).to_owned(),
                ty: ty.name().to_owned(),
                kind: kind(ty),
            })
            .collect();
        let at = format!("the table `{}`", self.table.table);
        self.bound.check(&at, &columns).map_err(Unmet::Shape)?;
        let mut keys = Vec::new();
        let mut casts = Vec::new();
        for column in &self.table.key {
            let Some((_, ty)) = types.iter().find(|(name, _)| name == column) else {
                return Err(Unmet::refused(format!(
                    "key: {at} has no column `{column}`; it has {}",
                    super::shape::list(types.iter().map(|(name, _)| (*name).to_owned()))
                )));
            };
            let Some((kind, cast)) = key_kind(ty) else {
                return Err(Unmet::refused(format!(
                    "key: the column `{column}` of {at} is `{}`; a key is text, a whole number, a uuid or an inet",
                    ty.name()
                )));
            };
            keys.push(kind);
            casts.push(cast);
        }
        let statement = self.statement(&from, &types, &columns, &casts)?;
        let statement = client.prepare(&statement).await.map_err(failed)?;
        Ok(Session { client, statement, keys })
    }

    /// Keys come as arrays of text, one a part, and rows go back with the number of their key.
    fn statement(
        &self,
        from: &str,
        types: &[(&str, &PgType)],
        columns: &[Column],
        casts: &[&str],
    ) -> Result<String, Unmet> {
        let wanted = |column: &str| {
            self.bound
                .fields()
                .find(|(_, _, name)| *name == column)
                .map(|(_, field, _)| &field.ty.base)
        };
        let answer = if self.bound.shape().is_some()
            || matches!(self.bound.decl.yields.base, Type::Map(_) | Type::Any)
                && self.table.value.is_none()
        {
            let items: Vec<String> =
                table::selected(&self.bound, types.iter().map(|(name, _)| *name))
                    .into_iter()
                    .filter_map(|name| types.iter().find(|(known, _)| *known == name))
                    .map(|(name, ty)| {
                        format!("{} AS {}", expression(name, ty, wanted(name)), quoted(name))
                    })
                    .collect();
            format!("(SELECT row_to_json(r)::text FROM (SELECT {}) r)", items.join(", "))
        } else {
            let column =
                row::value_column(&self.bound, &self.table, columns).map_err(Unmet::Shape)?;
            let ty = types.iter().find(|(name, _)| *name == column).map(|(_, ty)| *ty);
            let ty = ty.expect("the column was found among these");
            format!(
                "to_json({})::text",
                expression(&column, ty, Some(&self.bound.decl.yields.base))
            )
        };
        let arrays: Vec<String> = casts
            .iter()
            .enumerate()
            .map(|(at, cast)| format!("${}::text[]::{cast}[]", at + 1))
            .collect();
        let names: Vec<String> = (0..casts.len()).map(|at| format!("k{at}")).collect();
        let joins: Vec<String> = self
            .table
            .key
            .iter()
            .enumerate()
            .map(|(at, column)| format!("t.{} = k.k{at}", quoted(column)))
            .collect();
        Ok(format!(
            "SELECT k.i, {answer} FROM unnest({}) WITH ORDINALITY AS k({}, i) JOIN {from} AS t ON {}",
            arrays.join(", "),
            names.join(", "),
            joins.join(" AND ")
        ))
    }
}

/// What the server says itself is a refusal; anything else means that it is not there.
fn no_session(error: &tokio_postgres::Error) -> Unmet {
    // Class 57: it is starting up or going down. Class 53: too many connections.
    let passing = |code: &str| code.starts_with("57") || code.starts_with("53");
    match error.code() {
        Some(code) if !passing(code.code()) => Unmet::refused(chain(error)),
        _ => Trouble::Unreachable(chain(error)).into(),
    }
}

/// A column as the declared type reads it.
fn expression(name: &str, ty: &PgType, wanted: Option<&Type>) -> String {
    let column = format!("t.{}", quoted(name));
    match (wanted, ty.name()) {
        (Some(Type::Ip), "inet") => format!("host({column})"),
        // The server breaks Base64 into lines.
        (Some(Type::Bytes), "bytea") => {
            format!("translate(encode({column}, 'base64'), E'\\n', '')")
        }
        (Some(Type::Text | Type::Cidr), name) if kind(ty) != Kind::Text || name == "bpchar" => {
            format!("{column}::text")
        }
        // Without a zone the server prints none, and a time without one is no time.
        (_, "timestamp" | "date") => format!("({column}::timestamp AT TIME ZONE 'UTC')"),
        _ => column,
    }
}

fn kind(ty: &PgType) -> Kind {
    match ty.kind() {
        PgKind::Array(of) => return Kind::List(Box::new(kind(of))),
        PgKind::Enum(_) => return Kind::Text,
        PgKind::Domain(of) => return kind(of),
        PgKind::Composite(_) => return Kind::Object,
        _ => {}
    }
    match ty.name() {
        "text" | "varchar" | "bpchar" | "name" | "char" | "uuid" | "citext" | "xml" | "macaddr" => {
            Kind::Text
        }
        "int2" | "int4" | "int8" | "oid" => Kind::Int,
        "float4" | "float8" | "numeric" => Kind::Float,
        "bool" => Kind::Bool,
        "timestamp" | "timestamptz" | "date" => Kind::Time,
        "inet" | "cidr" => Kind::Address,
        "json" | "jsonb" => Kind::Any,
        "hstore" => Kind::Object,
        _ => Kind::Text,
    }
}

/// How keys are compared with a column of that type, and the type that they are cast to.
fn key_kind(ty: &PgType) -> Option<(KeyKind, &'static str)> {
    if let PgKind::Domain(of) = ty.kind() {
        return key_kind(of);
    }
    Some(match ty.name() {
        "text" | "varchar" => (KeyKind::Text, "text"),
        "bpchar" => (KeyKind::Text, "bpchar"),
        "name" => (KeyKind::Text, "name"),
        "citext" => (KeyKind::Text, "citext"),
        "int2" => (KeyKind::Int(i16::MIN.into(), i16::MAX.into()), "int2"),
        "int4" => (KeyKind::Int(i32::MIN.into(), i32::MAX.into()), "int4"),
        "int8" => (KeyKind::Int(i64::MIN.into(), i64::MAX.into()), "int8"),
        "uuid" => (KeyKind::Uuid, "uuid"),
        "inet" => (KeyKind::Address, "inet"),
        _ => return None,
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_table(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}
