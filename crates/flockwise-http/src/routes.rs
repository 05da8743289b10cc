//! What is served under which path.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::{Value, json};

use crate::readiness::{Readiness, Silence, Status};

/// Every path there is, as the answer to a wrong one lists them.
const PATHS: [&str; 3] = ["/metrics", "/livez", "/readyz"];

#[derive(Clone)]
struct Sources {
    registry: Registry,
    readiness: Arc<Readiness>,
}

pub(crate) fn router(registry: Registry, readiness: Arc<Readiness>) -> Router {
    let sources = Sources {
        registry,
        readiness,
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(not_found)
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let families = sources.registry.gather();
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            let body = json!({ "error": format!("the metrics cannot be written: {error}") });
            answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}

async fn livez(State(sources): State<Sources>) -> Response {
    let status = sources.readiness.status();
    let is_alive = status.is_alive();
    let body = json!({
        "alive": is_alive,
        "shards": shards(&status),
        "silent": silent(&status),
    });
    answer(ok_if(is_alive), &body)
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let status = sources.readiness.status();
    let missing = status.missing();
    let is_ready = missing.is_empty();
    let body = json!({
        "ready": is_ready,
        "missing": missing,
        "shards": shards(&status),
        "tasks": { "restoring": status.tasks_restoring, "running": status.tasks_running },
    });
    answer(ok_if(is_ready), &body)
}

async fn not_found(uri: Uri) -> Response {
    let body = json!({
        "error": format!("there is nothing at {}", uri.path()),
        "available": PATHS,
    });
    answer(StatusCode::NOT_FOUND, &body)
}

fn shards(status: &Status) -> Value {
    json!({
        "expected": status.shards_expected,
        "alive": status.shards_alive,
        "ended": status.shards_ended,
        "assigned": status.shards_assigned,
    })
}

fn silent(status: &Status) -> Vec<Value> {
    let told =
        |silence: &Silence| json!({ "shard": silence.shard, "seconds": silence.lasted.as_secs() });
    status.silent.iter().map(told).collect()
}

fn ok_if(is_good: bool) -> StatusCode {
    if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, format!("{body}\n")).into_response()
}
