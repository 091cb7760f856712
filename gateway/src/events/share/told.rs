// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How far a gateway has come with what the nodes publish.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// More publishers than a fleet has. One that is forgotten is told again at worst.
const MOST: usize = 2000;

/// A message's place among those of its publisher, by its id `<eid>/<run>/<number>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    run: Box<str>,
    number: u64,
}

impl Position {
    /// `None` of an id of another form.
    pub(crate) fn of(message_id: &str) -> Option<Self> {
        let (run, number) = message_id.rsplit_once('/')?;
        Some(Self { run: run.into(), number: number.parse().ok()? })
    }
}

/// The last message of each publisher that a gateway has passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Told(BTreeMap<Box<str>, u64>);

impl Told {
    pub(super) fn note(&mut self, position: &Position) {
        match self.0.get_mut(&position.run) {
            Some(last) => *last = position.number.max(*last),
            None => {
                // A publisher's former run goes on no more.
                let of = |run: &str| {
                    let (eid, began) = run.rsplit_once('/')?;
                    Some((eid.to_owned(), began.parse::<u64>().ok()?))
                };
                if let Some((eid, began)) = of(&position.run) {
                    let is_former = |(other, before)| other == eid && before < began;
                    self.0.retain(|run, _| !of(run).is_some_and(is_former));
                }
                if self.0.len() >= MOST {
                    self.0.pop_first();
                }
                self.0.insert(position.run.clone(), position.number);
            }
        }
    }

    /// Whether that one was among them. One without a place is not known to have been.
    pub(super) fn covers(&self, position: Option<&Position>) -> bool {
        position.is_some_and(|position| {
            self.0.get(&position.run).is_some_and(|last| *last >= position.number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_known_by_its_place() {
        let at = |id: &str| Position::of(id);
        assert_eq!((at("e/100/x"), at("5"), at("")), (None, None, None));
        let mut told = Told::default();
        told.note(&at("e/f/100/7").unwrap());
        told.note(&at("e/f/100/5").unwrap());
        assert!(told.covers(at("e/f/100/7").as_ref()) && told.covers(at("e/f/100/1").as_ref()));
        for later in ["e/f/100/8", "e/f/101/1", "e/100/1", "x"] {
            assert!(!told.covers(at(later).as_ref()), "{later}");
        }
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(text, r#"{"e/f/100":7}"#);
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), told);
    }

    #[test]
    fn runs_that_are_over_are_forgotten() {
        let mut told = Told::default();
        for id in ["e/100/7", "f/100/1", "e/200/1", "e/50/1"] {
            told.note(&Position::of(id).unwrap());
        }
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(text, r#"{"e/200":1,"e/50":1,"f/100":1}"#);
        for number in 0..MOST + 5 {
            told.note(&Position::of(&format!("{number}/1/1")).unwrap());
        }
        assert_eq!(told.0.len(), MOST);
    }
}
