//! Commands to tasks: their bytes, and what is refused.
#![allow(clippy::unwrap_used)]

use flockwise_codec::forward::{ForwardError, decode_forward};
use flockwise_codec::task_command::{
    TaskCommandError, decode_task_command, encode_task_command, holds_command,
};
use flockwise_codec::watermarks::holds_watermarks;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_core::task::TaskCommand;
use proptest::prelude::*;

const ERASE: &str = r#"{"command":"erase","customer_id":"h0001","at":"2026-01-02T03:04:05.678Z"}"#;

fn erase(customer_id: &str) -> TaskCommand {
    TaskCommand::Erase {
        customer_id: customer_id.to_owned(),
        at_ms: 1_767_323_045_678,
    }
}

#[test]
fn its_bytes_stay_as_they_are() {
    assert_eq!(encode_task_command(&erase("h0001")), ERASE.as_bytes());
    assert_eq!(decode_task_command(ERASE.as_bytes()), Ok(erase("h0001")));
}

#[test]
fn an_earlier_version_takes_it_for_an_event_of_a_later_one() {
    assert!(holds_command(ERASE.as_bytes()) && !holds_watermarks(ERASE.as_bytes()));
    let taken = decode_forward(&Plan::compile(&[]), ERASE.as_bytes(), &mut Event::default());
    assert_eq!(taken, Err(ForwardError::Version { found: b'{' }));
}

#[test]
fn a_command_of_a_later_version_is_named_and_damage_is_told() {
    let refused = |text: &str| decode_task_command(text.as_bytes()).unwrap_err();
    assert_eq!(
        refused(r#"{"command":"merge","into":"h0002"}"#),
        TaskCommandError::Unknown("merge".to_owned())
    );
    for (text, expected) in [
        ("{", "EOF"),
        ("{}", "missing field `command`"),
        (r#"{"command":"erase"}"#, "missing field `customer_id`"),
        (&ERASE.replace("2026-01-02", "yesterday"), "is not RFC 3339"),
        (
            &ERASE.replace(r#","at""#, r#","by":"ann","at""#),
            "unknown field `by`",
        ),
    ] {
        let TaskCommandError::Malformed(reason) = refused(text) else {
            panic!("{text} is malformed");
        };
        assert!(reason.contains(expected), "{text}: {reason}");
    }
}

proptest! {
    #[test]
    fn every_command_comes_back(customer_id: String, at_ms in 0..4_000_000_000_000_i64) {
        let command = TaskCommand::Erase { customer_id, at_ms };
        let bytes = encode_task_command(&command);
        prop_assert!(holds_command(&bytes));
        prop_assert_eq!(decode_task_command(&bytes), Ok(command));
    }

    #[test]
    fn foreign_bytes_are_refused(bytes: Vec<u8>, cut in 0..ERASE.len()) {
        let _ = decode_task_command(&bytes);
        prop_assert!(decode_task_command(&ERASE.as_bytes()[..cut]).is_err());
    }
}
