//! The customers: six kinds whose habits drift, and between which customers move.

use super::calendar::{DAY_MS, START_MS};
use super::random::Random;

/// The habits of a kind of customer at a time.
pub(super) struct Habits {
    /// Mean number of steps of a visit before it ends or leads to an order.
    pub(super) steps: f64,
    /// Share of visits that end in an order.
    pub(super) buys: f64,
    /// Mean price of a piece, cents.
    pub(super) price_cents: f64,
    /// Mean number of pieces of a product.
    pub(super) pieces: f64,
    /// Share of orders with a refund.
    pub(super) returns: f64,
    /// Share of orders with a coupon.
    pub(super) coupon: f64,
}

/// Habits of each kind at the start and at the end. In between they drift linearly.
const KINDS: [[[f64; 6]; 2]; 6] = [
    // steps, buys, cents, pieces, returns, coupon
    [
        [9.0, 0.02, 1500.0, 1.0, 0.05, 0.1],
        [7.0, 0.03, 1500.0, 1.0, 0.05, 0.1],
    ], // looks around
    [
        [5.0, 0.35, 1200.0, 1.5, 0.03, 0.1],
        [5.0, 0.35, 1800.0, 1.5, 0.03, 0.1],
    ], // regular
    [
        [7.0, 0.20, 500.0, 2.0, 0.05, 0.8],
        [8.0, 0.30, 400.0, 3.0, 0.08, 0.9],
    ], // hunts bargains
    [
        [10.0, 0.50, 2500.0, 6.0, 0.03, 0.0],
        [9.0, 0.60, 3500.0, 12.0, 0.02, 0.0],
    ], // resells
    [
        [6.0, 0.40, 4000.0, 1.0, 0.45, 0.1],
        [6.0, 0.40, 4000.0, 1.0, 0.60, 0.1],
    ], // sends back
    [
        [4.0, 0.15, 3000.0, 1.0, 0.08, 0.2],
        [4.0, 0.25, 3500.0, 1.0, 0.05, 0.2],
    ], // buys presents
];
/// Share of each kind, percent.
const SHARES: [u64; 6] = [30, 25, 18, 4, 8, 15];

pub(super) const COUNTRIES: [&str; 8] = ["DE", "FR", "GB", "NL", "ES", "IT", "PL", "SE"];
pub(super) const AGE_BANDS: [&str; 6] = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"];

pub(super) struct Population {
    seed: u64,
    days: u32,
    /// Cumulated activity of the customers, the most active first.
    activity: Vec<f64>,
    /// Customer ids by rank of activity, shuffled so that ids do not reveal it.
    by_rank: Vec<u32>,
}

impl Population {
    pub(super) fn new(customers: u32, days: u32, seed: u64, random: &mut Random) -> Self {
        let mut sum = 0.0;
        // Zipf's law; the offset prevents that the first few customers cause most events
        let offset = 10.0 + f64::from(customers) / 100.0;
        let activity = (0..customers).map(|rank| {
            sum += 1.0 / (f64::from(rank) + offset);
            sum
        });
        let activity = activity.collect();
        let mut by_rank: Vec<u32> = (0..customers).collect();
        for place in (1..by_rank.len()).rev() {
            by_rank.swap(place, random.below(place as u64 + 1) as usize);
        }
        Self {
            seed,
            days,
            activity,
            by_rank,
        }
    }

    /// Draws a customer that is active at a time.
    pub(super) fn visitor(&self, at_ms: i64, random: &mut Random) -> Customer {
        let total = self.activity.last().copied().unwrap_or(0.0);
        let mut draw = || {
            let wanted = random.unit() * total;
            let rank = self
                .activity
                .partition_point(|&sum| sum <= wanted)
                .min(self.by_rank.len() - 1);
            Customer::new(self.by_rank[rank], self.seed, self.days)
        };
        // bounded, since a small population may have no active customer in the first hours
        (0..10)
            .map(|_| draw())
            .find(|customer| customer.is_active(at_ms))
            .unwrap_or_else(draw)
    }
}

pub(super) struct Customer {
    pub(super) id: u32,
    pub(super) country: &'static str,
    pub(super) age_band: &'static str,
    /// The first of the few categories that this customer looks at.
    pub(super) category: u64,
    kind: usize,
    kind_later: usize,
    moves_ms: i64,
    joins_ms: i64,
    leaves_ms: i64,
    days: u32,
}

impl Customer {
    fn new(id: u32, seed: u64, days: u32) -> Self {
        let mut random = Random::of_customer(seed, id);
        let kind = kind(&mut random);
        let span_ms = (i64::from(days) * DAY_MS) as f64;
        let mut moment = |probability: f64, otherwise: i64| {
            let (happens, share) = (random.chance(probability), random.unit());
            if happens {
                START_MS + (span_ms * share) as i64
            } else {
                otherwise
            }
        };
        let moves_ms = moment(0.25, i64::MAX);
        let joins_ms = moment(0.35, START_MS);
        let leaves_ms = moment(0.20, i64::MAX);
        Self {
            id,
            country: random.pick(&COUNTRIES),
            age_band: random.pick(&AGE_BANDS),
            category: random.next(),
            kind,
            kind_later: self::kind(&mut random),
            moves_ms,
            joins_ms,
            leaves_ms,
            days,
        }
    }

    fn is_active(&self, at_ms: i64) -> bool {
        self.joins_ms <= at_ms && (at_ms < self.leaves_ms || self.leaves_ms < self.joins_ms)
    }

    pub(super) fn habits(&self, at_ms: i64) -> Habits {
        let kind = if at_ms < self.moves_ms {
            self.kind
        } else {
            self.kind_later
        };
        let share = (at_ms - START_MS) as f64 / (i64::from(self.days) * DAY_MS) as f64;
        let [first, last] = KINDS[kind];
        let [steps, buys, price_cents, pieces, returns, coupon] =
            std::array::from_fn(|place| first[place] + share * (last[place] - first[place]));
        Habits {
            steps,
            buys,
            price_cents,
            pieces,
            returns,
            coupon,
        }
    }
}

fn kind(random: &mut Random) -> usize {
    let wanted = random.below(SHARES.iter().sum());
    let mut sum = 0;
    let found = SHARES.iter().position(|share| {
        sum += share;
        wanted < sum
    });
    found.unwrap_or(0)
}
