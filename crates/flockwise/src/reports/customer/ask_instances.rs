//! Asks one instance after another over HTTP, until one has the customer.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::Agent;

use crate::exit::Failed;

/// Time limit of one request. An instance responds within two seconds, if only with an error.
const TIMEOUT: Duration = Duration::from_secs(5);

/// In a path segment, all but the unreserved characters of RFC 3986 are encoded.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The body of an error response.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    /// Present if the server does not know the path.
    available: Option<Vec<String>>,
}

/// The outcome of one request.
enum Reply {
    Known(String),
    /// The instance owns the customer's task, and there is no such customer.
    Unknown,
    /// Another instance may have the customer. Holds the reason why this one has no answer.
    NotHere(String),
}

/// The JSON answer about a customer, from the first instance that has it.
pub(super) fn ask(addresses: &[String], customer_id: &str) -> Result<String, Failed> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        // Instances run on this machine or in the same network, so the environment's proxy does not apply.
        .proxy(None);
    let agent = Agent::new_with_config(config.build());
    let mut reasons = Vec::new();
    for address in addresses {
        let reply = ask_one(&agent, address, customer_id);
        match reply.unwrap_or_else(|error| Reply::NotHere(error.to_string())) {
            Reply::Known(text) => return Ok(text),
            Reply::Unknown => return Err(unknown(address, customer_id)),
            Reply::NotHere(reason) => reasons.push(format!("  {address}: {reason}")),
        }
    }
    Err(Failed::runtime(format!(
        "no instance could answer for customer {customer_id}:\n{}\n\
         check that an instance is running, and give the address of each one (its `[http] listen`) with --ask",
        reasons.join("\n")
    )))
}

fn ask_one(agent: &Agent, address: &str, customer_id: &str) -> Result<Reply, ureq::Error> {
    let mut answer = agent.get(url(address, customer_id)).call()?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    if status == 200 {
        return Ok(Reply::Known(text));
    }
    Ok(match serde_json::from_str::<ErrorBody>(&text) {
        Ok(refusal) if status == 404 && refusal.available.is_none() => Reply::Unknown,
        Ok(refusal) => Reply::NotHere(refusal.error),
        Err(_) => Reply::NotHere(format!(
            "found an HTTP response with status {status} that is not Flockwise's; check the address"
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
        "{scheme}{address}/api/v1/customers/{}",
        utf8_percent_encode(customer_id, PATH_SEGMENT)
    )
}

/// The error for a customer that the owner of its task does not know.
fn unknown(address: &str, customer_id: &str) -> Failed {
    Failed::runtime(format!(
        "there is no customer {customer_id}: {address} owns the task of this id and has no such customer. Give the \
         id exactly as in the events; a customer without an event for `time.forget_after` is removed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_part_of_a_path() {
        assert_eq!(
            url("127.0.0.1:8080", "a/b é?#%-._~"),
            "http://127.0.0.1:8080/api/v1/customers/a%2Fb%20%C3%A9%3F%23%25-._~"
        );
        assert_eq!(url("https://x/", "1"), "https://x/api/v1/customers/1");
    }
}
