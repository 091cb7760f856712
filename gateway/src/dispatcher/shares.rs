// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Weights as Kamailio takes them: of each hundred calls, how many.
//!
//! Its algorithm has a hundred places, rounds each share of them down and gives all that is left over
//! to the last destination. Shares that are a hundred together leave nothing over.

/// Places there are; more nodes than that cannot have one each.
pub(super) const PLACES: u32 = 100;

/// The share of each weight, in their order: one at least, 100 together. There must be no more than
/// 100 weights, and none of them 0.
pub(super) fn shares(weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    if total == 0 {
        return Vec::new();
    }
    // In parts of `total`, so that nothing is rounded: what is due, and what is given.
    let due = |weight: u32| u64::from(weight) * u64::from(PLACES);
    let mut shares: Vec<u32> = weights
        .iter()
        .map(|weight| u32::try_from(due(*weight) / total).unwrap_or(PLACES).max(1))
        .collect();
    let lack =
        |weight: u32, share: u32| i128::from(due(weight)) - i128::from(share) * i128::from(total);
    loop {
        let given: u32 = shares.iter().sum();
        let pairs = weights.iter().zip(shares.iter_mut());
        let (chosen, is_more) = match given.cmp(&PLACES) {
            std::cmp::Ordering::Equal => return shares,
            std::cmp::Ordering::Less => {
                (pairs.max_by_key(|(weight, share)| lack(**weight, **share)), true)
            }
            std::cmp::Ordering::Greater => {
                let able = pairs.filter(|(_, share)| **share > 1);
                (able.min_by_key(|(weight, share)| lack(**weight, **share)), false)
            }
        };
        match chosen {
            Some((_, share)) if is_more => *share += 1,
            Some((_, share)) => *share -= 1,
            None => return shares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_a_hundred_and_nearly_what_is_due() {
        assert_eq!(shares(&[]), [0; 0]);
        assert_eq!(shares(&[7]), [100]);
        assert_eq!(shares(&[1, 3]), [25, 75]);
        assert_eq!(shares(&[1, 1, 2]), [25, 25, 50]);
        let mut third = shares(&[5, 5, 5]);
        third.sort_unstable();
        assert_eq!(third, [33, 33, 34]);
        // Whoever takes calls gets some.
        assert_eq!(shares(&[1, 65535]), [1, 99]);
        assert_eq!(shares(&[1, 1, 1, 65535]), [1, 1, 1, 97]);
        for count in [25, 60, 99, 100] {
            let equal = shares(&vec![3; count]);
            let (least, most) = (equal.iter().min().unwrap(), equal.iter().max().unwrap());
            assert!(*least >= 1 && most - least <= 1, "{count}: {equal:?}");
        }
    }

    #[test]
    fn no_share_is_a_place_or_more_away_from_what_is_due() {
        for seed in 1..200_u32 {
            let weights: Vec<u32> =
                (1..=seed % 20 + 1).map(|place| seed * place * 7919 % 50 + 20).collect();
            let total: u32 = weights.iter().sum();
            let shares = shares(&weights);
            assert_eq!(shares.iter().sum::<u32>(), PLACES);
            for (weight, share) in weights.iter().zip(&shares) {
                let due = f64::from(*weight) * 100.0 / f64::from(total);
                assert!((due - f64::from(*share)).abs() < 1.0, "{weights:?} {shares:?}");
            }
        }
    }
}
