//! Tests of the server through a TCP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, Registry};

use crate::connections::{ConnectionLimits, LIMITS};
use crate::server::start_with;
use crate::{
    Answers, CustomerLookup, Documents, HttpServer, LookupCustomer, Readiness, SilentWorker,
    StalledWorker, start,
};

fn serve(readiness: &Arc<Readiness>) -> HttpServer {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    start(any, Registry::new(), Arc::clone(readiness), nobody()).unwrap()
}

/// Documents of a pipeline that has two versions and has not counted its customers yet.
struct Counting;

impl Documents for Counting {
    fn segments(&self) -> Result<String, String> {
        Err("no task has reported yet".to_owned())
    }

    fn model_versions(&self) -> Result<String, String> {
        Ok("[1,2]".to_owned())
    }
}

fn answers(customer: LookupCustomer) -> Answers {
    Answers {
        customer,
        documents: Arc::new(Counting),
    }
}

/// Answers that know no customer.
fn nobody() -> Answers {
    answers(Arc::new(|id| {
        CustomerLookup::Unknown(format!("there is no customer {id}"))
    }))
}

#[test]
fn documents_are_served_and_a_missing_one_says_why() {
    let server = serve(&Readiness::new(1));
    let (status, versions) = get(&server, "/api/v1/model/versions");
    assert_eq!((status, versions), (200, serde_json::json!([1, 2])));
    let (status, body) = get(&server, "/api/v1/segments");
    assert_eq!(
        (status, &body["error"]),
        (503, &"no task has reported yet".into())
    );
}

/// Sends a request and returns status, headers and body.
fn request(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let text = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn get(server: &HttpServer, path: &str) -> (u16, serde_json::Value) {
    let (status, head, body) = request(server.address(), "GET", path);
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn metrics_are_served_as_prometheus_reads_them() {
    let registry = Registry::new();
    let counter = IntCounter::new("flockwise_events_total", "Events.").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = start(any, registry, Readiness::new(1), nobody()).unwrap();

    let (status, head, body) = request(server.address(), "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"));
    let expected = "# HELP flockwise_events_total Events.\n\
                    # TYPE flockwise_events_total counter\n\
                    flockwise_events_total 3\n";
    assert_eq!(body, expected);
    assert_eq!(request(server.address(), "POST", "/metrics").0, 405);
}

#[test]
fn ready_once_every_shard_is_assigned_and_as_long_as_they_commit() {
    let readiness = Readiness::new(2);
    let server = serve(&readiness);
    let missing = || {
        let (status, body) = get(&server, "/readyz");
        let missing = body["missing"].as_array().unwrap();
        let missing: Vec<String> = missing
            .iter()
            .map(|m| m.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(status == 200, missing.is_empty());
        assert_eq!(body["ready"], missing.is_empty());
        missing.join("; ")
    };
    assert_eq!(missing(), "0 of 2 workers run");
    let mut first = readiness.worker();
    assert_eq!(
        missing(),
        "1 of 2 workers run; 0 of 1 workers have been assigned their tasks"
    );
    let mut second = readiness.worker();
    first.assigned(3);
    assert_eq!(missing(), "1 of 2 workers have been assigned their tasks");
    second.assigned(0);
    assert_eq!(missing(), "");
    first.revoked();
    assert_eq!(missing(), "1 of 2 workers have been assigned their tasks");
    first.assigned(2);
    assert_eq!(missing(), "");
    let stalled = |error: Option<&str>| StalledWorker {
        worker: 1,
        lasted: Duration::from_millis(61_500),
        error: error.map(str::to_owned),
    };
    readiness.stalled(vec![stalled(Some("no broker"))]);
    assert_eq!(
        missing(),
        "worker 1 has not been able to commit for 61 s: no broker"
    );
    readiness.stalled(Vec::new());
    readiness.stop();
    assert_eq!(missing(), "the process is stopping");
}

#[test]
fn alive_until_a_shard_has_ended_and_again_once_it_is_back() {
    let readiness = Readiness::new(2);
    let server = serve(&readiness);
    assert_eq!(get(&server, "/livez").0, 200);
    let workers = [readiness.worker(), readiness.worker()];
    assert_eq!(get(&server, "/livez").0, 200);
    let [first, _second] = workers;
    drop(first);
    let (status, body) = get(&server, "/livez");
    assert_eq!((status, &body["workers"]["ended"]), (503, &1.into()));
    let _again = readiness.worker();
    assert_eq!(get(&server, "/livez").0, 200);
}

#[test]
fn a_shard_that_hangs_is_named_until_it_gets_on() {
    let readiness = Readiness::new(2);
    let server = serve(&readiness);
    let _shards = [readiness.worker(), readiness.worker()];
    readiness.silent(&[SilentWorker {
        worker: 1,
        lasted: Duration::from_millis(63_500),
    }]);
    let (status, body) = get(&server, "/livez");
    let expected = serde_json::json!([{ "worker": 1, "seconds": 63 }]);
    assert_eq!((status, &body["silent"]), (503, &expected));
    readiness.silent(&[]);
    let (status, body) = get(&server, "/livez");
    assert_eq!((status, &body["alive"]), (200, &true.into()));
}

#[test]
fn a_customer_is_told_by_the_id_as_it_was_before_it_was_written_into_a_path() {
    let tell: LookupCustomer = Arc::new(|id| match id {
        "elsewhere" => CustomerLookup::Elsewhere {
            task: 7,
            reason: "ask the others".to_owned(),
        },
        "soon" => CustomerLookup::NotNow("ask again".to_owned()),
        "panic" => panic!("bad luck"),
        _ => CustomerLookup::Known(serde_json::json!({ "customer_id": id }).to_string()),
    });
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = start(any, Registry::new(), Readiness::new(1), answers(tell)).unwrap();
    for (path, id) in [
        ("h0001", "h0001"),
        ("a%2Fb%20%C3%A9%3F?x=y", "a/b é?"),
        ("%25", "%"),
        ("a+b", "a+b"),
    ] {
        let (status, body) = get(&server, &format!("/api/v1/customers/{path}"));
        assert_eq!((status, &body["customer_id"]), (200, &id.into()));
    }
    let body = |status: u16, path: &str| {
        let (found, body) = get(&server, path);
        assert_eq!(found, status, "{body}");
        body
    };
    let elsewhere = serde_json::json!({ "error": "ask the others", "task": 7 });
    assert_eq!(body(421, "/api/v1/customers/elsewhere"), elsewhere);
    assert_eq!(body(503, "/api/v1/customers/soon")["error"], "ask again");
    let failed = body(500, "/api/v1/customers/panic");
    assert!(failed["error"].as_str().unwrap().contains("the log"));
    assert_eq!(
        body(404, "/api/v1/customers/")["available"][3],
        "/api/v1/customers/{id}"
    );
    assert_eq!(
        request(server.address(), "POST", "/api/v1/customers/a").0,
        405
    );
    assert!(body(400, "/api/v1/customers/%FF")["error"].is_string());
}

#[test]
fn an_unknown_customer_is_not_found() {
    let (status, body) = get(&serve(&Readiness::new(1)), "/api/v1/customers/ann");
    let expected = serde_json::json!({ "error": "there is no customer ann" });
    assert_eq!((status, body), (404, expected));
}

#[test]
fn who_waits_for_a_customer_holds_nobody_else_up() {
    let (answer, awaited) = std::sync::mpsc::sync_channel(1);
    let awaited = std::sync::Mutex::new(awaited);
    let tell: LookupCustomer = Arc::new(move |_| awaited.lock().unwrap().recv().unwrap());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = start(any, Registry::new(), Readiness::new(1), answers(tell)).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| get(&server, "/api/v1/customers/ann").0);
        assert_eq!(get(&server, "/livez").0, 200);
        assert!(!asked.is_finished());
        let told = CustomerLookup::NotNow("in a moment".to_owned());
        answer.send(told).unwrap();
        assert_eq!(asked.join().unwrap(), 503);
    });
}

