//! How long the trainer takes for a version, in seconds of one core: the constant of the limit that a configuration is
//! held against.
//!
//! Give numbers of features and segments, such as `16x32 64x128`; without any it takes some minutes.

use std::sync::Arc;

use flockwise_core::feature::Feature;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::{MiniBatch, Trainer};

const POINTS: [(usize, usize); 5] = [(16, 32), (32, 64), (64, 64), (64, 128), (128, 128)];
const HOUR_MS: i64 = 3_600_000;
/// Hours of mini-batches, of a half-life of 24.
const HOURS: usize = 96;

fn main() {
    let asked: Vec<(usize, usize)> = std::env::args()
        .skip(1)
        .filter_map(|text| point(&text))
        .collect();
    let points = if asked.is_empty() {
        POINTS.to_vec()
    } else {
        asked
    };
    println!(
        "| features | segments | customers in the window | first version, s | next version, s | next, µs a feature and segment |"
    );
    println!("|---|---|---|---|---|---|");
    for (features, segments) in points {
        measure(features, segments);
    }
}

fn point(text: &str) -> Option<(usize, usize)> {
    let (features, segments) = text.split_once('x')?;
    Some((features.parse().ok()?, segments.parse().ok()?))
}

fn measure(features: usize, segments: usize) {
    let names = (0..features).map(|index| Feature::count(format!("f{index}")));
    let plan = Arc::new(Plan::compile(&names.collect::<Vec<_>>()));
    let policy = LearningPolicy {
        k_min: (segments / 4).max(1),
        k_max: segments,
        half_life_ms: 24 * HOUR_MS,
        warm_up_customers: 10_000,
        warm_up_ms: 0,
        churn_budget: 1.0,
        learn: true,
        seed: 42,
    };
    let mut crowd = Crowd::new(features, segments);
    let mut trainer = Trainer::new(plan, policy, None);
    let most = (policy.sampled() * 4).min(65_536);
    let each = most / HOURS;
    let warm_up = MiniBatch {
        at_ms: 0,
        sample: crowd.sample(10_000),
    };
    assert!(trainer.absorb(warm_up, 0));
    let start = cpu_seconds();
    trainer.learn_from_window().expect("a first version");
    let first = cpu_seconds() - start;
    let mut longest: f64 = 0.0;
    for hour in 1..=HOURS as i64 {
        let batch = MiniBatch {
            at_ms: hour * HOUR_MS,
            sample: crowd.sample(each),
        };
        // Most of them cost less, since the window is not full yet.
        if trainer.absorb(batch, hour) && hour >= HOURS as i64 - 2 {
            let start = cpu_seconds();
            trainer.learn_from_window();
            longest = longest.max(cpu_seconds() - start);
        }
    }
    let unit = longest * 1e6 / (features * segments) as f64;
    println!("| {features} | {segments} | {most} | {first:.2} | {longest:.2} | {unit:.0} |");
}

/// Customers around as many places as there may be segments; the groups overlap.
struct Crowd {
    state: u64,
    places: Vec<Vec<f64>>,
}

impl Crowd {
    fn new(features: usize, places: usize) -> Self {
        let mut crowd = Self {
            state: 1,
            places: Vec::new(),
        };
        crowd.places = (0..places)
            .map(|_| (0..features).map(|_| crowd.normal()).collect())
            .collect();
        crowd
    }

    fn sample(&mut self, count: usize) -> Vec<(u64, Vec<f64>)> {
        let customer = |_| {
            let place = (self.next() % self.places.len() as u64) as usize;
            let centre = self.places[place].clone();
            let vector = centre.iter().map(|x| x + 0.7 * self.normal()).collect();
            (self.next(), vector)
        };
        (0..count).map(customer).collect()
    }

    /// Of mean 0 and variance 1, nearly.
    fn normal(&mut self) -> f64 {
        let draw = |crowd: &mut Self| (crowd.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (0..12).map(|_| draw(self)).sum::<f64>() - 6.0
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Of this thread, so that a busy machine does not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split_whitespace().next();
    first
        .and_then(|ns| ns.parse::<f64>().ok())
        .unwrap_or(f64::NAN)
        / 1e9
}
