//! Invents entries that look like a working workspace: the same seed, the same entries.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::model::timestamp::Timestamp;
use crate::simulator::entry::{Entry, IdMaker, Service};
use crate::simulator::knobs::{Knobs, Spread};
use crate::simulator::traffic::Late;

/// Indexing takes a few milliseconds (4 ms in the one published pair of times).
const INDEXING_MS: std::ops::Range<u64> = 3..40;

const USERS: [&str; 8] = [
    "jane.doe@example.com",
    "amir.khan@example.com",
    "björn.ångström@example.se",
    "mei.lin@example.org",
    "o'brien@example.ie",
    "ops-automation@example.com",
    "zoë.müller@example.de",
    "contractor+7@example.net",
];

const NAMES: [&str; 6] =
    ["SN-4X1009", "köln-rack-3", "東京-storage-1", "lab \"blue\"", "edge\\7", "🚀 launch-pad"];

const REGIONS: [&str; 4] = ["us-west", "us-east", "eu-central", "ap-northeast"];

const SERVICES: [(&str, &str); 3] = [
    ("68067533-5764-401a-9620-24e6e2cdc574", "Backup and Recovery"),
    ("d46569ae-0516-4dd2-81ce-b6d645842acc", "Compute Ops Management"),
    ("4e9e0d53-7a0b-4f7c-9d0f-6a6f0d2a1c55", "Data Services"),
];

/// Service (0 is the platform, else one above its place in [`SERVICES`]), category, text.
const KINDS: [(usize, &str, &str); 12] = [
    (0, "User Management", "User {user} logged in"),
    (0, "User Management", "User {user} logged out"),
    (0, "User Management", "User {user} was invited to the workspace"),
    (0, "Customer Management", "Loading workspace for user {user}"),
    (0, "Credential Management", "API client credential {name} created"),
    (0, "Device Management", "Device {name} assigned to Compute Ops Management"),
    (0, "Subscription Management", "Subscription {name} applied to 12 devices"),
    (0, "API Gateway", "Rate limit of client {name} changed"),
    (1, "Storage Settings", "Storage firmware of {name} updated"),
    (2, "Firmware", "Firmware of server {name} updated to 2.98"),
    (2, "Server Management", "Server {name} powered on by {user}"),
    (3, "Volume Management", "Volume {name} resized to 2 TiB"),
];

/// A seeded source of entries.
#[derive(Debug)]
pub struct Inventor {
    rng: StdRng,
    ids: IdMaker,
    users: Vec<Arc<str>>,
    categories: Vec<Arc<str>>,
    /// The platform, then every service in every region.
    services: Vec<Arc<Service>>,
}

impl Inventor {
    /// Starts the sequence of entries that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut services = vec![Arc::new(Service::platform())];
        for (id, name) in SERVICES {
            services.extend(REGIONS.map(|region| {
                let (id, name) = (id.to_owned(), name.to_owned());
                Arc::new(Service { id, name, region: Some(region.to_owned()) })
            }));
        }
        Self {
            ids: IdMaker::new(rng.random()),
            rng,
            users: USERS.map(Arc::from).to_vec(),
            categories: KINDS.map(|(_, category, _)| Arc::from(category)).to_vec(),
            services,
        }
    }

    /// How late the next entry is, if it is among the late ones.
    pub fn draw_late(&mut self, knobs: &Knobs) -> Late {
        let share = match knobs.late_spread {
            Spread::Fixed => 1.0,
            spread => spread.share(self.rng.random_range(0.0..1.0)),
        };
        let delay = Duration::try_from_secs_f64(knobs.late_seconds * share);
        Late { fraction: knobs.late_fraction, delay: delay.unwrap_or_default() }
    }

    /// Invents an entry that happened at `created_at`; some become visible late.
    pub fn invent(&mut self, created_at: Timestamp, late: Late) -> Entry {
        let kind = self.rng.random_range(0..KINDS.len());
        let (service, _, text) = KINDS[kind];
        let user = self.rng.random_range(0..USERS.len());
        let mut visible_at =
            created_at.plus(Duration::from_millis(self.rng.random_range(INDEXING_MS)));
        if self.rng.random_bool(late.fraction.clamp(0.0, 1.0)) {
            visible_at = visible_at.plus(late.delay);
        }
        let service = match service {
            0 => 0,
            at => 1 + (at - 1) * REGIONS.len() + self.rng.random_range(0..REGIONS.len()),
        };
        let name = NAMES[self.rng.random_range(0..NAMES.len())];
        Entry {
            id: self.ids.next_id(visible_at),
            created_at,
            visible_at,
            username: Arc::clone(&self.users[user]),
            category: Arc::clone(&self.categories[kind]),
            description: text.replace("{user}", USERS[user]).replace("{name}", name),
            service: Arc::clone(&self.services[service]),
            ip_address: self.address(),
            info: self.info(),
            has_details: self.rng.random_bool(0.1),
        }
    }

    /// A moment in the `part`-th of `parts` equal parts of `[from, until)`.
    pub fn moment(&mut self, from: Timestamp, until: Timestamp, part: (u64, u64)) -> Timestamp {
        let length = i128::try_from(until.since(from).as_micros()).unwrap_or(0);
        let (index, parts) = (i128::from(part.0), i128::from(part.1.max(1)));
        let (start, end) = (length * index / parts, length * (index + 1) / parts);
        let within = u64::try_from(end - start).unwrap_or(0).max(1);
        let micros = start + i128::from(self.rng.random_range(0..within));
        from.plus(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Time to the next entry when `rate` come in a second on average.
    pub fn pause(&mut self, rate: f64) -> Duration {
        let uniform: f64 = self.rng.random_range(f64::MIN_POSITIVE..1.0);
        Duration::try_from_secs_f64(-uniform.ln() / rate).unwrap_or(Duration::MAX)
    }

    /// One entry in twelve names no address, as device events do.
    fn address(&mut self) -> Option<IpAddr> {
        let host = self.rng.random_range(1..=254);
        (!self.rng.random_bool(1.0 / 12.0)).then(|| Ipv4Addr::new(203, 0, 113, host).into())
    }

    fn info(&mut self) -> Vec<(String, String)> {
        if !self.rng.random_bool(0.2) {
            return Vec::new();
        }
        let mut serial = String::from("CZ");
        write!(serial, "{:08X}", self.rng.random::<u32>()).expect("writing to a String");
        vec![("serialNumber".to_owned(), serial)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_entries() {
        let at = Timestamp::from_secs(1_700_000_000);
        let make = |seed| {
            let mut inventor = Inventor::new(seed);
            (0..50).map(|_| inventor.invent(at, Late::default())).collect::<Vec<_>>()
        };
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
    }

    #[test]
    fn moments_stay_inside_their_part_and_in_order() {
        let (from, until) = (Timestamp::from_secs(100), Timestamp::from_secs(110));
        let mut inventor = Inventor::new(1);
        let moments: Vec<_> = (0..20).map(|at| inventor.moment(from, until, (at, 20))).collect();
        assert!(moments.is_sorted());
        assert!(moments.iter().all(|at| (from..until).contains(at)));
    }

    #[test]
    fn the_asked_fraction_is_late_by_the_asked_delay() {
        let late = Late { fraction: 0.25, delay: Duration::from_mins(10) };
        let at = Timestamp::from_secs(1_700_000_000);
        let mut inventor = Inventor::new(9);
        let count = (0..4_000)
            .filter(|_| inventor.invent(at, late).visible_at >= at.plus(late.delay))
            .count();
        assert!((800..1_200).contains(&count), "{count} of 4000");
    }
}
