// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The values of options: text in, a typed value or the reason why not out.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

const MS_PER_UNIT: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const BYTES_PER_UNIT: [(&str, u64); 3] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)];

/// `250ms`, `5s`, `2m`, `1h`. A bare number is refused: the original modules took some of theirs as
/// milliseconds and some as seconds. `0` needs no unit.
///
/// # Errors
///
/// What is wrong with `text`, to follow "name = 'text': ".
pub fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "must be a number with a unit, such as 250ms, 5s, 2m or 1h";
    let (number, unit) = number_and_unit(text).ok_or(FORM)?;
    let factor = match unit {
        "" if number == 0 => 1,
        _ => factor(&MS_PER_UNIT, unit).ok_or(FORM)?,
    };
    let millis = number.checked_mul(factor).ok_or("is too long")?;
    Ok(Duration::from_millis(millis))
}

/// `64k`, `16m`, `1g` (powers of 1024), or plain bytes.
///
/// # Errors
///
/// As [`duration`].
pub fn size(text: &str) -> Result<u64, String> {
    const FORM: &str = "must be a number of bytes, or one with a unit, such as 64k, 16m or 1g";
    let (number, unit) = number_and_unit(text).ok_or(FORM)?;
    let factor = match unit {
        "" => 1,
        _ => factor(&BYTES_PER_UNIT, unit).ok_or(FORM)?,
    };
    Ok(number.checked_mul(factor).ok_or("is too large")?)
}

/// The words of Asterisk's `ast_true` and `ast_false`, in any case.
///
/// # Errors
///
/// As [`duration`].
pub fn yes_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "y" | "t" | "1" | "on" => Ok(true),
        "no" | "false" | "n" | "f" | "0" | "off" => Ok(false),
        _ => Err("must be yes or no".into()),
    }
}

/// A whole number without sign.
///
/// # Errors
///
/// As [`duration`].
pub fn integer(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

/// Comma separated, blanks around the parts cut, empty parts left out.
pub fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `value`, if `range` has it; `show` writes the bounds in the option's own unit.
///
/// # Errors
///
/// As [`duration`].
pub fn within<T: PartialOrd>(
    value: T,
    range: &impl RangeBounds<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    let bound = |bound| match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(show(value)),
        Bound::Unbounded => None,
    };
    Err(match (bound(range.start_bound()), bound(range.end_bound())) {
        (Some(low), Some(high)) => format!("must be between {low} and {high}"),
        (Some(low), None) => format!("must be at least {low}"),
        (None, Some(high)) => format!("must be at most {high}"),
        (None, None) => "must be a number".to_owned(),
    })
}

/// As [`duration`] reads it, in the largest unit that leaves no rest.
pub fn show_duration(value: &Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    show(millis, &MS_PER_UNIT)
}

/// As [`size`] reads it, in the largest unit that leaves no rest.
pub fn show_size(value: &u64) -> String {
    show(*value, &BYTES_PER_UNIT)
}

/// The candidate that `name` was probably meant to be: at most a third of its letters differ, case
/// aside.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to put in, take out, change, or swap with their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut last_letter = None;
    for (done, letter) in one.iter().enumerate() {
        let mut row = vec![done + 1];
        let mut last_against = None;
        for (column, against) in other.iter().enumerate() {
            let changed = at(&above, column) + usize::from(letter != against);
            let mut least = changed.min(at(&above, column + 1) + 1);
            least = least.min(at(&row, column) + 1);
            if last_letter == Some(against) && last_against == Some(letter) {
                least = least.min(at(&before, column.saturating_sub(1)) + 1);
            }
            row.push(least);
            last_against = Some(against);
        }
        last_letter = Some(letter);
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    let (_, factor) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    Some(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
        .map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text| duration(text).map(|value| value.as_millis());
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("5s"), Ok(5000));
        assert_eq!(millis("2 M"), Ok(120_000));
        assert_eq!(millis("1h"), Ok(3_600_000));
        assert_eq!(millis("0"), Ok(0));
        for bad in ["", "5", "s", "-1s", "1.5s", "5 seconds", "5s 3", "١s"] {
            assert!(duration(bad).unwrap_err().contains("250ms"), "{bad}");
        }
        assert_eq!(millis("18446744073709551615h"), Err("is too long".into()));
    }

    #[test]
    fn sizes() {
        assert_eq!(size("131072"), Ok(131_072));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("16M"), Ok(16 << 20));
        assert_eq!(size("1g"), Ok(1 << 30));
        for bad in ["", "k", "1kb", "1t", "-1", "1,5m"] {
            assert!(size(bad).unwrap_err().contains("64k"), "{bad}");
        }
        assert_eq!(size("18446744073709551615k"), Err("is too large".into()));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for millis in [0, 1, 250, 1000, 1500, 60_000, 300_000, 3_600_000, 5_400_000] {
            let value = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(&value)), Ok(value));
        }
        for bytes in [0, 1, 1023, 1024, 1536, 65_536, 1 << 20, (1 << 30) + 1, 1 << 40] {
            assert_eq!(size(&show_size(&bytes)), Ok(bytes));
        }
        assert_eq!(show_duration(&Duration::from_secs(120)), "2m");
        assert_eq!(show_size(&(256 << 20)), "256m");
    }

    #[test]
    fn yes_and_no_are_the_words_of_asterisk() {
        for word in ["yes", "TRUE", "y", "t", "1", "On"] {
            assert_eq!(yes_no(word), Ok(true));
        }
        for word in ["no", "False", "n", "f", "0", "OFF"] {
            assert_eq!(yes_no(word), Ok(false));
        }
        for word in ["", "enabled", "2", "yess"] {
            assert!(yes_no(word).is_err());
        }
    }

    #[test]
    fn ranges_name_their_bounds() {
        let show = |number: &u64| number.to_string();
        assert_eq!(within(7, &(1..=9), show), Ok(7));
        assert_eq!(within(99_999, &(1..=3600), show), Err("must be between 1 and 3600".into()));
        assert_eq!(within(0, &(1..), show), Err("must be at least 1".into()));
    }

    #[test]
    fn lists_lose_blanks_and_empty_parts() {
        assert_eq!(list(" a, b c ,,d,"), ["a", "b c", "d"]);
        assert!(list(" ").is_empty());
    }

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let known = ["exchange", "exchange_type", "connection", "confirms"];
        assert_eq!(nearest("exchang", known), Some("exchange"));
        assert_eq!(nearest("exchangetype", known), Some("exchange_type"));
        assert_eq!(nearest("conifrms", known), Some("confirms"));
        assert_eq!(nearest("Conection", known), Some("connection"));
        assert_eq!(nearest("vhost", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn distance_counts_slips_of_the_hand() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("hots", "host"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("ca", "abc"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("Straße", "straße"), 0);
    }
}
