//! Model versions.

use flockwise_codec::model::{decode_model, decode_publication, encode_model, encode_publication};
use flockwise_core::drift::Shift;
use flockwise_core::model::Model;
use flockwise_core::publication::{Audit, Publication};
use flockwise_core::segmentation::{Flow, Impact};

use crate::{plan, version};

const MODEL: &str = include_str!("model.json");

/// A shift of the second feature and one of the quantisation error.
pub(crate) fn shifts() -> Vec<Shift> {
    let shift = |feature, off| Shift { feature, off };
    vec![shift(Some(1), 3.5), shift(None, -2.0)]
}

fn publication() -> Publication {
    Publication {
        model: version(),
        is_held: true,
        impact: Some(Impact {
            moved: 0.125,
            other_nearest: 0.375,
            flows: vec![Flow {
                from: 4,
                to: 14,
                share: 0.125,
            }],
            error_before: 2.5,
            error_after: 2.0,
        }),
        command: Some(Audit {
            what: "rollback to 38".to_owned(),
            who: "ann".to_owned(),
            why: "the autumn \"plan\"".to_owned(),
            at_ms: 1_767_225_600_000,
        }),
        shifts: shifts(),
    }
}

#[test]
fn a_model() {
    let encoded = String::from_utf8(encode_publication(&publication(), Some(3..17))).unwrap();
    assert_eq!(encoded, MODEL.trim_end());
    assert_eq!(
        decode_publication(MODEL.as_bytes(), &plan()),
        Ok((publication(), Some(3..17)))
    );
}

#[test]
fn a_model_by_hand_needs_little_and_keeps_the_names_it_has() {
    let hand_made = r#"{"features": ["orders", "days_since_order"], "artefacts": {"segmentation": {
        "scaler": {"deviations": [1, 2]},
        "segments": [{"id": 1, "name": "VIP", "centroid": [9, 9]}, {"id": 2, "centroid": [-9, 0]}]}}}"#;
    let model = decode_model(hand_made.as_bytes(), &plan()).unwrap();
    let segmentation = model.segmentation();
    assert_eq!((model.version, segmentation.next_id), (1, 3));
    assert_eq!(segmentation.scaler.means, [0.0, 0.0]);
    let names: Vec<&str> = segmentation
        .segments
        .iter()
        .map(|segment| segment.name.as_str())
        .collect();
    assert_eq!(names, ["VIP", "low orders"]);
    let again = encode_model(&model);
    assert_eq!(
        decode_model(&again, &plan()),
        Ok(model),
        "a model without a time stays without one"
    );
}

/// Before there were artefacts, `scaler` and `segments` were fields of the version.
#[test]
fn a_model_of_another_format_says_what_to_do() {
    let former = r#"{"features": ["orders"], "scaler": {"deviations": [1]}, "segments": []}"#;
    let found = decode_model(former.as_bytes(), &plan()).unwrap_err();
    assert_eq!(
        found,
        "not a model: unknown field `scaler`, expected one of `version`, `state`, `trained_at`, `features`, `lineage`, \
         `drift`, `shifts`, `impact`, `command`, `mini_batches`, `artefacts` at line 1 column 33; if another release of \
         Flockwise wrote it, use that release; if a person did, it needs `features` and `artefacts.segmentation` \
         (docs/models.md)"
    );
}

#[test]
fn a_model_that_cannot_be_says_why() {
    let told = |text: &str| {
        decode_model(text.as_bytes(), &plan())
            .and_then(|model| Model::new(&plan(), model).map_err(|error| error.to_string()))
            .unwrap_err()
    };
    let cases = [
        (
            "",
            "",
            "not a model: EOF while parsing a value at line 1 column 0",
        ),
        (
            "\"version\"",
            "\"verison\"",
            "not a model: unknown field `verison`, expected one of",
        ),
        (
            "2026-01-02T",
            "yesterday",
            "trained_at `yesterday03:04:05.678Z` is not RFC 3339",
        ),
        (
            "\"orders\"",
            "\"visits\"",
            "the model has the features [visits, days_since_order], the configuration has [orders, days_since_order]",
        ),
        (
            "\"id\": 12",
            "\"id\": 4",
            "the model has two segments with the id 4",
        ),
        (
            "1234.5",
            "-1",
            "the weight of the scaler is -1: a finite number of at least 0 is needed",
        ),
        (
            "234.25",
            "-2",
            "the weight of segment 12 is -2: a finite number of at least 0 is needed",
        ),
        (
            "4.5,",
            "-4.5,",
            "the outlier threshold of segment 12 is -4.5: a finite distance of at least 0 is needed, or none",
        ),
        (
            "6.0",
            "6.0, 7.0",
            "the centroid of segment 12 has 3 finite numbers: 2 are needed, one for each feature",
        ),
        ("0.1,", "1e400,", "not a model: number out of range"),
        (
            "\"segmentation\"",
            "\"map\"",
            "not a model: no artefact `segmentation`: without segments no customer can be scored at line",
        ),
        (
            "\"tiers\"",
            "\"tiers\": 1, \"tiers\"",
            "not a model: two artefacts `tiers`",
        ),
    ];
    for (from, to, expected) in cases {
        let text = if from.is_empty() {
            String::new()
        } else {
            MODEL.replacen(from, to, 1)
        };
        assert!(text != MODEL, "{from} is in the golden file");
        let found = told(&text);
        assert!(found.starts_with(expected), "{found}");
    }
}
