// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What of a run is asked for.

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Bursts,
    Rates,
    Sizes,
    Highest,
    Apps,
    Calls,
}

impl Section {
    pub(crate) const ALL: [Self; 6] =
        [Self::Bursts, Self::Rates, Self::Sizes, Self::Highest, Self::Apps, Self::Calls];

    /// As it is asked for.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bursts => "bursts",
            Self::Rates => "rates",
            Self::Sizes => "sizes",
            Self::Highest => "highest",
            Self::Apps => "apps",
            Self::Calls => "calls",
        }
    }

    /// Those of a list with commas. None: there is something else in it.
    pub(crate) fn listed(names: &str) -> Option<Vec<Self>> {
        let of_name = |name| Self::ALL.into_iter().find(|section| section.name() == name);
        names.split(',').map(of_name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_sections_and_nothing_else() {
        assert_eq!(Section::listed("apps,sizes"), Some(vec![Section::Apps, Section::Sizes]));
        assert_eq!(Section::listed("apps,all"), None);
        assert_eq!(Section::listed(""), None);
    }
}
