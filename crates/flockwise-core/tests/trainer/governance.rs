//! Versions that are held, approved, imported and rolled back, and segments that a person pins.

use std::sync::Arc;

use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::policy::{HistoryPolicy, LearningPolicy};
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CommandAction, CommandError, MiniBatch, Trainer, TrainerCommand};

use crate::structure::around;
use crate::support::{DAY_MS, groups, learnt, plan, policy, sample};

const A: [f64; 3] = [0.0, 0.0, 0.0];
const B: [f64; 3] = [20.0, 20.0, 20.0];
const C: [f64; 3] = [40.0, 0.0, 20.0];
const TWO: &[[f64; 3]] = &[A, B];
/// The same two groups and a third one.
const THREE: &[[f64; 3]] = &[A, B, C];

/// The mini-batch of a day.
fn day(day: i64, places: &[[f64; 3]]) -> MiniBatch {
    sample(day * DAY_MS, &around(places, day as u64))
}

fn command(what: CommandAction) -> TrainerCommand {
    TrainerCommand {
        what,
        who: "ann".to_owned(),
        why: "autumn plan".to_owned(),
        at_ms: 5,
    }
}

fn approve(version: u64) -> TrainerCommand {
    command(CommandAction::Approve { version })
}

/// Holds versions that move more than a tenth of all customers.
fn careful() -> LearningPolicy {
    LearningPolicy {
        churn_budget: 0.1,
        // One look a day.
        half_life_ms: 24 * DAY_MS,
        ..policy(2, 4)
    }
}

fn first() -> ModelVersion {
    learnt(3, careful(), &around(TWO, 0))
}

/// A trainer for which a third of all customers are a new group, and the version that it made of them.
fn surprised() -> (Trainer, Publication) {
    let mut trainer = Trainer::new(plan(3), careful(), Some(first()));
    let held = trainer.fold(day(1, THREE), 1);
    (trainer, held.unwrap())
}

fn ids(model: &ModelVersion) -> Vec<u32> {
    model
        .segmentation()
        .segments
        .iter()
        .map(|segment| segment.id)
        .collect()
}

#[test]
fn what_moves_too_many_is_held_with_what_it_would_do() {
    let (_, held) = surprised();
    assert!(held.is_held);
    assert_eq!((held.model.version, ids(&held.model)), (2, vec![1, 2, 3]));
    assert_eq!(held.model.lineage.len(), 1, "{:?}", held.model.lineage);
    let impact = held.impact.unwrap();
    assert!((impact.moved - 1.0 / 3.0).abs() < 1e-9, "{impact:?}");
    assert_eq!((impact.flows[0].to, impact.flows.len()), (3, 1));
    assert!(impact.error_after < 0.1 * impact.error_before, "{impact:?}");
}

#[test]
fn what_moves_few_goes_live() {
    let mut trainer = Trainer::new(plan(3), careful(), Some(first()));
    let next = trainer.fold(day(1, TWO), 1).unwrap();
    assert!(!next.is_held);
    assert_eq!(next.impact.unwrap().moved, 0.0);
}

#[test]
fn the_held_version_goes_on_learning_and_is_approved_by_its_number_alone() {
    let (mut trainer, held) = surprised();
    let next = trainer.fold(day(2, THREE), 2).unwrap();
    assert!(
        next.is_held,
        "compared with the live version, not with the one held before"
    );
    assert_eq!(next.model.version, 3);
    assert_eq!(
        next.model.lineage, held.model.lineage,
        "since the live version"
    );
    let stale = trainer.execute(&approve(2));
    assert_eq!(
        stale,
        Err(CommandError::NotHeld {
            version: 2,
            held: Some(3)
        })
    );
    let approved = trainer.execute(&approve(3)).unwrap();
    assert!(!approved.is_held);
    assert_eq!(approved.model, next.model);
    let audit = approved.command.unwrap();
    assert_eq!(
        (&*audit.what, &*audit.who, &*audit.why),
        ("approve", "ann", "autumn plan")
    );
    let twice = trainer.execute(&approve(3));
    assert_eq!(
        twice,
        Err(CommandError::NotHeld {
            version: 3,
            held: None
        })
    );
    let after = trainer.fold(day(3, THREE), 3).unwrap();
    assert!(!after.is_held, "no customer moves any more");
}

