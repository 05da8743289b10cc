//! `flockwise model import`, `approve` and `rollback`: orders to the trainer, and what comes of them.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flockwise_codec::model::encode_publication;
use flockwise_core::model::ModelParts;
use flockwise_core::trainer::{CommandAction, Publication, TrainerCommand};
use serde_json::json;

use crate::args::{CommandArguments, DecideArguments, ImportArguments};
use crate::exit::{Failed, say};
use crate::model::topic::{Desk, Setup};
use crate::model::versions::{State, Versions};
use crate::pipeline;

/// How soon the topic is looked at again.
const STEP: Duration = Duration::from_millis(200);

/// What a version has beside its model, in bytes, at most: a review, who, why and offsets.
const BESIDE_MODEL: u64 = 32 << 10;

pub(crate) fn import(arguments: &ImportArguments) -> Result<(), Failed> {
    let setup = Setup::of(&arguments.command.config)?;
    let model = pipeline::import(&arguments.file, &setup.plan)?;
    let mut desk = setup.connect()?;
    let versions = Versions::of(desk.news()?);
    check_size(&desk, &versions, &model)?;
    let command = command(CommandAction::Import(Box::new(model)), &arguments.command);
    carry_out(&mut desk, &command, &arguments.command)
}

pub(crate) fn approve(arguments: &DecideArguments) -> Result<(), Failed> {
    let mut desk = Setup::of(&arguments.command.config)?.connect()?;
    let versions = desk.versions()?;
    let version = versions.held_as(arguments.number)?.number();
    let command = command(CommandAction::Approve { version }, &arguments.command);
    carry_out(&mut desk, &command, &arguments.command)
}

pub(crate) fn rollback(arguments: &DecideArguments) -> Result<(), Failed> {
    let mut desk = Setup::of(&arguments.command.config)?.connect()?;
    let versions = desk.versions()?;
    let model = former(&versions, arguments.number)?;
    desk.check(&model)?;
    check_size(&desk, &versions, &model)?;
    let command = command(CommandAction::Rollback(Box::new(model)), &arguments.command);
    carry_out(&mut desk, &command, &arguments.command)
}

/// A version that was in use and is not.
fn former(versions: &Versions, number: u64) -> Result<ModelParts, Failed> {
    let version = versions.numbered(number)?;
    let refused = |why: &str| Err(Failed::running(format!("version {number} {why}")));
    match version.state {
        State::Former => Ok(version.published.model.clone()),
        State::Live => refused("is in use already"),
        State::Held => refused("is held, and was never in use: approve it"),
        State::Dropped => refused("was held, and never in use: export and import it"),
    }
}

fn command(what: CommandAction, arguments: &CommandArguments) -> TrainerCommand {
    let who = arguments.who.clone();
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    TrainerCommand {
        what,
        who: who.or_else(user).unwrap_or_else(|| "unknown".to_owned()),
        why: arguments.why.clone(),
        at_ms: since.map_or(0, |since| since.as_millis() as i64),
    }
}

/// The trainer could neither publish what is too large nor get past the order, whoever it is.
fn check_size(desk: &Desk, versions: &Versions, model: &ModelParts) -> Result<(), Failed> {
    let newest = versions.held().or_else(|| versions.live());
    let ghosts = newest.map_or(Vec::new(), |version| version.published.model.ghosts.clone());
    let as_published = ModelParts {
        ghosts,
        ..model.clone()
    };
    let bytes = encode_publication(&Publication::live(as_published), None).len() as u64;
    let (bytes, largest) = (bytes + BESIDE_MODEL, desk.largest()?);
    if bytes <= largest {
        return Ok(());
    }
    Err(Failed::running(format!(
        "the model takes {bytes} bytes as a record, and {largest} are taken: use fewer segments, or raise \
         max.message.bytes of {} and of the samples topic, and \"message.max.bytes\" under [kafka.properties]",
        desk.topic()
    )))
}

fn carry_out(
    desk: &mut Desk,
    command: &TrainerCommand,
    arguments: &CommandArguments,
) -> Result<(), Failed> {
    desk.leave(command)?;
    let start = Instant::now();
    loop {
        let news = desk.news()?;
        if let Some(outcome) = outcome(&news, command) {
            return outcome.map(|version| tell(version, command, arguments.json));
        }
        if start.elapsed() >= arguments.wait {
            return Err(not_yet(arguments.wait));
        }
        thread::sleep(STEP);
    }
}

/// What came of an order, as far as that can be seen: the version that it became, or that it is of no use any
/// more.
fn outcome(news: &[Publication], command: &TrainerCommand) -> Option<Result<u64, Failed>> {
    let audit = command.audit();
    let is_ours = |publication: &&Publication| {
        !publication.is_held && publication.command.as_ref() == Some(&audit)
    };
    if let Some(done) = news.iter().find(is_ours) {
        return Some(Ok(done.model.version));
    }
    let CommandAction::Approve { version } = command.what else {
        return None;
    };
    let overtaken = news.iter().find(|publication| {
        publication.model.version > version
            || (!publication.is_held && publication.command.is_some())
    })?;
    Some(Err(Failed::running(format!(
        "version {version} is not held any more: version {} came first; see `flockwise model list`",
        overtaken.model.version
    ))))
}

fn not_yet(waited: Duration) -> Failed {
    Failed::running(format!(
        "the order is sent, but no trainer has carried it out within {} s; one that is up reads it sooner or \
         later. See whether `flockwise run` is up, whether its log says that an order is not carried out, and \
         `flockwise model list`",
        waited.as_secs()
    ))
}

fn tell(version: u64, command: &TrainerCommand, as_json: bool) {
    if as_json {
        say!("{:#}", json!({ "version": version }));
    } else {
        let what = command.audit().what;
        say!("version {version} is in use ({what})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example::{held, live};

    fn approval(version: u64) -> TrainerCommand {
        TrainerCommand {
            what: CommandAction::Approve { version },
            who: "anna".to_owned(),
            why: "the sale is on".to_owned(),
            at_ms: 1,
        }
    }

    fn by(command: &TrainerCommand, publication: Publication) -> Publication {
        Publication {
            command: Some(command.audit()),
            ..publication
        }
    }

    #[test]
    fn an_order_is_carried_out_where_a_live_version_names_it() {
        let command = approval(2);
        assert!(outcome(&[], &command).is_none());
        let done = outcome(&[by(&command, live(2))], &command);
        assert_eq!(done.unwrap().unwrap(), 2);
        let other = TrainerCommand {
            at_ms: 2,
            ..command
        };
        let news = [by(&other, live(2))];
        let failed = outcome(&news, &approval(2)).unwrap().unwrap_err();
        assert!(failed.to_string().contains("not held any more"));
    }

    #[test]
    fn an_approval_that_was_overtaken_is_not_waited_for() {
        let failed = outcome(&[held(3)], &approval(2)).unwrap().unwrap_err();
        let text = failed.to_string();
        assert!(text.contains("version 3 came first"), "{text}");
        let import = TrainerCommand {
            what: CommandAction::Import(Box::new(live(1).model)),
            ..approval(2)
        };
        assert!(outcome(&[held(3)], &import).is_none());
    }

    #[test]
    fn only_what_was_in_use_is_rolled_back_to() {
        let versions = Versions::of(vec![live(1), held(2), live(3), held(4)]);
        assert_eq!(former(&versions, 1).unwrap(), live(1).model);
        let refused = |number| former(&versions, number).unwrap_err().to_string();
        assert_eq!(refused(3), "version 3 is in use already");
        assert!(refused(2).contains("export and import"));
        assert!(refused(4).contains("approve it"));
    }
}
