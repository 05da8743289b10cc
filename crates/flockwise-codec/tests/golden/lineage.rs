//! Lineage steps and drift shifts.

use flockwise_codec::lineage::{encode_lineage, encode_shifts};
use flockwise_core::model::ModelVersion;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::{Segment, Segmentation};

use crate::model::shifts;
use crate::version;

#[test]
fn every_kind_of_step_with_the_names_there_are() {
    let gone = Segment {
        name: "gone".to_owned(),
        ..Segment::new(3, vec![0.0, 0.0])
    };
    let segmentation = Segmentation {
        segments: vec![gone],
        ..version().segmentation().clone()
    };
    let before = ModelVersion {
        artefacts: segmentation.into(),
        ..version()
    };
    let steps = encode_lineage("shop", &version(), Some(&before));
    let steps: Vec<String> = steps
        .into_iter()
        .map(|step| String::from_utf8(step).unwrap())
        .collect();
    assert_eq!(steps.join("\n"), include_str!("lineage.jsonl").trim_end());
}

#[test]
fn shifts_of_a_feature_and_of_the_error() {
    let publication = Publication {
        shifts: shifts(),
        ..Publication::live(version())
    };
    let told = encode_shifts("shop", &publication);
    let told: Vec<String> = told
        .into_iter()
        .map(|shift| String::from_utf8(shift).unwrap())
        .collect();
    assert_eq!(told.join("\n"), include_str!("shifts.jsonl").trim_end());
}
