// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Tones: how they are made, sent as µ-law, and found again in what was heard.

use std::f64::consts::TAU;

/// Samples a second.
pub const RATE: u32 = 8000;
/// From here on a tone is heard: this share of the loudest that there can be. A phone says a tone three
/// times as loud; where frames come late, on a busy machine, a hundredth is in what has no such tone.
pub const HEARD: f64 = 0.03;

/// How much of a tone is in the samples, 1 being as loud as can be: Goertzel's filter.
///
/// # Panics
///
/// With more samples than a day has.
pub fn level(samples: &[i16], tone: u32) -> f64 {
    let step = TAU * f64::from(tone) / f64::from(RATE);
    let (mut sin, mut cos) = (0.0, 0.0);
    for (place, sample) in (0_u32..).zip(samples) {
        let angle = step * f64::from(place);
        sin += f64::from(*sample) * angle.sin();
        cos += f64::from(*sample) * angle.cos();
    }
    let count = u32::try_from(samples.len().max(1)).expect("less than a day");
    2.0 * sin.hypot(cos) / f64::from(count) / 32768.0
}

/// Which of these tones are heard.
pub fn heard(samples: &[i16], of: &[u32]) -> Vec<u32> {
    of.iter().copied().filter(|tone| level(samples, *tone) > HEARD).collect()
}

/// One sample of a tone, as loud as `share` of what there can be; `place` counts samples.
pub fn sample(tone: u32, share: f64, place: u32) -> i16 {
    // A whole number of turns a second: so it is as exact after a day.
    let turn = f64::from(place % RATE) * f64::from(tone) / f64::from(RATE);
    (share * 32767.0 * (TAU * turn).sin()).round() as i16
}

/// µ-law of a sample (ITU-T G.711).
pub fn to_ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 0x84;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32635) + BIAS;
    // The place of the highest bit, 7 at least because of the bias, says which of eight segments.
    let segment = (8 - magnitude.leading_zeros()) as u8;
    let within = (magnitude >> (segment + 3)) as u8 & 0x0f;
    !(sign | segment << 4 | within)
}

/// The sample that a byte of µ-law stands for.
pub fn from_ulaw(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((i16::from(bits & 0x0f) << 3) + 0x84) << (bits >> 4 & 7);
    if bits & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

#[cfg(test)]
mod tests {
    use super::{from_ulaw, heard, level, sample, to_ulaw};

    #[test]
    fn a_byte_of_ulaw_is_the_same_there_and_back() {
        for byte in u8::MIN..=u8::MAX {
            // There are two zeros.
            let same = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(to_ulaw(from_ulaw(byte)), same, "{byte:#x}");
        }
        // Of the table of G.711: the loudest, and the first step.
        assert_eq!((from_ulaw(0x80), from_ulaw(0x00), from_ulaw(0xfe)), (32124, -32124, 8));
    }

    #[test]
    fn a_tone_is_found_as_loud_as_it_is_among_others() {
        let mixed: Vec<i16> = (0..8000)
            .map(|place| sample(440, 0.1, place) + sample(1010, 0.2, place))
            .map(|sample| from_ulaw(to_ulaw(sample)))
            .collect();
        assert!((level(&mixed, 440) - 0.1).abs() < 0.01);
        assert!((level(&mixed, 1010) - 0.2).abs() < 0.01);
        assert_eq!(heard(&mixed, &[440, 620, 1010]), [440, 1010]);
    }
}