/// Every customer is scored once a period. A customer whose turn comes later must still find the approved version
/// and the one before it.
#[test]
fn after_an_order_the_next_version_takes_its_time() {
    let (mut trainer, _) = surprised();
    let at = |tenths: i64| sample(tenths * DAY_MS / 10, &around(THREE, tenths.unsigned_abs()));
    assert_eq!(trainer.fold(at(19), 2), None);
    let approved = trainer.execute(&approve(2)).unwrap();
    assert_eq!(approved.model.trained_ms, 19 * DAY_MS / 10);
    assert_eq!(trainer.fold(at(28), 3), None);
    assert!(trainer.fold(at(29), 4).is_some());
    assert_eq!(trainer.fold(at(38), 5), None);
    let back = trainer.execute(&command(CommandAction::Rollback(Box::new(first()))));
    assert_eq!(back.unwrap().model.trained_ms, 38 * DAY_MS / 10);
    assert_eq!(trainer.fold(at(47), 6), None);
    assert!(trainer.fold(at(48), 7).is_some());
}

/// The first version is learnt from customers with few events. Versions that correct it must not wait for an
/// approval.
#[test]
fn no_version_is_held_while_history_is_read() {
    let history = |until_ms| HistoryPolicy {
        until_ms: Some(until_ms),
        is_published: true,
    };
    let publish = |until_ms| {
        let trainer = Trainer::new(plan(3), careful(), Some(first()));
        let mut trainer = trainer.with_history(history(until_ms));
        let published = (1..20).find_map(|at| trainer.fold(day(at, THREE), at));
        published.unwrap()
    };
    let in_history = publish(100 * DAY_MS);
    assert!(!in_history.is_held);
    assert_eq!(ids(&in_history.model), [1, 2, 3]);
    assert!(
        in_history.impact.unwrap().moved > 0.1,
        "the impact is reported nevertheless"
    );
    assert!(publish(DAY_MS).is_held, "versions after history are held");
}

/// The new group leaves again before the version is approved.
#[test]
fn a_held_version_that_calms_down_goes_live() {
    let (mut trainer, _) = surprised();
    let calm = (2..60).find_map(|at| {
        let next = trainer.fold(day(at, TWO), at)?;
        (!next.is_held).then_some(next)
    });
    let calm = calm.unwrap();
    assert_eq!(ids(&calm.model), [1, 2]);
    assert!(calm.impact.unwrap().moved <= 0.1);
    let retired = calm.model.lineage.contains(&Step::Retired { segment: 3 });
    assert!(retired, "{:?}", calm.model.lineage);
}

#[test]
fn a_rollback_is_the_next_version_and_gives_no_id_twice() {
    let (mut trainer, _) = surprised();
    trainer.execute(&approve(2)).unwrap();
    let former = first();
    let back = trainer
        .execute(&command(CommandAction::Rollback(Box::new(former.clone()))))
        .unwrap();
    assert_eq!(
        (back.model.version, back.model.segmentation().next_id),
        (3, 4)
    );
    assert_eq!(
        back.model.segmentation().segments,
        former.segmentation().segments
    );
    assert_eq!(
        back.model.segmentation().scaler,
        former.segmentation().scaler
    );
    assert_eq!(back.model.lineage, [Step::Retired { segment: 3 }]);
    assert_eq!(back.command.unwrap().what, "rollback to 1");
    let again = trainer.fold(day(2, THREE), 2).unwrap();
    assert!(again.is_held, "the same change waits for approval again");
    assert_eq!(ids(&again.model), [1, 2, 4]);
}

