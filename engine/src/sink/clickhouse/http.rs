//! Requests to a ClickHouse server over HTTP/1.1 connections of our own.
//!
//! Invariant: every wait and every answer's size has a bound.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Uri,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_LENGTH, HOST, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::{
    errors::{Class, Classes, SinkError},
    reply::{Asked, End, Reply, Verdict, judge},
};
use crate::tls;

/// A loopback connection takes well under a millisecond, one around the world under a second.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Schema queries read some rows of system tables.
const QUERY_MAX: Duration = Duration::from_secs(30);
/// Answers to inserts are empty; schema answers stay far below this.
const ANSWER_MAX: usize = 4 << 20;
/// Of an error's text one line is told; what goes on behind this is not read.
const ERROR_MAX: usize = 64 << 10;
/// The longest wait for an insert where nothing else is said.
const INSERT_MAX: Duration = Duration::from_mins(1);
/// A server that is there answers a ping at once, unless all its threads are busy.
const PING_MAX: Duration = Duration::from_secs(10);
/// ClickHouse closes idle connections after 10 s by default; ours are gone before that.
const IDLE_MAX: Duration = Duration::from_secs(8);
/// As many connections wait for reuse as inserts usually run at once.
const IDLE_CONNECTIONS: usize = 4;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a server is and how to log in.
#[derive(Clone)]
pub struct Endpoint {
    /// The sink's name, for messages.
    pub sink: String,
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The database of tables named without one.
    pub database: String,
    /// The user.
    pub user: String,
    /// The password; may be empty.
    pub password: String,
    /// PEM with authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The longest wait for an insert.
    pub timeout: Duration,
    /// What the sink decides by itself about errors.
    pub classes: Classes,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            sink: String::new(),
            url: String::new(),
            database: "default".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            ca: None,
            timeout: INSERT_MAX,
            classes: Classes::default(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("sink", &self.sink)
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Connector {
    Plain(HttpConnector),
    Secure(HttpsConnector<HttpConnector>),
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// One connection in hand: what is sent on it reaches the server process that answered on it, or nobody.
pub struct Hand {
    sender: SendRequest<Full<Bytes>>,
}

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hand").field("ready", &self.sender.is_ready()).finish()
    }
}

/// Talks to one server. Must be used inside a tokio runtime, which drives the connections.
pub struct Client {
    endpoint: Endpoint,
    uri: Uri,
    host: HeaderValue,
    user: HeaderValue,
    password: HeaderValue,
    connector: Connector,
    idle: Mutex<Vec<Idle>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for that server; connects when first used.
    pub fn new(endpoint: Endpoint) -> Result<Self, SinkError> {
        let refuse = |setting: &str, text: String| {
            SinkError::new(Class::Stop, &endpoint.sink, setting, text)
        };
        let uri: Uri = endpoint
            .url
            .parse()
            .map_err(|error| refuse("url", format!("{:?} is no URL: {error}", endpoint.url)))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refuse(
                "url",
                format!("{:?} must look like http://host:8123", endpoint.url),
            ));
        };
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| refuse("url", "its host cannot stand in a request".to_owned()))?;
        let header = |setting: &str, text: &str| {
            let value = HeaderValue::from_bytes(text.as_bytes());
            value.map_err(|_| refuse(setting, "it holds control characters".to_owned()))
        };
        let (user, mut password) =
            (header("user", &endpoint.user)?, header("password", &endpoint.password)?);
        password.set_sensitive(true);
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_MAX));
        let connector = match scheme {
            "http" => Connector::Plain(http),
            "https" => {
                let key = format!("[sink.{}] ca", endpoint.sink);
                let trust = tls::client(endpoint.ca.as_deref(), &key).map_err(|error| {
                    SinkError { class: Class::Stop, code: None, sentence: error.to_string() }
                })?;
                let tls = HttpsConnectorBuilder::new().with_tls_config(trust);
                Connector::Secure(tls.https_only().enable_http1().wrap_connector(http))
            }
            other => return Err(refuse("url", format!("{other}:// is not http:// or https://"))),
        };
        Ok(Self { endpoint, uri, host, user, password, connector, idle: Mutex::default() })
    }

    /// Where it goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs a statement and returns what it answers. `parameters` are settings and `param_…` of the statement.
    pub async fn query(&self, sql: &str, parameters: &[(&str, &str)]) -> Result<String, SinkError> {
        let body = Bytes::copy_from_slice(sql.as_bytes());
        let answer = self.send(Asked::Query, parameters, body, QUERY_MAX).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Whether the server answers at all.
    pub async fn ping(&self) -> Result<(), SinkError> {
        self.query("SELECT 1", &[]).await.map(drop)
    }

    /// Sends one request and reads its answer; `parameters` go into the address.
    pub(super) async fn send(
        &self,
        asked: Asked,
        parameters: &[(&str, &str)],
        body: Bytes,
        wait: Duration,
    ) -> Result<Bytes, SinkError> {
        let path = self.path(parameters);
        match tokio::time::timeout(wait, self.exchange(asked, &path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.silent(wait)),
        }
    }

    fn path(&self, parameters: &[(&str, &str)]) -> String {
        let mut path = String::from("/?");
        for (name, value) in parameters {
            path.push_str(name);
            path.push('=');
            path.extend(utf8_percent_encode(value, UNRESERVED));
            path.push('&');
        }
        path.push_str("database=");
        path.extend(utf8_percent_encode(&self.endpoint.database, UNRESERVED));
        path
    }

    fn silent(&self, wait: Duration) -> SinkError {
        let text = format!("{} gave no answer within {} s", self.endpoint.url, wait.as_secs());
        SinkError::new(Class::Resolve, &self.endpoint.sink, "url", text)
    }

    /// A connection on which the server answered just now.
    pub async fn hand(&self) -> Result<Hand, SinkError> {
        if let Some(sender) = self.waiting()
            && let Ok(hand) = self.answered(Hand { sender }).await
        {
            return Ok(hand);
        }
        let sender = tokio::time::timeout(CONNECT_MAX, self.connect())
            .await
            .map_err(|_| self.silent(CONNECT_MAX))??;
        self.answered(Hand { sender }).await
    }

    async fn answered(&self, hand: Hand) -> Result<Hand, SinkError> {
        let (answer, hand) =
            self.send_on(hand, Asked::Query, &[], "SELECT 1".into(), PING_MAX).await;
        answer?;
        let url = &self.endpoint.url;
        hand.ok_or_else(|| {
            let text = format!("{url} closes every connection after its first answer");
            SinkError::new(Class::Retry, &self.endpoint.sink, "url", text)
        })
    }

    /// Sends a request on a connection in hand and on no other; the connection comes back where it can be used again.
    pub(super) async fn send_on(
        &self,
        hand: Hand,
        asked: Asked,
        parameters: &[(&str, &str)],
        body: Bytes,
        wait: Duration,
    ) -> (Result<Bytes, SinkError>, Option<Hand>) {
        let Hand { mut sender } = hand;
        let path = self.path(parameters);
        let exchange = async {
            let answer = sender.send_request(self.request(&path, body)).await.map_err(|error| {
                SinkError::lost(&self.endpoint.sink, &self.endpoint.url, &error)
            })?;
            self.answer(asked, answer).await
        };
        match tokio::time::timeout(wait, exchange).await {
            Ok(answer) => {
                let alive = sender.ready().await.is_ok();
                (answer, alive.then_some(Hand { sender }))
            }
            Err(_) => (Err(self.silent(wait)), None),
        }
    }

    /// Keeps a connection for whoever comes next.
    pub fn put_back(&self, hand: Hand) {
        self.keep(hand.sender);
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    async fn exchange(&self, asked: Asked, path: &str, body: Bytes) -> Result<Bytes, SinkError> {
        let lost =
            |error: hyper::Error| SinkError::lost(&self.endpoint.sink, &self.endpoint.url, &error);
        // A connection that waited may have been closed by the server in the same moment. That says nothing about the server's
        // health, so such a request goes out once more over a new connection before anybody backs off.
        if let Some(mut sender) = self.waiting()
            && let Ok(answer) = sender.send_request(self.request(path, body.clone())).await
        {
            return self.read(asked, sender, answer).await;
        }
        let mut sender = self.connect().await?;
        let answer = sender.send_request(self.request(path, body)).await.map_err(lost)?;
        self.read(asked, sender, answer).await
    }

    fn waiting(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.since.elapsed() < IDLE_MAX && connection.sender.is_ready() {
                return Some(connection.sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, SinkError> {
        let refused = |error: &(dyn std::error::Error + 'static)| {
            SinkError::connect(&self.endpoint.sink, &self.endpoint.url, error)
        };
        let stream: Stream = match self.connector.clone() {
            Connector::Plain(http) => {
                let stream =
                    http.oneshot(self.uri.clone()).await.map_err(|error| refused(&error))?;
                MaybeHttpsStream::Http(stream)
            }
            Connector::Secure(https) => {
                let stream = https.oneshot(self.uri.clone()).await;
                stream.map_err(|error| refused(&*error))?
            }
        };
        let (sender, connection) = handshake(stream).await.map_err(|error| refused(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        Request::post(path)
            .header(HOST, &self.host)
            .header(CONTENT_LENGTH, body.len())
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .body(Full::new(body))
            .expect("percent-encoded paths and checked headers make a request")
    }

    async fn read(
        &self,
        asked: Asked,
        sender: SendRequest<Full<Bytes>>,
        answer: hyper::Response<Incoming>,
    ) -> Result<Bytes, SinkError> {
        let text = self.answer(asked, answer).await?;
        self.keep(sender);
        Ok(text)
    }

    /// Reads an answer, as far as is of use, and judges it.
    async fn answer(
        &self,
        asked: Asked,
        answer: hyper::Response<Incoming>,
    ) -> Result<Bytes, SinkError> {
        let sink = &self.endpoint.sink;
        let (head, mut body) = answer.into_parts();
        let header = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
        let (code, tag) =
            (header("X-ClickHouse-Exception-Code"), header("X-ClickHouse-Exception-Tag"));
        let is_error = !head.status.is_success() || code.is_some_and(|code| code != b"0");
        let most = if is_error { ERROR_MAX } else { ANSWER_MAX };
        let mut text = BytesMut::new();
        let mut end = End::Whole;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                end = End::Broken;
                break;
            };
            let Some(data) = frame.data_ref() else { continue };
            if text.len() + data.len() > most {
                text.extend_from_slice(&data[..most - text.len()]);
                end = End::Endless;
                break;
            }
            text.extend_from_slice(data);
        }
        let status = head.status.as_u16();
        let reply = Reply { status, code, tag, body: &text, end };
        match judge(&reply, asked) {
            Verdict::Good => {}
            Verdict::Error { code, words } => {
                return Err(SinkError::server(sink, code, &words, &self.endpoint.classes));
            }
            Verdict::Status(words) => return Err(SinkError::status(sink, status, &words)),
            Verdict::Unsure(why) => {
                let url = &self.endpoint.url;
                return Err(SinkError::new(Class::Resolve, sink, "url", format!("{url}: {why}")));
            }
        }
        Ok(text.freeze())
    }
}
