//! So many at once, then so many a minute, for each of many: token buckets.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Buckets kept at once: a stranger with many addresses must not fill the memory.
const KEPT: usize = 1024;

/// A bucket for each `K`.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    full: u32,
    refill: Duration,
    /// When each bucket will be full again, by time since boot.
    kept: Mutex<HashMap<K, Duration>>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets that hold `full` and get one back each `refill`.
    pub(super) fn new(full: u32, refill: Duration) -> Self {
        Self { full, refill, kept: Mutex::default() }
    }

    /// Takes one from the bucket of `key` at time `now` since boot.
    ///
    /// # Errors
    /// How long until there is one again.
    pub(super) fn take(&self, key: K, now: Duration) -> Result<(), Duration> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&key) {
            kept.retain(|_, full_at| *full_at > now);
            if kept.len() >= KEPT {
                return Err(self.refill);
            }
        }
        let full_at = kept.entry(key).or_default();
        let next = (*full_at).max(now) + self.refill;
        let limit = now + self.refill * self.full;
        match next.checked_sub(limit) {
            None | Some(Duration::ZERO) => {
                *full_at = next;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }
}

/// The network that an address stands for: one customer of an IPv6 network has 2^64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let buckets = Buckets::new(3, SECOND);
        let now = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(buckets.take("a", now), Ok(()));
        }
        assert_eq!(buckets.take("a", now), Err(SECOND));
        assert_eq!(buckets.take("b", now), Ok(()), "others have their own");
        assert_eq!(buckets.take("a", now + SECOND / 4), Err(3 * SECOND / 4));
        assert_eq!(buckets.take("a", now + SECOND), Ok(()));
        assert_eq!(buckets.take("a", now + SECOND), Err(SECOND));
        for _ in 0..3 {
            assert_eq!(buckets.take("a", now + 60 * SECOND), Ok(()));
        }
        assert!(buckets.take("a", now + 60 * SECOND).is_err());
    }

    #[test]
    fn so_many_buckets_are_kept_and_the_full_ones_go() {
        let buckets = Buckets::new(1, SECOND);
        for key in 0..KEPT {
            assert_eq!(buckets.take(key, SECOND), Ok(()));
        }
        assert!(buckets.take(KEPT, SECOND).is_err());
        assert_eq!(buckets.take(KEPT, 3 * SECOND), Ok(()));
        assert_eq!(buckets.kept.lock().unwrap().len(), 1);
    }

    #[test]
    fn neighbours_in_one_network_share_a_bucket() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
