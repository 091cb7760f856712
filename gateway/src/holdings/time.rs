// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Times as Asterisk writes them: `2026-11-21T10:26:36.272+0000`.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400_000;

/// The time it is.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    written(i64::try_from(since.as_millis()).unwrap_or_default())
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut time = days * DAY + ((hour * 60 + minute) * 60 + second) * 1000;
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            time += fraction.get(..3)?.parse::<i64>().ok()?;
            fraction.get(3..)?
        }
        None => rest,
    };
    let ahead = match zone {
        "Z" => 0,
        _ => {
            let offset = zone.get(1..3)?.parse::<i64>().ok()? * 60
                + zone.get(3..)?.trim_start_matches(':').parse::<i64>().ok()?;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    u64::try_from(time - ahead * 60_000).ok()
}

fn written(time: i64) -> String {
    let (day, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date(day);
    let (second, fraction) = (rest / 1000, rest % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:03}+0000",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days since 1970 of a date of the Gregorian calendar, whose years are thought to begin in March,
/// so that the day more is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

fn date(days_since: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days_since / 366;
    while days(year + 1, 1, 1) <= days_since {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days(year, month + 1, 1) <= days_since {
        month += 1;
    }
    (year, month, days_since - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000+0000"), Some(0));
        assert_eq!(milliseconds("2026-11-21T10:26:36.272+0000"), Some(1_795_256_796_272));
        assert_eq!(milliseconds("2026-11-21T11:26:36.272+0100"), Some(1_795_256_796_272));
        assert_eq!(milliseconds("2026-11-21T05:26:36-0500"), Some(1_795_256_796_000));
        for text in ["2024-02-29T23:59:59.999+0000", "1999-12-31T00:00:00.001+0000"] {
            let time = milliseconds(text).unwrap();
            assert_eq!(written(i64::try_from(time).unwrap()), text);
        }
        for wrong in ["", "2026", "2026-11-21", "2026-11-21T10:26:36", "é026-11-21T10:26:36Z"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
