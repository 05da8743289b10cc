//! `flockwise customer`: a customer's segment, and why it is in it.

mod answer;
mod ask_instances;
#[cfg(test)]
mod example;
mod rendering;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flockwise_core::plan::Plan;
use flockwise_http::{CustomerLookup, LookupCustomer};
use flockwise_runtime::queries::{Queries, QueryError};

use crate::args::CustomerArguments;
use crate::exit::{Failed, outln};
use crate::kafka_settings::load;
use answer::CustomerDocument;

/// How long the HTTP server waits for a worker's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn customer(arguments: &CustomerArguments) -> Result<(), Failed> {
    let text = ask_instances::ask(&addresses(arguments)?, &arguments.customer_id)?;
    if arguments.json {
        outln!("{}", text.trim_end());
        return Ok(());
    }
    let answer: CustomerDocument = serde_json::from_str(&text).map_err(|error| {
        Failed::runtime(format!(
            "cannot parse the response: {error}; the instance may run another version of flockwise; --json prints the raw response"
        ))
    })?;
    outln!("{}", rendering::text(&answer));
    Ok(())
}

/// The addresses of the instances to ask.
fn addresses(arguments: &CustomerArguments) -> Result<Vec<String>, Failed> {
    if !arguments.ask.is_empty() {
        return Ok(arguments.ask.clone());
    }
    let Some(config) = &arguments.config else {
        return Ok(vec!["http://127.0.0.1:8080".to_owned()]);
    };
    Ok(vec![format!(
        "http://{}",
        local_address(load(config)?.http_listen)
    )])
}

/// The address at which this machine reaches a server that listens on `listen`, which may be a wildcard address.
fn local_address(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

/// The HTTP server's customer lookup, which the workers answer.
pub(crate) fn lookup(queries: &Queries, plan: &Arc<Plan>) -> LookupCustomer {
    let (queries, plan) = (queries.clone(), Arc::clone(plan));
    Arc::new(
        move |customer_id| match queries.ask(customer_id, ANSWER_TIMEOUT) {
            Ok(known) => CustomerLookup::Known(CustomerDocument::of(&plan, &known).json()),
            Err(error @ QueryError::Unknown) => CustomerLookup::Unknown(error.to_string()),
            Err(error @ QueryError::Elsewhere { task }) => CustomerLookup::Elsewhere {
                task: task.0,
                reason: error.to_string(),
            },
            Err(error @ (QueryError::Unsettled | QueryError::Busy | QueryError::Late)) => {
                CustomerLookup::NotNow(error.to_string())
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machine() {
        let reached = |listen: &str| local_address(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.1.2.3:8080"), "10.1.2.3:8080");
    }
}