#[test]
fn a_wrong_path_says_what_there_is() {
    let server = serve(&Readiness::new(1));
    let (status, body) = get(&server, "/a%22b?c=d");
    assert_eq!(status, 404);
    assert_eq!(body["error"], "unknown path /a%22b");
    assert_eq!(
        body["available"],
        serde_json::json!([
            "/metrics",
            "/livez",
            "/readyz",
            "/api/v1/customers/{id}",
            "/api/v1/segments",
            "/api/v1/model/versions",
        ])
    );
}

#[test]
fn a_port_in_use_says_so_and_what_to_do() {
    let server = serve(&Readiness::new(1));
    let taken = server.address();
    let error = start(taken, Registry::new(), Readiness::new(1), nobody()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {taken}: ")),
        "{text}"
    );
    assert!(text.contains("another process uses the port"), "{text}");
    assert!(text.contains("`listen` under [http]"), "{text}");
}

#[test]
fn a_stopped_server_lets_go_of_its_port() {
    let readiness = Readiness::new(1);
    let server = serve(&readiness);
    let address = server.address();
    // An open connection without a request does not delay the stop.
    let _idle = TcpStream::connect(address).unwrap();
    assert_eq!(get(&server, "/livez").0, 200);
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    drop(start(address, Registry::new(), readiness, nobody()).unwrap());
}

fn serve_within(limits: ConnectionLimits) -> HttpServer {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    start_with(limits, any, Registry::new(), Readiness::new(1), nobody()).unwrap()
}

/// A client that sends this text and then nothing.
fn half_sent(server: &HttpServer, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

/// Whether the server closes the connection before the test's timeout.
fn is_ended(stream: &mut TcpStream) -> bool {
    let kind = stream
        .read_to_end(&mut Vec::new())
        .map_err(|error| error.kind());
    matches!(kind, Ok(_) | Err(std::io::ErrorKind::ConnectionReset))
}

#[test]
fn half_sent_requests_and_idle_connections_are_ended() {
    let header = Duration::from_millis(100);
    let server = serve_within(ConnectionLimits { header, ..LIMITS });
    for text in [
        "",
        "GET /livez HTTP/1.1\r\n",
        "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        assert!(is_ended(&mut half_sent(&server, text)), "{text:?}");
    }
}

#[test]
fn what_takes_too_long_is_ended_whatever_it_does() {
    let lifetime = Duration::from_millis(100);
    let server = serve_within(ConnectionLimits {
        lifetime,
        grace: lifetime,
        ..LIMITS
    });
    assert!(is_ended(&mut half_sent(&server, "GET /livez HTTP/1.1\r\n")));
}

/// 1,077 half-sent requests once blocked every probe.
#[test]
fn more_connections_than_there_may_be_hold_no_probe_up() {
    let server = serve_within(ConnectionLimits {
        connections: 8,
        ..LIMITS
    });
    let mut open: Vec<TcpStream> = (0..64)
        .map(|_| half_sent(&server, "GET /livez HTTP/1.1\r\n"))
        .collect();
    assert_eq!(get(&server, "/livez").0, 200);
    // The server closed the oldest connection.
    assert!(is_ended(&mut open[0]));
}
