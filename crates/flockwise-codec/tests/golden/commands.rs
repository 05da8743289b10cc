//! Commands to the trainer.

use flockwise_codec::trainer_input::{decode_trainer_input, encode_command};
use flockwise_core::trainer::{CommandAction, TrainerCommand, TrainerInput};

use crate::{plan, version};

fn command(what: CommandAction) -> TrainerCommand {
    TrainerCommand {
        what,
        who: "ann".to_owned(),
        why: "autumn".to_owned(),
        at_ms: 1_767_225_600_000,
    }
}

#[test]
fn an_approval() {
    let approval = command(CommandAction::Approve { version: 43 });
    let text = r#"{"command":"approve","version":43,"who":"ann","why":"autumn","at":"2026-01-01T00:00:00.000Z"}"#;
    assert_eq!(encode_command(&approval), text.as_bytes());
    assert_eq!(
        decode_trainer_input(text.as_bytes(), &plan()),
        Ok(TrainerInput::Command(approval))
    );
}

#[test]
fn models_that_are_to_be_used() {
    for what in [CommandAction::Import, CommandAction::Rollback] {
        let command = command(what(Box::new(version())));
        let bytes = encode_command(&command);
        assert_eq!(
            decode_trainer_input(&bytes, &plan()),
            Ok(TrainerInput::Command(command))
        );
    }
}

#[test]
fn what_is_no_lesson_says_why() {
    let told = |bytes: &[u8]| decode_trainer_input(bytes, &plan()).unwrap_err();
    assert_eq!(told(b""), "neither a mini-batch nor a command");
    assert_eq!(told(b"\x07"), "neither a mini-batch nor a command");
    let cases = [
        ("{", "not a command: EOF"),
        (
            r#"{"command":"approve","who":"a","why":"b","at":"2026-01-01T00:00:00Z"}"#,
            "a command needs",
        ),
        (
            r#"{"command":"import","version":3,"who":"a","why":"b","at":"2026-01-01T00:00:00Z"}"#,
            "a command needs",
        ),
        (
            r#"{"command":"approve","version":3,"who":"a","why":"b","at":"now"}"#,
            "command: at `now` is not RFC 3339",
        ),
        (
            r#"{"command":"dance","who":"a","why":"b","at":"now"}"#,
            "not a command: unknown variant",
        ),
    ];
    for (text, expected) in cases {
        let found = told(text.as_bytes());
        assert!(found.starts_with(expected), "{found}");
    }
}
