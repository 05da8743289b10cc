//! Every codec round-trips random values.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flockwise_codec::changelog::{
    StoredRow, decode_row, decode_task_position, encode_row, encode_task_position,
};
use flockwise_codec::model::{decode_model, decode_publication, encode_publication};
use flockwise_codec::trainer_input::{decode_mini_batch, encode_mini_batch};
use flockwise_core::decide::{Candidate, Cause, Standing};
use flockwise_core::dedup::{DedupMemory, OrderSums, RecentIds};
use flockwise_core::drift::{ChangeDetector, Drift};
use flockwise_core::lineage::Step;
use flockwise_core::model::{Artefacts, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::{RetiredCentroid, Scaler, Segment, Segmentation};
use flockwise_core::sweep_schedule::SkippedSpan;
use flockwise_core::task::{Progress, TaskPosition};
use flockwise_core::trainer::MiniBatch;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Any finite number, with edge cases often.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        -1e15..1e15_f64,
        (0_u32..100).prop_map(|x| f64::from(x) * 0.1),
        prop::sample::select(&[0.0, -0.0, 1e15, 5e-324, f64::MAX, 0.1 + 0.2][..]),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (
        0..u32::MAX,
        (0.0..1e9_f32, 0.0..1e9_f32),
        any::<u16>(),
        prop::sample::select(&Cause::ALL[..]),
    )
        .prop_map(|(segment, (cost, price), agreed, cause)| Candidate {
            segment,
            cost,
            price,
            agreed,
            cause,
        })
}

fn standing() -> impl Strategy<Value = Standing> {
    (
        prop::option::of(0..u32::MAX),
        any::<u32>(),
        any::<[i64; 2]>(),
        any::<u64>(),
        prop::option::of(candidate()),
    )
        .prop_map(
            |(segment, sequence, [changed_ms, as_of_ms], version, candidate)| Standing {
                segment,
                sequence,
                changed_ms,
                as_of_ms,
                version,
                candidate,
            },
        )
}

fn row() -> impl Strategy<Value = StoredRow> {
    let column = prop_oneof![number(), Just(f64::NEG_INFINITY), Just(0.0), Just(-0.0)];
    (
        any::<String>(),
        any::<i64>(),
        prop_oneof![vec(column, 0..20), Just(vec![1.5; 70_000])],
        standing(),
        dedup(),
    )
        .prop_map(
            |(customer_id, reference_ms, columns, standing, dedup)| StoredRow {
                customer_id,
                reference_ms,
                columns,
                standing,
                dedup,
            },
        )
}

fn dedup() -> impl Strategy<Value = DedupMemory> {
    let orders = vec(any::<(u64, i64, u64)>(), 0..40);
    let sums = prop::option::of((1..4_usize, any::<u64>()));
    let recent = any::<(u32, u16, u16)>();
    (vec(any::<u64>(), 0..40), orders, sums, recent).prop_map(|(ids, orders, sums, recent)| {
        let mut memory = DedupMemory::default();
        let (span, now, before) = recent;
        if (now, before) != (0, 0) {
            memory.set_recent(RecentIds { span, now, before });
        }
        ids.into_iter().for_each(|id| memory.push_id(id));
        let (len, layout) = sums.filter(|_| !orders.is_empty()).unwrap_or_default();
        memory.set_sums(OrderSums { len, layout });
        for (key, time_ms, sum) in orders {
            memory.push_order(key, time_ms);
            (0..len).for_each(|_| memory.push_sum(sum));
        }
        memory
    })
}

fn position() -> impl Strategy<Value = TaskPosition> {
    let progress = any::<(i64, i64, Option<i32>)>();
    let progress = progress.prop_map(|(next_offset, time_ms, leader_epoch)| Progress {
        next_offset,
        time_ms,
        leader_epoch,
    });
    (
        btree_map((0..3_u16, any::<u32>()), progress.clone(), 0..6),
        btree_map((any::<String>(), any::<u32>()), progress, 0..3),
        btree_map(any::<String>(), any::<String>(), 0..3),
        any::<[i64; 2]>(),
        any::<(Option<i64>, u64, Option<i64>, Option<(i64, i64)>)>(),
    )
        .prop_map(
            |(
                inputs,
                others,
                topic_ids,
                [repartition_offset, stream_ms],
                (swept_ms, version, version_since_ms, leap),
            )| {
                let inputs: BTreeMap<_, _> = inputs;
                let others = others.into_iter();
                TaskPosition {
                    inputs,
                    other_inputs: others
                        .map(|((name, partition), at)| ((format!("-{name}"), partition), at))
                        .collect(),
                    topic_ids,
                    repartition_offset,
                    stream_ms,
                    swept_ms,
                    passed_ms: version_since_ms.unwrap_or(stream_ms),
                    sampled_ms: swept_ms.unwrap_or(stream_ms),
                    leap: leap.map(|(from_ms, to_ms)| SkippedSpan { from_ms, to_ms }),
                    version,
                    version_since_ms,
                    customers: Some(version),
                }
            },
        )
}

fn sample() -> impl Strategy<Value = Vec<(u64, Vec<f64>)>> {
    // An empty sample does not store its dimensions.
    (0_usize..6).prop_flat_map(|dimensions| vec((any::<u64>(), vec(number(), dimensions)), 0..20))
}

