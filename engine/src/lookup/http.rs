//! A web service as a lookup: one GET a key, some at a time, all within one timeout.

mod pause;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use logmon_dsl::{eval::Answer, plan::LookupDecl, types::Type};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use tokio::{runtime::Handle, task::JoinSet, time};
use tower::{
    BoxError, ServiceExt,
    limit::ConcurrencyLimit,
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneSyncService,
};

use super::{Holding, Lookup, OpenError, Reloaded};
use crate::{
    config::{Authorization, HttpLookup},
    error::WorldError,
    tls,
};
use pause::Pause;

/// A row, not a document; what is longer is refused unread.
const BODY_BYTES_MAX: usize = 64 << 10;
/// A key longer than this is no key, and no server takes such an address.
const KEY_BYTES_MAX: usize = 2 << 10;
/// Idle connections are given up before usual servers do, so a request rarely meets a closed one.
const IDLE: Duration = Duration::from_secs(15);

/// Everything but what RFC 3986 calls unreserved: a key cannot leave its path segment.
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type HttpsClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;
type Exchange = BoxCloneSyncService<Uri, Answer, BoxError>;

/// A web service.
#[derive(Debug)]
pub(super) struct Service {
    name: Arc<str>,
    url: String,
    exchange: Exchange,
    timeout: Duration,
    runtime: Handle,
    pause: Mutex<Pause>,
}

/// What one request needs.
#[derive(Debug, Clone)]
struct Asking {
    client: HttpsClient,
    headers: HeaderMap,
    /// Whether an answer must be an object.
    object: bool,
}

impl Service {
    pub(super) fn open(
        decl: &LookupDecl,
        config: &HttpLookup,
        runtime: &Handle,
    ) -> Result<Self, OpenError> {
        let asking = Asking {
            client: client(&decl.name, config)?,
            headers: headers(config),
            object: matches!(decl.yields.base, Type::Record(_) | Type::Map(_)),
        };
        let exchange = tower::service_fn(move |address| ask(asking.clone(), address));
        let exchange = Timeout::new(exchange, config.timeout);
        Ok(Self {
            name: Arc::clone(&decl.name),
            url: config.url.clone(),
            exchange: BoxCloneSyncService::new(ConcurrencyLimit::new(exchange, config.concurrency)),
            timeout: config.timeout,
            runtime: runtime.clone(),
            pause: Mutex::default(),
        })
    }

    fn address(&self, key: &str) -> Option<Uri> {
        // Servers resolve dot segments, also encoded ones: such a key would ask for another place.
        if key.is_empty() || key.len() > KEY_BYTES_MAX || matches!(key, "." | "..") {
            return None;
        }
        let parts: Vec<String> =
            key.split('\u{1f}').map(|part| utf8_percent_encode(part, &KEPT).to_string()).collect();
        if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return None;
        }
        self.url.replace("{key}", &parts.join("/")).parse().ok()
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_all(&self, keys: &[&str]) -> Vec<Answer> {
        let mut answers = vec![Answer::Failed; keys.len()];
        let mut asked = JoinSet::new();
        for (at, key) in keys.iter().enumerate() {
            match self.address(key) {
                Some(address) => {
                    let exchange = self.exchange.clone();
                    asked.spawn(async move { (at, exchange.oneshot(address).await) });
                }
                None => answers[at] = Answer::Miss,
            }
        }
        let mut first_error = None;
        let mut any = asked.is_empty();
        let collect = async {
            while let Some(joined) = asked.join_next().await {
                // A request that ran into its own timeout is as good as one given up.
                any |= !matches!(&joined, Ok((_, Err(error))) if error.is::<Elapsed>());
                match joined {
                    Ok((at, Ok(answer))) => answers[at] = answer,
                    Ok((_, Err(error))) => first_error = first_error.take().or(Some(error)),
                    Err(error) => first_error = first_error.take().or(Some(error.into())),
                }
            }
        };
        // What is still under way is given up with `asked`: its keys have failed.
        let late = time::timeout(self.timeout, collect).await.is_err();
        if any {
            self.pause().answered();
        } else {
            self.pause().waited_in_vain(Instant::now());
        }
        if late || first_error.is_some() {
            let failed = answers.iter().filter(|answer| **answer == Answer::Failed).count();
            let error = first_error.map(|error| error.to_string());
            tracing::debug!(lookup = &*self.name, failed, late, error, "keys without an answer");
        }
        answers
    }
}

impl Lookup for Service {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        if !self.pause().is_over(Instant::now()) {
            return vec![Answer::Failed; keys.len()];
        }
        self.runtime.block_on(self.ask_all(keys))
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        Ok(Reloaded::Unchanged)
    }

    fn holds(&self) -> Holding {
        Holding::default()
    }
}

/// One request. Only an answer that says so is a miss; everything else that is no row has failed.
async fn ask(asking: Asking, address: Uri) -> Result<Answer, BoxError> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = address;
    *request.headers_mut() = asking.headers;
    let response = asking.client.request(request).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::NO_CONTENT => {
            return Ok(Answer::Miss);
        }
        status => return Err(format!("the service answers {status}").into()),
    }
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await?.to_bytes();
    let raw: &RawValue = serde_json::from_slice(&body)?;
    let text = raw.get();
    if text == "null" {
        return Ok(Answer::Miss);
    }
    if asking.object && !text.starts_with('{') {
        return Err("the service answers no JSON object".into());
    }
    Ok(Answer::Found(text.into()))
}

fn client(name: &str, config: &HttpLookup) -> Result<HttpsClient, WorldError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let key = format!("[lookup.{name}] ca");
    // Trust is only needed, and its lack only an error, where the address asks for it.
    let trust = if config.url.starts_with("https:") {
        tls::client(config.ca.as_deref(), &key)?
    } else {
        tls::nobody()
    };
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(trust).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(config.concurrency)
        .build(connector.wrap_connector(tcp)))
}

fn headers(config: &HttpLookup) -> HeaderMap {
    let checked = "the configuration refuses headers that HTTP does not allow";
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text).expect(checked);
        value.set_sensitive(true);
        value
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("logmon-engine"));
    match &config.authorization {
        Some(Authorization::Bearer(token)) => {
            headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", token.expose())));
        }
        Some(Authorization::Basic { user, password }) => {
            let login = STANDARD.encode(format!("{user}:{}", password.expose()));
            headers.insert(AUTHORIZATION, secret(&format!("Basic {login}")));
        }
        None => {}
    }
    for (name, value) in &config.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect(checked);
        headers.insert(name, secret(value.expose()));
    }
    headers
}
