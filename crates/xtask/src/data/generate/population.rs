//! Who the customers are. Six kinds, whose habits drift, and between which customers move.

use super::calendar::{DAY_MS, START_MS};
use super::random::Random;

/// What a kind of customer does at a time.
pub(super) struct Habits {
    /// Steps of a visit before it ends or is paid for.
    pub(super) steps: f64,
    /// Visits that end in an order.
    pub(super) buys: f64,
    /// Mean price of a piece, in cents.
    pub(super) price_cents: f64,
    /// Pieces of a product.
    pub(super) pieces: f64,
    /// Orders of which something goes back.
    pub(super) returns: f64,
    /// Orders with a coupon.
    pub(super) coupon: f64,
}

/// At the first moment and at the last; between them habits drift from the one to the other.
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
/// How many in a hundred customers are of each kind.
const SHARES: [u64; 6] = [30, 25, 18, 4, 8, 15];

pub(super) const COUNTRIES: [&str; 8] = ["DE", "FR", "GB", "NL", "ES", "IT", "PL", "SE"];
pub(super) const AGE_BANDS: [&str; 6] = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"];

pub(super) struct Population {
    seed: u64,
    days: u32,
    /// Sums of how active customers are, the most active first.
    activity: Vec<f64>,
    /// Which customer is how active, so that ids say nothing.
    by_rank: Vec<u32>,
}

impl Population {
    pub(super) fn new(customers: u32, days: u32, seed: u64, random: &mut Random) -> Self {
        let mut sum = 0.0;
        // Zipf's law; the offset keeps the first few from being most of everything
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

    /// Somebody who is a customer at that time.
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
        // bounded: nobody may be there in the first hours of a small population
        (0..10)
            .map(|_| draw())
            .find(|customer| customer.is_there(at_ms))
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

    fn is_there(&self, at_ms: i64) -> bool {
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
