//! CPU time that the trainer takes for a version, in seconds of one core. The limit on configurations is based on
//! this constant.
//!
//! Arguments are numbers of features and segments, such as `16x32 64x128`. Without arguments it takes some minutes.

use std::sync::Arc;

use flockwise_core::feature::Feature;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::{MiniBatch, Trainer};

const POINTS: [(usize, usize); 5] = [(16, 32), (32, 64), (64, 64), (64, 128), (128, 128)];
const HOUR_MS: i64 = 3_600_000;
/// Hours of mini-batches. The half-life is 24 hours.
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
    let mut customers = Customers::new(features, segments);
    let mut trainer = Trainer::new(plan, policy, None);
    let most = (policy.sampled() * 4).min(65_536);
    let each = most / HOURS;
    let warm_up = MiniBatch {
        at_ms: 0,
        sample: customers.sample(10_000),
    };
    assert!(trainer.absorb(warm_up, 0));
    let start = cpu_seconds();
    trainer.learn_from_window().expect("a first version");
    let first = cpu_seconds() - start;
    let mut longest: f64 = 0.0;
    for hour in 1..=HOURS as i64 {
        let batch = MiniBatch {
            at_ms: hour * HOUR_MS,
            sample: customers.sample(each),
        };
        // Earlier versions cost less, since the window is not full yet.
        if trainer.absorb(batch, hour) && hour >= HOURS as i64 - 2 {
            let start = cpu_seconds();
            trainer.learn_from_window();
            longest = longest.max(cpu_seconds() - start);
        }
    }
    let unit = longest * 1e6 / (features * segments) as f64;
    println!("| {features} | {segments} | {most} | {first:.2} | {longest:.2} | {unit:.0} |");
}

/// Generates customers in overlapping groups, one per possible segment.
struct Customers {
    state: u64,
    centres: Vec<Vec<f64>>,
}

impl Customers {
    fn new(features: usize, centres: usize) -> Self {
        let mut customers = Self {
            state: 1,
            centres: Vec::new(),
        };
        customers.centres = (0..centres)
            .map(|_| (0..features).map(|_| customers.normal()).collect())
            .collect();
        customers
    }

    fn sample(&mut self, count: usize) -> Vec<(u64, Vec<f64>)> {
        let customer = |_| {
            let index = (self.next() % self.centres.len() as u64) as usize;
            let centre = self.centres[index].clone();
            let vector = centre.iter().map(|x| x + 0.7 * self.normal()).collect();
            (self.next(), vector)
        };
        (0..count).map(customer).collect()
    }

    /// An approximately normal number with mean 0 and variance 1.
    fn normal(&mut self) -> f64 {
        let draw = |customers: &mut Self| (customers.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (0..12).map(|_| draw(self)).sum::<f64>() - 6.0
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// CPU time of this thread, which does not include other load on the machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split_whitespace().next();
    first
        .and_then(|ns| ns.parse::<f64>().ok())
        .unwrap_or(f64::NAN)
        / 1e9
}
