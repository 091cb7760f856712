// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How long to wait before trying a lost connection again.
//!
//! Exponential with *full* jitter: each delay is drawn evenly from zero to a ceiling that doubles
//! up to a cap. A fleet that lost one broker at one instant then comes back spread over the whole
//! ceiling and not in step, which half or no jitter would leave it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Ceilings `first`, `first * factor`, `first * factor²`, … up to `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exponential {
    first: Duration,
    factor: u32,
    cap: Duration,
}

/// Why a set of numbers is no [`Exponential`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    /// A first ceiling of zero never grows: the caller would spin.
    #[error("the first delay must be longer than zero")]
    ZeroFirst,
    /// With a factor of zero every ceiling after the first is zero.
    #[error("the factor must be at least 1")]
    ZeroFactor,
    /// The cap would cut the first ceiling already.
    #[error("the longest delay must not be shorter than the first")]
    CapBelowFirst,
}

impl Exponential {
    /// For connections to a server: 0.25 s, doubled up to a minute.
    pub const CONNECT: Self =
        Self { first: Duration::from_millis(250), factor: 2, cap: Duration::from_secs(60) };

    /// # Errors
    ///
    /// [`InvalidBackoff`] for numbers that would spin or contradict each other.
    pub fn new(first: Duration, factor: u32, cap: Duration) -> Result<Self, InvalidBackoff> {
        if first.is_zero() {
            Err(InvalidBackoff::ZeroFirst)
        } else if factor == 0 {
            Err(InvalidBackoff::ZeroFactor)
        } else if cap < first {
            Err(InvalidBackoff::CapBelowFirst)
        } else {
            Ok(Self { first, factor, cap })
        }
    }
}

/// The delays of one connection: the next is longer until [`Backoff::reset`].
pub struct Backoff {
    policy: Exponential,
    ceiling: Duration,
    random: Box<dyn FnMut() -> u64 + Send>,
}

impl Backoff {
    /// Starts at the first ceiling of `policy`.
    pub fn new(policy: Exponential) -> Self {
        Self::with_random(policy, split_mix(seed()))
    }

    /// As [`Backoff::new`], drawing from `random`, which gives evenly spread numbers.
    pub fn with_random(policy: Exponential, random: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self { policy, ceiling: policy.first, random: Box::new(random) }
    }

    /// The delay before the next try; each call raises the ceiling of the one after it.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(self.policy.factor).min(self.policy.cap);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product spreads evenly over 0..nanos without a division.
        let drawn = (u128::from((self.random)()) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }

    /// Back to the first ceiling: the connection works.
    pub fn reset(&mut self) {
        self.ceiling = self.policy.first;
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("policy", &self.policy)
            .field("ceiling", &self.ceiling)
            .finish_non_exhaustive()
    }
}

/// `RandomState` is seeded by the system and differs by call, which is all that jitter needs.
fn seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

/// SplitMix64 (Steele, Lea, Flood 2014): any seed will do, also zero.
fn split_mix(mut state: u64) -> impl FnMut() -> u64 + Send {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn highest(policy: Exponential) -> Backoff {
        Backoff::with_random(policy, || u64::MAX)
    }

    fn rounded(backoff: &mut Backoff) -> u128 {
        (backoff.next_delay() + Duration::from_micros(500)).as_millis()
    }

    #[test]
    fn doubles_to_the_cap_and_starts_again_after_a_reset() {
        let mut backoff = highest(Exponential::CONNECT);
        let delays: Vec<u128> = (0..10).map(|_| rounded(&mut backoff)).collect();
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        backoff.reset();
        assert_eq!(rounded(&mut backoff), 250);
    }

    #[test]
    fn jitter_is_full_and_even() {
        let policy = Exponential::new(MS(1000), 1, MS(1000)).unwrap();
        let mut backoff = Backoff::with_random(policy, split_mix(7));
        let mut tenths = [0u32; 10];
        for _ in 0..10_000 {
            let delay = backoff.next_delay();
            assert!(delay < MS(1000));
            tenths[usize::try_from(delay.as_millis() / 100).unwrap()] += 1;
        }
        for count in tenths {
            assert!((900..1100).contains(&count), "{tenths:?}");
        }
        assert_eq!(Backoff::with_random(policy, || 0).next_delay(), Duration::ZERO);
    }

    #[test]
    fn two_nodes_do_not_keep_step() {
        let mut one = Backoff::new(Exponential::CONNECT);
        let mut other = Backoff::new(Exponential::CONNECT);
        assert!((0..8).any(|_| one.next_delay() != other.next_delay()));
    }

    #[test]
    fn refuses_what_would_spin() {
        use InvalidBackoff::{CapBelowFirst, ZeroFactor, ZeroFirst};
        assert_eq!(Exponential::new(MS(0), 2, MS(9)), Err(ZeroFirst));
        assert_eq!(Exponential::new(MS(1), 0, MS(9)), Err(ZeroFactor));
        assert_eq!(Exponential::new(MS(9), 2, MS(1)), Err(CapBelowFirst));
        let huge = Exponential::new(Duration::MAX, u32::MAX, Duration::MAX).unwrap();
        let mut backoff = highest(huge);
        assert!(backoff.next_delay() <= backoff.next_delay());
    }
}
