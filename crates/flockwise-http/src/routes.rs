//! The routes and their handlers.

use std::fmt::Display;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::{Value, json};

use crate::customers::{CustomerLookup, LookupCustomer};
use crate::documents::Documents;
use crate::readiness::{Readiness, SilentWorker, Status};

/// All paths, which the response to an unknown path lists.
const PATHS: [&str; 6] = [
    "/metrics",
    "/livez",
    "/readyz",
    "/api/v1/customers/{id}",
    "/api/v1/segments",
    "/api/v1/model/versions",
];

#[derive(Clone)]
struct RouteState {
    registry: Registry,
    readiness: Arc<Readiness>,
    answers: Answers,
}

/// What answers the requests about customers and segments.
#[derive(Clone)]
pub struct Answers {
    /// Looks up one customer.
    pub customer: LookupCustomer,
    /// The documents about all of them.
    pub documents: Arc<dyn Documents>,
}

pub(crate) fn router(registry: Registry, readiness: Arc<Readiness>, answers: Answers) -> Router {
    let sources = RouteState {
        registry,
        readiness,
        answers,
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/api/v1/customers/{id}", get(customer))
        .route("/api/v1/segments", get(segments))
        .route("/api/v1/model/versions", get(model_versions))
        .fallback(not_found)
        .with_state(sources)
}

async fn metrics(State(sources): State<RouteState>) -> Response {
    let families = sources.registry.gather();
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            let body = json!({ "error": format!("cannot encode the metrics: {error}") });
            answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}

async fn livez(State(sources): State<RouteState>) -> Response {
    let status = sources.readiness.status();
    let is_alive = status.is_alive();
    let body = json!({
        "alive": is_alive,
        "workers": workers(&status),
        "silent": silent(&status),
    });
    answer(ok_if(is_alive), &body)
}

async fn readyz(State(sources): State<RouteState>) -> Response {
    let status = sources.readiness.status();
    let missing = status.missing();
    let is_ready = missing.is_empty();
    let body = json!({
        "ready": is_ready,
        "missing": missing,
        "workers": workers(&status),
        "tasks": { "running": status.tasks_running },
        "warm_up": status.warm_up,
    });
    answer(ok_if(is_ready), &body)
}

async fn customer(
    State(sources): State<RouteState>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let error = |error: &str| json!({ "error": error });
    let id = match id {
        Ok(Path(id)) => id,
        Err(rejection) => return answer(StatusCode::BAD_REQUEST, &error(&rejection.body_text())),
    };
    // The lookup blocks until a worker answers, and must not block other requests.
    let told = tokio::task::spawn_blocking(move || (sources.answers.customer)(&id)).await;
    match told {
        Ok(CustomerLookup::Known(customer)) => answer(StatusCode::OK, &customer),
        Ok(CustomerLookup::Unknown(reason)) => answer(StatusCode::NOT_FOUND, &error(&reason)),
        Ok(CustomerLookup::Elsewhere { task, reason }) => {
            let body = json!({ "error": reason, "task": task });
            answer(StatusCode::MISDIRECTED_REQUEST, &body)
        }
        Ok(CustomerLookup::NotNow(reason)) => {
            answer(StatusCode::SERVICE_UNAVAILABLE, &error(&reason))
        }
        Err(failed) => {
            tracing::error!(%failed, "customer lookup failed");
            let body = error("the customer lookup failed: see the log");
            answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}

async fn segments(State(sources): State<RouteState>) -> Response {
    document(sources.answers.documents.segments())
}

async fn model_versions(State(sources): State<RouteState>) -> Response {
    document(sources.answers.documents.model_versions())
}

fn document(document: Result<String, String>) -> Response {
    match document {
        Ok(document) => answer(StatusCode::OK, &document),
        Err(reason) => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": reason })),
    }
}

async fn not_found(uri: Uri) -> Response {
    let body = json!({
        "error": format!("unknown path {}", uri.path()),
        "available": PATHS,
    });
    answer(StatusCode::NOT_FOUND, &body)
}

fn workers(status: &Status) -> Value {
    json!({
        "expected": status.shards_expected,
        "alive": status.shards_alive,
        "ended": status.shards_ended,
        "assigned": status.shards_assigned,
    })
}

fn silent(status: &Status) -> Vec<Value> {
    let told = |silence: &SilentWorker| json!({ "worker": silence.worker, "seconds": silence.lasted.as_secs() });
    status.silent.iter().map(told).collect()
}

fn ok_if(is_good: bool) -> StatusCode {
    if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn answer(status: StatusCode, body: &impl Display) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, format!("{body}\n")).into_response()
}
