//! A web service as a lookup: one key in the address, or many in the body.

mod client;

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};
use logmon_dsl::{eval::Answer, plan::LookupDecl, types::Type};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, value::RawValue};
use tokio::runtime::Handle;

use super::{
    OpenError,
    file::KEY_JOINT,
    remote::{Asked, Asker, Met, Remote, Trouble},
};
use crate::config::HttpLookup;
pub(super) use client::{HttpClient, chain};

/// A row, not a document; what is longer is refused unread.
const ROW_BYTES_MAX: usize = 64 << 10;
/// The rows of a call together.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A key longer than this is no key, and no server takes such an address.
const KEY_BYTES_MAX: usize = 2 << 10;

/// Everything but what RFC 3986 calls unreserved: a key cannot leave its path segment.
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A web service.
#[derive(Debug)]
struct Service {
    url: String,
    client: HttpClient,
    in_body: bool,
    /// Parts of a key.
    parts: usize,
    /// Whether an answer must be an object.
    object: bool,
}

/// A web service as a lookup.
pub(super) fn open(
    decl: &LookupDecl,
    config: &HttpLookup,
    runtime: &Handle,
) -> Result<Asker, OpenError> {
    let key = format!("[lookup.{}]", decl.name);
    let client = HttpClient::open(
        &key,
        &config.url,
        &config.trust,
        config.authorization.as_ref(),
        config.asking.concurrency,
    )?;
    let service = Service {
        url: config.url.clone(),
        client: if config.in_body { client.json() } else { client }.headers(&config.headers),
        in_body: config.in_body,
        parts: decl.keys.len(),
        object: matches!(decl.yields.base, Type::Record(_) | Type::Map(_)),
    };
    Asker::open(decl, service, config.asking, runtime)
}

impl Remote for Service {
    fn server(&self) -> &'static str {
        "the service"
    }

    /// A service tells no shape, and a key that nobody asked for could mean work to it.
    fn meet(&self) -> Met<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn ask<'a>(&'a self, keys: &'a [Arc<str>]) -> Asked<'a> {
        Box::pin(async move {
            if self.in_body {
                return self.ask_all(keys).await;
            }
            let mut answers = Vec::with_capacity(keys.len());
            for key in keys {
                answers.push(match self.address(key) {
                    Some(address) => self.ask_one(address).await?,
                    None => Answer::Miss,
                });
            }
            Ok(answers)
        })
    }
}

impl Service {
    fn address(&self, key: &str) -> Option<Uri> {
        // Servers resolve dot segments, also encoded ones: such a key would ask for another place.
        if key.is_empty() || key.len() > KEY_BYTES_MAX || matches!(key, "." | "..") {
            return None;
        }
        let parts: Vec<String> =
            key.split(KEY_JOINT).map(|part| utf8_percent_encode(part, &KEPT).to_string()).collect();
        if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return None;
        }
        self.url.replace("{key}", &parts.join("/")).parse().ok()
    }

    /// One request. Only an answer that says so is a miss; everything else that is no row has failed.
    async fn ask_one(&self, address: Uri) -> Result<Answer, Trouble> {
        let (status, body) =
            self.client.send(Method::GET, address, Bytes::new(), ROW_BYTES_MAX).await?;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::NO_CONTENT => {
                return Ok(Answer::Miss);
            }
            status => return Err(Trouble::Refused(format!("the service answers {status}"))),
        }
        let raw: &RawValue = serde_json::from_slice(&body).map_err(|error| no_json(&error))?;
        match self.row(raw) {
            Answer::Failed => Err(Trouble::Refused("the service answers no JSON object".into())),
            answer => Ok(answer),
        }
    }

    /// One request for many keys: `["a","b"]`, or `[["a","1"]]` where keys have parts. The answer is a list in the order of
    /// the keys, or an object with a member a key that is known.
    async fn ask_all(&self, keys: &[Arc<str>]) -> Result<Vec<Answer>, Trouble> {
        let asked: Vec<Value> = keys
            .iter()
            .map(|key| {
                if self.parts == 1 {
                    return Value::from(&**key);
                }
                key.split(KEY_JOINT).map(Value::from).collect()
            })
            .collect();
        let body = Bytes::from(Value::from(asked).to_string());
        let address = self.url.parse().map_err(|_| Trouble::Refused("no address".into()))?;
        let (status, body) = self.client.send(Method::POST, address, body, BODY_BYTES_MAX).await?;
        if status != StatusCode::OK {
            return Err(Trouble::Refused(format!("the service answers {status}")));
        }
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let rows: Vec<&RawValue> =
                serde_json::from_slice(&body).map_err(|error| no_json(&error))?;
            if rows.len() != keys.len() {
                return Err(Trouble::Refused(format!(
                    "the service answers {} rows to {} keys",
                    rows.len(),
                    keys.len()
                )));
            }
            return Ok(rows.into_iter().map(|row| self.row(row)).collect());
        }
        if self.parts != 1 {
            return Err(Trouble::Refused("keys with parts are answered by a list".into()));
        }
        let rows: std::collections::BTreeMap<String, &RawValue> =
            serde_json::from_slice(&body).map_err(|error| no_json(&error))?;
        let row = |key: &Arc<str>| rows.get(&**key).map_or(Answer::Miss, |row| self.row(row));
        Ok(keys.iter().map(row).collect())
    }

    fn row(&self, raw: &RawValue) -> Answer {
        let text = raw.get();
        if text == "null" {
            Answer::Miss
        } else if self.object && !text.starts_with('{') || text.len() > ROW_BYTES_MAX {
            Answer::Failed
        } else {
            Answer::Found(text.into())
        }
    }
}

fn no_json(error: &serde_json::Error) -> Trouble {
    Trouble::Refused(format!("the service answers no JSON: {error}"))
}
