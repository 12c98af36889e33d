//! Metrics, health and status over HTTP.
//!
//! Invariant: nothing here changes the engine, and no path of a request reaches the file system.

mod status;

use std::{future::IntoFuture, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::error::WorldError;
pub use status::{BundleState, Part, Phase, ReloadReport, RuleState, Status, StatusPage, Trouble};

/// How long open requests may take once the engine stops; every page is made in milliseconds.
const GRACE: Duration = Duration::from_secs(2);
/// Pages made at once: a scraper, a probe and some people. Further ones wait.
const CONCURRENCY: usize = 16;

/// What `/` says.
const PAGES: &str = "logmon-engine\n\n\
    /metrics     Prometheus metrics\n\
    /livez       the process runs\n\
    /readyz      events flow, or why not\n\
    /api/status  bundle, sources, sinks, lookups, memory, fates, last reload\n\
    /api/rules   every rule with its counters\n";

/// Opens the listener; port 0 picks a free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, WorldError> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence = format!("[http] listen: {address} cannot be opened: {error}");
        WorldError::because(sentence, error)
    })
}

/// Answers until stopped, and then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    status: Arc<Status>,
    stop: CancellationToken,
) -> io::Result<()> {
    let server = axum::serve(listener, router(status))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = too_late => Ok(()),
    }
}

/// Every page.
pub fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/", get(async || PAGES))
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .route("/api/status", get(page))
        .route("/api/rules", get(rules))
        .layer(GlobalConcurrencyLimitLayer::new(CONCURRENCY))
        // Outside the limit: a probe must not wait for pages.
        .route("/livez", get(async || "ok\n"))
        .fallback(async || (StatusCode::NOT_FOUND, PAGES))
        .with_state(status)
}

async fn metrics(State(status): State<Arc<Status>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics().text())
}

async fn ready(State(status): State<Arc<Status>>) -> Response {
    let reasons = status.reasons();
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(serde_json::json!({ "ready": ready, "reasons": reasons }))).into_response()
}

async fn page(State(status): State<Arc<Status>>) -> Json<StatusPage> {
    Json(status.page())
}

async fn rules(State(status): State<Arc<Status>>) -> Json<Vec<RuleState>> {
    Json(status.rules())
}
