//! `flockwise model import`, `approve` and `rollback`: send a command to the trainer and wait for its outcome.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flockwise_codec::model::encode_publication;
use flockwise_core::model::ModelVersion;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CommandAction, TrainerCommand};
use flockwise_view::VersionState;
use serde_json::json;

use crate::args::{CommandArguments, DecideArguments, ImportArguments};
use crate::build_pipeline;
use crate::exit::{Failed, outln};
use crate::reports::model::topic::{ModelClient, Setup};
use crate::reports::model::versions::VersionHistory;

/// How often the topic is polled for the outcome.
const STEP: Duration = Duration::from_millis(200);

/// Maximum size of what a version record holds beside its model, in bytes: impact, who, why and offsets.
const OVERHEAD_BYTES: u64 = 32 << 10;

pub(crate) fn import(arguments: &ImportArguments) -> Result<(), Failed> {
    let setup = Setup::of(&arguments.command.config)?;
    let model = build_pipeline::import(&arguments.file, &setup.plan)?;
    let mut client = setup.connect()?;
    let versions = VersionHistory::of(client.publications()?);
    check_size(&client, &versions, &model)?;
    let command = command(CommandAction::Import(Box::new(model)), &arguments.command);
    execute(&mut client, &command, &arguments.command)
}

pub(crate) fn approve(arguments: &DecideArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.command.config)?.connect()?;
    let versions = client.versions()?;
    let version = versions.held_as(arguments.number)?.number();
    let command = command(CommandAction::Approve { version }, &arguments.command);
    execute(&mut client, &command, &arguments.command)
}

pub(crate) fn rollback(arguments: &DecideArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.command.config)?.connect()?;
    let versions = client.versions()?;
    let model = former(&versions, arguments.number)?;
    client.check(&model)?;
    check_size(&client, &versions, &model)?;
    let command = command(CommandAction::Rollback(Box::new(model)), &arguments.command);
    execute(&mut client, &command, &arguments.command)
}

/// The model of a version that was in use and no longer is.
fn former(versions: &VersionHistory, number: u64) -> Result<ModelVersion, Failed> {
    let version = versions.numbered(number)?;
    let refused = |why: &str| Err(Failed::runtime(format!("version {number} {why}")));
    match version.state {
        VersionState::Former => Ok(version.published.model.clone()),
        VersionState::Live => refused("is in use already"),
        VersionState::Held => refused("is held and was never in use; approve it instead"),
        VersionState::Dropped => refused("was held and never in use; export and import it instead"),
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

/// Refuses a model that is too large for a record: no trainer could publish it or get past the command.
fn check_size(
    client: &ModelClient,
    versions: &VersionHistory,
    model: &ModelVersion,
) -> Result<(), Failed> {
    let newest = versions.held().or_else(|| versions.live());
    let mut as_published = model.clone();
    if let Some(newest) = newest {
        let segmentation = Arc::make_mut(&mut as_published.artefacts.segmentation);
        let latest = newest.published.model.segmentation();
        segmentation
            .retired_centroids
            .clone_from(&latest.retired_centroids);
    }
    let bytes = encode_publication(&Publication::live(as_published), None).len() as u64;
    let (bytes, largest) = (bytes + OVERHEAD_BYTES, client.largest_record_bytes()?);
    if bytes <= largest {
        return Ok(());
    }
    Err(Failed::runtime(format!(
        "the model takes {bytes} bytes as a record, but the limit is {largest}: use fewer segments, or raise \
         max.message.bytes of {} and of the samples topic, and \"message.max.bytes\" under [kafka.properties]",
        client.topic()
    )))
}

fn execute(
    client: &mut ModelClient,
    command: &TrainerCommand,
    arguments: &CommandArguments,
) -> Result<(), Failed> {
    client.send(command)?;
    let start = Instant::now();
    loop {
        let publications = client.publications()?;
        if let Some(outcome) = outcome(&publications, command) {
            return outcome.map(|version| print_outcome(version, command, arguments.json));
        }
        if start.elapsed() >= arguments.wait {
            return Err(timed_out(arguments.wait));
        }
        thread::sleep(STEP);
    }
}

/// The outcome of a command, from the versions published since: the version that it became, or why it cannot be
/// executed any more. `None` if it is still pending.
fn outcome(publications: &[Publication], command: &TrainerCommand) -> Option<Result<u64, Failed>> {
    let audit = command.audit();
    let is_ours = |publication: &&Publication| {
        !publication.is_held && publication.command.as_ref() == Some(&audit)
    };
    if let Some(done) = publications.iter().find(is_ours) {
        return Some(Ok(done.model.version));
    }
    let CommandAction::Approve { version } = command.what else {
        return None;
    };
    let overtaken = publications.iter().find(|publication| {
        publication.model.version > version
            || (!publication.is_held && publication.command.is_some())
    })?;
    Some(Err(Failed::runtime(format!(
        "version {version} is no longer held: version {} came first; see `flockwise model list`",
        overtaken.model.version
    ))))
}

fn timed_out(waited: Duration) -> Failed {
    Failed::runtime(format!(
        "the command is sent, but no trainer has executed it within {} s; it is executed once a trainer runs. \
         Check that `flockwise run` runs, look for \"command refused\" in its log, and see `flockwise model list`",
        waited.as_secs()
    ))
}

fn print_outcome(version: u64, command: &TrainerCommand, as_json: bool) {
    if as_json {
        outln!("{:#}", json!({ "version": version }));
    } else {
        let what = command.audit().what;
        outln!("version {version} is in use ({what})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::example::{held, live};

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
        let publications = [by(&other, live(2))];
        let failed = outcome(&publications, &approval(2)).unwrap().unwrap_err();
        assert!(failed.to_string().contains("no longer held"));
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
        let versions = VersionHistory::of(vec![live(1), held(2), live(3), held(4)]);
        assert_eq!(former(&versions, 1).unwrap(), live(1).model);
        let refused = |number| former(&versions, number).unwrap_err().to_string();
        assert_eq!(refused(3), "version 3 is in use already");
        assert!(refused(2).contains("export and import"));
        assert!(refused(4).contains("approve it"));
    }
}
