//! `flockwise customer`: where somebody is, and why.

mod answer;
mod ask;
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
use crate::connection::load;
use crate::exit::{Failed, say};
use answer::Answer;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn customer(arguments: &CustomerArguments) -> Result<(), Failed> {
    let text = ask::ask(&addresses(arguments)?, &arguments.customer_id)?;
    if arguments.json {
        say!("{}", text.trim_end());
        return Ok(());
    }
    let answer: Answer = serde_json::from_str(&text).map_err(|error| {
        Failed::running(format!(
            "the answer is none that this version of flockwise knows: {error}; --json shows it as it is"
        ))
    })?;
    say!("{}", rendering::text(&answer));
    Ok(())
}

/// Whom to ask.
fn addresses(arguments: &CustomerArguments) -> Result<Vec<String>, Failed> {
    if !arguments.ask.is_empty() {
        return Ok(arguments.ask.clone());
    }
    let Some(config) = &arguments.config else {
        return Ok(vec!["http://127.0.0.1:8080".to_owned()]);
    };
    Ok(vec![format!(
        "http://{}",
        reached_at(load(config)?.http_listen)
    )])
}

/// Where a server is reached from this machine that listens there, maybe on all of its addresses.
fn reached_at(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

/// Tells of customers over HTTP by asking the workers.
pub(crate) fn tell(queries: &Queries, plan: &Arc<Plan>) -> LookupCustomer {
    let (queries, plan) = (queries.clone(), Arc::clone(plan));
    Arc::new(
        move |customer_id| match queries.ask(customer_id, PATIENCE) {
            Ok(known) => CustomerLookup::Known(Answer::of(&plan, &known).json()),
            Err(why @ QueryError::Unknown) => CustomerLookup::Unknown(why.to_string()),
            Err(why @ QueryError::Elsewhere { task }) => CustomerLookup::Elsewhere {
                task,
                reason: why.to_string(),
            },
            Err(why @ (QueryError::Unsettled | QueryError::Busy | QueryError::Late)) => {
                CustomerLookup::NotNow(why.to_string())
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machine() {
        let reached = |listen: &str| reached_at(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.1.2.3:8080"), "10.1.2.3:8080");
    }
}
