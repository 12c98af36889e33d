//! Keys of a Redis or Valkey as a lookup: one `MGET` a call, or one pipeline of hashes.

use std::{sync::Arc, time::Duration};

use logmon_dsl::{eval::Answer, plan::LookupDecl};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, IntoConnectionInfo, RedisError, RedisResult,
    TlsCertificates, aio::MultiplexedConnection,
};
use serde_json::{Map, Value};
use tokio::{runtime::Handle, sync::Mutex};

use super::{
    CONNECT, OpenError,
    http::chain,
    remote::{Asked, Asker, Met, Remote, Trouble, Unmet},
    row,
    shape::Bound,
};
use crate::{
    config::{RedisLookup, RedisValues, Trust},
    error::WorldError,
};

/// Keys that are looked at before the start, to see whether rows are as the rules declare.
const SAMPLE: usize = 20;
/// Steps of looking for them: a server with a billion other keys must not keep us.
const SCANS_MAX: usize = 50;

/// A server.
#[derive(Debug)]
struct Valkey {
    bound: Bound,
    client: Client,
    pattern: String,
    values: RedisValues,
    /// Fields of a hash that are asked for; none: all.
    fields: Option<Vec<String>>,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// A server as a lookup.
pub(super) fn open(
    decl: &LookupDecl,
    bound: Bound,
    settings: &RedisLookup,
    runtime: &Handle,
) -> Result<Asker, OpenError> {
    let key = format!("[lookup.{}]", decl.name);
    let client = client(&key, settings)?;
    let fields = bound.shape().filter(|shape| !shape.open).map(|_| bound.columns.clone());
    if settings.values == RedisValues::Hash && bound.shape().is_none() {
        return Err(OpenError::Shape(vec![bound.wrong_whole("a hash yields a record")]));
    }
    let back = Valkey {
        bound,
        client,
        pattern: settings.pattern.clone(),
        values: settings.values,
        fields,
        connection: Mutex::default(),
    };
    Asker::open(decl, back, settings.asking, runtime)
}

fn client(key: &str, settings: &RedisLookup) -> Result<Client, OpenError> {
    let wrong = |error: RedisError| OpenError::Config(format!("{key} url: {}", chain(&error)));
    let info = settings.url.as_str().into_connection_info().map_err(wrong)?;
    let mut login = info.redis_settings().clone();
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    let info = info.set_redis_settings(login);
    if !settings.url.starts_with("rediss:") {
        return Client::open(info).map_err(wrong);
    }
    let Trust { ca, identity } = &settings.trust;
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| {
            WorldError::because(format!("{key} {} cannot be read", path.display()), error)
        })
    };
    let root_cert = ca.as_deref().map(read).transpose()?;
    let client_tls = identity
        .as_ref()
        .map(|(cert, private)| {
            Ok::<_, WorldError>(ClientTlsConfig {
                client_cert: read(cert)?,
                client_key: read(private)?,
            })
        })
        .transpose()?;
    Client::build_with_tls(info, TlsCertificates { client_tls, root_cert }).map_err(wrong)
}

impl Remote for Valkey {
    fn server(&self) -> &'static str {
        "the server"
    }

    fn meet(&self) -> Met<'_> {
        Box::pin(async {
            let rows = self.sample().await?;
            let at = format!("the server, of {} keys looked at,", rows.len());
            self.bound.check_rows(&at, &rows).map_err(Unmet::Shape)
        })
    }

    fn ask<'a>(&'a self, keys: &'a [Arc<str>]) -> Asked<'a> {
        Box::pin(async move {
            let mut connection = self.connection().await.map_err(Trouble::away)?;
            let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
            let outcome = match self.values {
                RedisValues::Json => self.texts(&mut connection, &names).await,
                RedisValues::Hash => self.hashes(&mut connection, &names).await,
            };
            match outcome {
                Ok(answers) => Ok(answers),
                Err(error) => Err(self.trouble(&error).await),
            }
        })
    }
}

impl Valkey {
    /// Parts of a key are joined by colons, as names there usually are.
    fn name(&self, key: &str) -> String {
        self.pattern.replace("{key}", &key.replace(super::file::KEY_JOINT, ":"))
    }

    async fn texts(
        &self,
        connection: &mut MultiplexedConnection,
        names: &[String],
    ) -> RedisResult<Vec<Answer>> {
        let texts: Vec<Option<Vec<u8>>> =
            redis::cmd("MGET").arg(names).query_async(connection).await?;
        let answer = |text: Option<Vec<u8>>| {
            let Some(text) = text else { return Answer::Miss };
            let Ok(text) = String::from_utf8(text) else { return Answer::Failed };
            row::json_answer(&self.bound, &text).unwrap_or(Answer::Failed)
        };
        Ok(texts.into_iter().map(answer).collect())
    }

