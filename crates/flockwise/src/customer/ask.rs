//! The instances, asked over HTTP until one knows.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::Agent;

use crate::exit::Failed;

/// An instance answers within two seconds, if only that it cannot.
const PATIENCE: Duration = Duration::from_secs(5);

/// In a path segment, all but the unreserved characters of RFC 3986 are encoded.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What an instance says where it does not tell of a customer.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    /// There where the path was none.
    available: Option<Vec<String>>,
}

/// What comes of asking one.
enum Reply {
    Known(String),
    /// There is no such customer anywhere.
    Unknown,
    /// Somebody else may know, and why this one does not.
    NotHere(String),
}

/// Tells of a customer, as JSON.
pub(super) fn ask(addresses: &[String], customer_id: &str) -> Result<String, Failed> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        // Instances are in one's own network, if not on this machine.
        .proxy(None);
    let agent = Agent::new_with_config(config.build());
    let mut tried = Vec::new();
    for address in addresses {
        let reply = ask_one(&agent, address, customer_id);
        match reply.unwrap_or_else(|error| Reply::NotHere(error.to_string())) {
            Reply::Known(text) => return Ok(text),
            Reply::Unknown => return Err(unknown(address, customer_id)),
            Reply::NotHere(why) => tried.push(format!("  {address}: {why}")),
        }
    }
    Err(Failed::running(format!(
        "nobody tells of customer {customer_id}:\n{}\n\
         is an instance running? name each with --ask, by the address of its `[http] listen`",
        tried.join("\n")
    )))
}

fn ask_one(agent: &Agent, address: &str, customer_id: &str) -> Result<Reply, ureq::Error> {
    let mut answer = agent.get(url(address, customer_id)).call()?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    if status == 200 {
        return Ok(Reply::Known(text));
    }
    Ok(match serde_json::from_str::<Refusal>(&text) {
        Ok(refusal) if status == 404 && refusal.available.is_none() => Reply::Unknown,
        Ok(refusal) => Reply::NotHere(refusal.error),
        Err(_) => Reply::NotHere(format!(
            "answers with status {status}, and not as flockwise does"
        )),
    })
}

fn url(address: &str, customer_id: &str) -> String {
    let scheme = if address.contains("://") {
        ""
    } else {
        "http://"
    };
    let address = address.trim_end_matches('/');
    format!(
        "{scheme}{address}/customers/{}",
        utf8_percent_encode(customer_id, PATH_SEGMENT)
    )
}

/// Whoever has the task knows all customers of it.
fn unknown(address: &str, customer_id: &str) -> Failed {
    Failed::running(format!(
        "there is no customer {customer_id}: {address} has the task that an id like this belongs to. Ids are \
         taken as they are in the events; whoever has had none for long is let go of (`time.forget_after`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_part_of_a_path() {
        assert_eq!(
            url("127.0.0.1:8080", "a/b é?#%-._~"),
            "http://127.0.0.1:8080/customers/a%2Fb%20%C3%A9%3F%23%25-._~"
        );
        assert_eq!(url("https://x/", "1"), "https://x/customers/1");
    }
}
