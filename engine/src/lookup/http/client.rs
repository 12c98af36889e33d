//! Requests with small answers: one client a lookup, its login and its certificates.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::super::remote::Trouble;
use crate::{
    config::{Authorization, Secret, Trust},
    error::WorldError,
    tls,
};

/// Idle connections are given up before usual servers do, so a request rarely meets a closed one.
const IDLE: Duration = Duration::from_secs(15);

/// A client and what each request says.
#[derive(Debug)]
pub(in crate::lookup) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
}

impl HttpClient {
    /// `key` begins the names of settings in sentences, `[lookup.users]`.
    pub(in crate::lookup) fn open(
        key: &str,
        url: &str,
        trust: &Trust,
        authorization: Option<&Authorization>,
        connections: usize,
    ) -> Result<Self, WorldError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Trust is only needed, and its lack only an error, where the address asks for it.
        let trust = if url.starts_with("https:") {
            tls::known(trust.ca.as_deref(), trust.identity.as_ref(), &format!("{key} ca"))?
        } else {
            tls::nobody()
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(trust).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(connections)
            .build(connector.wrap_connector(tcp));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("logmon-engine"));
        let mut client = Self { client, headers };
        match authorization {
            Some(Authorization::Bearer(token)) => {
                client.header(AUTHORIZATION, &format!("Bearer {}", token.expose()));
            }
            Some(Authorization::Basic { user, password }) => {
                let login = STANDARD.encode(format!("{user}:{}", password.expose()));
                client.header(AUTHORIZATION, &format!("Basic {login}"));
            }
            None => {}
        }
        Ok(client)
    }

    /// Bodies are JSON.
    pub(in crate::lookup) fn json(mut self) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Each request says this too.
    pub(in crate::lookup) fn headers<'a>(
        mut self,
        headers: impl IntoIterator<Item = (&'a String, &'a Secret)>,
    ) -> Self {
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .expect("the configuration refuses headers that HTTP does not allow");
            self.header(name, value.expose());
        }
        self
    }

    fn header(&mut self, name: HeaderName, value: &str) {
        let mut value = HeaderValue::from_str(value)
            .expect("the configuration refuses headers that HTTP does not allow");
        value.set_sensitive(true);
        self.headers.insert(name, value);
    }

    /// One request; an answer longer than the limit is refused unread.
    pub(in crate::lookup) async fn send(
        &self,
        method: Method,
        address: Uri,
        body: Bytes,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), Trouble> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = address;
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request).await.map_err(|error| {
            let why = chain(&error);
            if error.is_connect() { Trouble::Unreachable(why) } else { Trouble::Refused(why) }
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| Trouble::Refused(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }
}

/// An error with what caused it, in one line.
pub(in crate::lookup) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}