    async fn hashes(
        &self,
        connection: &mut MultiplexedConnection,
        names: &[String],
    ) -> RedisResult<Vec<Answer>> {
        let rows = self.rows(connection, names).await?;
        let answer = |row: RedisResult<Option<Map<String, Value>>>| match row {
            Ok(Some(row)) => row::answer(&self.bound, row),
            Ok(None) => Answer::Miss,
            Err(_) => Answer::Failed,
        };
        Ok(rows.into_iter().map(answer).collect())
    }

    /// Hashes of some keys; a key that holds something else is its own error.
    async fn rows(
        &self,
        connection: &mut MultiplexedConnection,
        names: &[String],
    ) -> RedisResult<Vec<RedisResult<Option<Map<String, Value>>>>> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for name in names {
            match &self.fields {
                Some(fields) => pipe.cmd("HMGET").arg(name).arg(fields),
                None => pipe.cmd("HGETALL").arg(name),
            };
        }
        let found: Vec<RedisResult<Vec<Option<String>>>> = pipe.query_async(connection).await?;
        let row = |cells: Vec<Option<String>>| {
            let members: Map<String, Value> = match &self.fields {
                Some(fields) => fields
                    .iter()
                    .zip(cells)
                    .filter_map(|(field, cell)| Some((field.clone(), Value::String(cell?))))
                    .collect(),
                None => cells
                    .chunks_exact(2)
                    .filter_map(|pair| Some((pair[0].clone()?, Value::String(pair[1].clone()?))))
                    .collect(),
            };
            (!members.is_empty()).then_some(members)
        };
        Ok(found.into_iter().map(|cells| cells.map(row)).collect())
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Trouble> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = connection.as_ref() {
            return Ok(connection.clone());
        }
        // Whoever asks sets the limit of a call.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(Duration::from_mins(1)));
        let fresh = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| trouble(&error))?;
        *connection = Some(fresh.clone());
        Ok(fresh)
    }

    async fn trouble(&self, error: &RedisError) -> Trouble {
        let trouble = trouble(error);
        if matches!(trouble, Trouble::Unreachable(_)) {
            *self.connection.lock().await = None;
        }
        trouble
    }

    /// Some rows that are there, or why they cannot be what is declared.
    async fn sample(&self) -> Result<Vec<Map<String, Value>>, Trouble> {
        let mut connection = self.connection().await?;
        let escaped: String = self
            .pattern
            .replace("{key}", "\u{0}")
            .chars()
            .flat_map(|c| {
                let special = matches!(c, '*' | '?' | '[' | ']' | '\\');
                special.then_some('\\').into_iter().chain([if c == '\0' { '*' } else { c }])
            })
            .collect();
        let mut names: Vec<String> = Vec::new();
        let mut cursor: u64 = 0;
        for _ in 0..SCANS_MAX {
            let (next, found): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&escaped)
                .arg("COUNT")
                .arg(1000)
                .query_async(&mut connection)
                .await
                .map_err(|error| trouble(&error))?;
            names.extend(found.into_iter().filter_map(|name| String::from_utf8(name).ok()));
            cursor = next;
            if cursor == 0 || names.len() >= SAMPLE {
                break;
            }
        }
        names.truncate(SAMPLE);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        let (wanted, value) = match self.values {
            RedisValues::Json => ("string", "json"),
            RedisValues::Hash => ("hash", "hash"),
        };
        for name in &names {
            let is: String = redis::cmd("TYPE")
                .arg(name)
                .query_async(&mut connection)
                .await
                .map_err(|error| trouble(&error))?;
            if is != wanted && is != "none" {
                return Err(Trouble::Refused(format!(
                    "values = \"{value}\", but the key `{name}` holds a {is}"
                )));
            }
        }
        match self.values {
            RedisValues::Json => {
                let texts: Vec<Option<Vec<u8>>> = redis::cmd("MGET")
                    .arg(&names)
                    .query_async(&mut connection)
                    .await
                    .map_err(|error| trouble(&error))?;
                for (name, text) in names.iter().zip(texts) {
                    let Some(text) = text else { continue };
                    let value = serde_json::from_slice(&text).map_err(|error| {
                        Trouble::Refused(format!("the key `{name}` holds no JSON: {error}"))
                    })?;
                    if let Value::Object(row) = value {
                        rows.push(row);
                    }
                }
            }
            RedisValues::Hash => {
                let found =
                    self.rows(&mut connection, &names).await.map_err(|error| trouble(&error))?;
                rows.extend(found.into_iter().flatten().flatten());
            }
        }
        Ok(rows)
    }
}

fn trouble(error: &RedisError) -> Trouble {
    let away = error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal();
    let why = chain(error);
    if away { Trouble::Unreachable(why) } else { Trouble::Refused(why) }
}
