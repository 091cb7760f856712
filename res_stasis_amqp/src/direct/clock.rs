// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Times as texts. The host takes microseconds for each; few seconds differ.

/// Seconds that are kept.
const PLACES: usize = 64;

/// Whole seconds with their texts, for as long as a minute lasts: the time zone may change.
pub(super) struct Clock {
    places: [Option<Kept>; PLACES],
    minute: i64,
    make: fn(i64) -> Option<String>,
}

/// A whole second.
struct Kept {
    second: i64,
    text: String,
    /// Where in the text the milliseconds are.
    millis: usize,
}

impl Clock {
    /// `make` tells a whole second, with `.000` in it.
    pub(super) fn new(make: fn(i64) -> Option<String>) -> Self {
        Self { places: [const { None }; PLACES], minute: 0, make }
    }

    /// An event of this time begins.
    pub(super) fn is_now(&mut self, (second, _): (i64, i64)) {
        let minute = second.div_euclid(60);
        if self.minute != minute {
            self.minute = minute;
            self.places = [const { None }; PLACES];
        }
    }

    /// Writes a time, seconds and microseconds, as a string.
    pub(super) fn write(&mut self, into: &mut Vec<u8>, time: (i64, i64)) -> Option<()> {
        let (second, micros) = time;
        let millis = u32::try_from(micros).ok().map(|micros| micros / 1000);
        let millis = millis.filter(|millis| *millis < 1000)?;
        let place = usize::try_from(second.rem_euclid(PLACES as i64)).ok()?;
        let place = self.places.get_mut(place)?;
        if place.as_ref().is_none_or(|kept| kept.second != second) {
            let text = (self.make)(second)?;
            let millis = text.find(".000")? + 1;
            *place = Some(Kept { second, text, millis });
        }
        let Kept { text, millis: at, .. } = place.as_ref()?;
        into.push(b'"');
        let begin = into.len() + at;
        into.extend_from_slice(text.as_bytes());
        for (digit, power) in into.get_mut(begin..)?.iter_mut().zip([100, 10, 1]) {
            // A remainder of ten is a digit.
            *digit += u8::try_from(millis / power % 10).unwrap_or_default();
        }
        into.push(b'"');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(second: i64) -> Option<String> {
        (second != 13).then(|| format!("at {second}.000+0100"))
    }

    fn written(clock: &mut Clock, time: (i64, i64)) -> Option<String> {
        let mut into = Vec::new();
        clock.write(&mut into, time).map(|()| String::from_utf8(into).unwrap())
    }

    #[test]
    fn milliseconds_stand_where_they_belong() {
        let mut clock = Clock::new(made);
        for (micros, text) in [(0, "000"), (999, "000"), (5_000, "005"), (78_999, "078")] {
            let wanted = format!("\"at 7.{text}+0100\"");
            assert_eq!(written(&mut clock, (7, micros)).unwrap(), wanted);
        }
        assert_eq!(written(&mut clock, (7 + 64, 999_999)).unwrap(), "\"at 71.999+0100\"");
        assert_eq!(written(&mut clock, (7, 1_000)).unwrap(), "\"at 7.001+0100\"");
        assert_eq!(written(&mut clock, (13, 0)), None);
        assert_eq!(written(&mut clock, (7, 1_000_000)), None);
        assert_eq!(written(&mut clock, (7, -1)), None);
    }

    #[test]
    fn texts_are_made_anew_each_minute() {
        let mut clock = Clock::new(|_| Some("one.000".to_owned()));
        clock.is_now((60, 0));
        assert_eq!(written(&mut clock, (7, 0)).unwrap(), "\"one.000\"");
        clock.make = |_| Some("other.000".to_owned());
        clock.is_now((119, 0));
        assert_eq!(written(&mut clock, (7, 0)).unwrap(), "\"one.000\"");
        clock.is_now((120, 0));
        assert_eq!(written(&mut clock, (7, 0)).unwrap(), "\"other.000\"");
    }
}