#[test]
fn a_model_of_another_plan_is_not_imported() {
    let (mut trainer, held) = surprised();
    let foreign = learnt(2, policy(2, 2), &groups(&[&[0.0; 2], &[9.0; 2]], 40));
    let refused = trainer.execute(&command(CommandAction::Import(Box::new(foreign))));
    assert!(
        matches!(refused, Err(CommandError::Unfit(_))),
        "{refused:?}"
    );
    let approved = trainer.execute(&approve(2)).unwrap();
    assert_eq!(approved.model, held.model, "nothing has changed");
}

#[test]
fn an_import_is_the_next_version() {
    let mut trainer = Trainer::new(plan(3), careful(), Some(first()));
    let mut named = first();
    let segments = &mut Arc::make_mut(&mut named.artefacts.segmentation).segments;
    segments[1].name = "whales".to_owned();
    segments[1].is_pinned = true;
    let import = trainer
        .execute(&command(CommandAction::Import(Box::new(named))))
        .unwrap();
    assert_eq!(
        (
            import.model.version,
            &*import.model.segmentation().segments[1].name
        ),
        (2, "whales")
    );
    let next = trainer.fold(day(1, TWO), 1).unwrap();
    assert_eq!(&*next.model.segmentation().segments[1].name, "whales");
    assert!(next.model.segmentation().segments[1].is_pinned);
}

/// This release cannot fit an artefact that it does not know, so it keeps it only where it copies a version.
#[test]
fn an_unknown_artefact_stays_where_a_version_is_copied() {
    let mut model = first();
    let tiers = ("tiers".to_owned(), "[1]".to_owned());
    model.artefacts.unknown = [tiers].into();
    let tiers = |publication: &Publication| publication.model.artefacts.unknown.len();
    for action in [CommandAction::Import, CommandAction::Rollback] {
        let (mut trainer, learnt) = surprised();
        assert_eq!(tiers(&learnt), 0);
        let copied = trainer.execute(&command(action(Box::new(model.clone()))));
        assert_eq!(tiers(&copied.unwrap()), 1);
    }
    model.version = 2;
    let mut trainer = Trainer::new(plan(3), careful(), Some(first())).holding(Some(model));
    assert_eq!(tiers(&trainer.execute(&approve(2)).unwrap()), 1);
}

/// A successor starts from the last live version and the held one.
#[test]
fn who_goes_on_from_a_held_version_is_level() {
    let (mut trainer, held) = surprised();
    let mut heir = Trainer::new(plan(3), careful(), Some(first())).holding(Some(held.model));
    heir.replay(day(1, THREE), 1);
    for at in 2..20 {
        let batch = day(at, THREE);
        assert_eq!(heir.fold(batch.clone(), at), trainer.fold(batch, at));
    }
    let version = trainer.execute(&approve(20)).unwrap();
    assert_eq!(heir.execute(&approve(20)), Ok(version));
}

/// No customer has come to it for long, but it stays, because a person pinned it.
#[test]
fn a_pinned_segment_is_neither_retired_nor_merged() {
    let bold = LearningPolicy {
        churn_budget: 1.0,
        ..policy(1, 4)
    };
    let after = |is_pinned: bool| {
        let mut model = first();
        let segments = &mut Arc::make_mut(&mut model.artefacts.segmentation).segments;
        let mut segments = segments.iter_mut();
        let far = segments.find(|segment| segment.centroid[0] > 10.0);
        far.unwrap().is_pinned = is_pinned;
        let mut trainer = Trainer::new(plan(3), bold, Some(model));
        let versions = (1..60).filter_map(|at| trainer.fold(day(at, &[A]), at));
        versions.last().unwrap().model
    };
    assert_eq!(ids(&after(false)).len(), 1);
    assert_eq!(ids(&after(true)).len(), 2);
}
