//! The server as a client over TCP meets it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, Registry};

use crate::{HttpServer, Readiness, Silence, start};

fn serve(readiness: &Arc<Readiness>) -> HttpServer {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    start(any, Registry::new(), Arc::clone(readiness)).unwrap()
}

/// Status, headers and body.
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
    let server = start(any, registry, Readiness::new(1)).unwrap();

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
fn ready_once_every_shard_is_assigned_and_every_task_restored() {
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
    assert_eq!(missing(), "0 of 2 shards run");
    let mut first = readiness.shard();
    assert_eq!(
        missing(),
        "1 of 2 shards run; 0 of 1 shards have been assigned their tasks"
    );
    let mut second = readiness.shard();
    first.assigned(2, 1);
    assert_eq!(
        missing(),
        "1 of 2 shards have been assigned their tasks; 2 of 3 tasks are being restored"
    );
    second.assigned(0, 0);
    first.assigned(0, 3);
    assert_eq!(missing(), "");
    first.revoked();
    assert_eq!(missing(), "1 of 2 shards have been assigned their tasks");
    first.assigned(0, 2);
    assert_eq!(missing(), "");
    readiness.stop();
    assert_eq!(missing(), "the process is stopping");
}

#[test]
fn alive_until_a_shard_has_ended_and_again_once_it_is_back() {
    let readiness = Readiness::new(2);
    let server = serve(&readiness);
    assert_eq!(get(&server, "/livez").0, 200);
    let shards = [readiness.shard(), readiness.shard()];
    assert_eq!(get(&server, "/livez").0, 200);
    let [first, _second] = shards;
    drop(first);
    let (status, body) = get(&server, "/livez");
    assert_eq!((status, &body["shards"]["ended"]), (503, &1.into()));
    let _again = readiness.shard();
    assert_eq!(get(&server, "/livez").0, 200);
}

#[test]
fn a_shard_that_hangs_is_named_until_it_gets_on() {
    let readiness = Readiness::new(2);
    let server = serve(&readiness);
    let _shards = [readiness.shard(), readiness.shard()];
    readiness.silent(&[Silence {
        shard: 1,
        lasted: Duration::from_millis(63_500),
    }]);
    let (status, body) = get(&server, "/livez");
    let expected = serde_json::json!([{ "shard": 1, "seconds": 63 }]);
    assert_eq!((status, &body["silent"]), (503, &expected));
    readiness.silent(&[]);
    let (status, body) = get(&server, "/livez");
    assert_eq!((status, &body["alive"]), (200, &true.into()));
}

#[test]
fn a_wrong_path_says_what_there_is() {
    let server = serve(&Readiness::new(1));
    let (status, body) = get(&server, "/a%22b?c=d");
    assert_eq!(status, 404);
    assert_eq!(body["error"], "there is nothing at /a%22b");
    assert_eq!(
        body["available"],
        serde_json::json!(["/metrics", "/livez", "/readyz"])
    );
}

#[test]
fn a_port_in_use_says_so_and_what_to_do() {
    let server = serve(&Readiness::new(1));
    let taken = server.address();
    let error = start(taken, Registry::new(), Readiness::new(1)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {taken}: ")),
        "{text}"
    );
    assert!(text.contains("another process has the port"), "{text}");
    assert!(text.contains("`listen` under [http]"), "{text}");
}

#[test]
fn a_stopped_server_lets_go_of_its_port() {
    let readiness = Readiness::new(1);
    let server = serve(&readiness);
    let address = server.address();
    // A connection that stays open without a request does not hold the stop up.
    let _idle = TcpStream::connect(address).unwrap();
    assert_eq!(get(&server, "/livez").0, 200);
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    drop(start(address, Registry::new(), readiness).unwrap());
}