/// Versions as the trainer publishes them: each variance is the square of a deviation.
fn version() -> impl Strategy<Value = ModelVersion> {
    let outlier_threshold = prop::option::of(number());
    let segment = (
        any::<u32>(),
        "[a-z,# \"é]{1,9}",
        vec(number(), 2),
        number(),
        outlier_threshold,
    )
        .prop_map(|(id, name, centroid, weight, outlier_threshold)| Segment {
            id,
            name,
            centroid,
            weight,
            is_pinned: false,
            outlier_threshold,
        });
    let deviation = prop_oneof![0.0..1e15_f64, (0_u32..50).prop_map(|x| f64::from(x) * 0.1)];
    (
        (
            any::<u64>(),
            prop_oneof![Just(i64::MIN), -62_135_596_800_000..253_402_200_000_000_i64],
        ),
        (vec(number(), 2), vec(deviation, 2), number()),
        vec(segment, 0..5),
        (vec(step(), 0..4), vec(retired(), 0..3), 0..9_u32, drift()),
        btree_map("[a-z]{1,3}", json(), 0..3),
    )
        .prop_map(
            |(
                (version, trained_ms),
                (means, deviations, weight),
                segments,
                (lineage, retired_centroids, gone, drift),
                unknown,
            )| {
                let highest = segments.iter().map(|segment| segment.id).max();
                let above = highest.map_or(1, |id| id.saturating_add(1));
                let squared = |deviation: &f64| deviation * deviation;
                let segmentation = Segmentation {
                    scaler: Scaler {
                        means,
                        variances: deviations.iter().map(squared).collect(),
                        weight,
                    },
                    segments,
                    next_id: above.saturating_add(gone),
                    retired_centroids,
                };
                ModelVersion {
                    version,
                    trained_ms,
                    features: vec!["a".to_owned(), "b".to_owned()],
                    lineage,
                    artefacts: Artefacts {
                        segmentation: segmentation.into(),
                        unknown,
                    },
                    drift,
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    (0..4, any::<u32>(), any::<u32>()).prop_map(|(kind, segment, into)| match kind {
        0 => Step::Born { segment },
        1 => Step::Split { segment, into },
        2 => Step::Merged { segment, into },
        _ => Step::Retired { segment },
    })
}

fn drift() -> impl Strategy<Value = Drift> {
    let watch = [number(), number(), number(), number(), number()];
    let watch = watch.prop_map(|[count, mean, variance, above, below]| ChangeDetector {
        count,
        mean,
        variance,
        above,
        below,
    });
    let fast_until_ms = prop::option::of(-62_135_596_800_000..253_402_200_000_000_i64);
    (vec(watch, 0..3), fast_until_ms).prop_map(|(watches, fast_until_ms)| Drift {
        watches,
        fast_until_ms,
    })
}

/// JSON as an artefact of a later release may have it.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,4})?(e[0-9]{1,3})?",
        "\"[a-z é]{0,4}(\\\\u00e9)?\"",
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(" ,\n")))
    })
}

fn retired() -> impl Strategy<Value = RetiredCentroid> {
    let until_ms = -62_135_596_800_000..253_402_200_000_000_i64;
    (vec(number(), 2), until_ms)
        .prop_map(|(centroid, until_ms)| RetiredCentroid { centroid, until_ms })
}

proptest! {
    #[test]
    fn rows(row in row(), before in row(), plan in any::<u64>()) {
        let mut value = Vec::new();
        encode_row(&row.as_row(), plan, &mut value);
        // Decode over another row: nothing of it may remain.
        let mut read = before;
        prop_assert_eq!(decode_row(row.customer_id.as_bytes(), &value, plan, &mut read), Ok(()));
        let bits = |row: &StoredRow| row.columns.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&read), bits(&row));
        prop_assert_eq!(read, row);
    }

    #[test]
    fn task_positions(position in position(), owner in any::<Option<String>>()) {
        let topics = ["a", "b/\"é", "c"].map(str::to_owned);
        let mut value = Vec::new();
        encode_task_position(&position, &topics, owner.as_deref(), &mut value);
        prop_assert_eq!(decode_task_position(&value, &topics), Ok((position, owner)));
    }

    #[test]
    fn mini_batches(at_ms in any::<i64>(), sample in sample()) {
        let batch = MiniBatch { at_ms, sample };
        let mut value = Vec::new();
        encode_mini_batch(&batch, &mut value);
        prop_assert_eq!(decode_mini_batch(&value), Ok(batch));
    }

    #[test]
    fn models(model in version(), learnt in any::<Option<(i64, i64)>>()) {
        let learnt = learnt.map(|(from, to)| from..to);
        let plan = Plan::compile(&[]);
        let bytes = encode_publication(&Publication::live(model.clone()), learnt.clone());
        prop_assert_eq!(decode_publication(&bytes, &plan), Ok((Publication::live(model), learnt)));
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let plan = Plan::compile(&[]);
        let mut row = StoredRow::default();
        let _ = decode_row(b"h", &bytes, 0, &mut row);
        let _ = decode_row(b"h", &[&[1; 1], &[0; 8][..], &bytes].concat(), 0, &mut row);
        let _ = decode_task_position(&bytes, &[]);
        let _ = decode_mini_batch(&bytes);
        let _ = decode_mini_batch(&[&[2][..], &bytes].concat());
        let _ = decode_model(&bytes, &plan);
    }
}
