// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which events are published.

use crate::pattern::Pattern;

/// What `exclude_events` and `include_channelvarset_events` leave of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    excluded: Vec<Pattern>,
    variables: Vec<Pattern>,
}

impl Filter {
    /// Event names to leave out, and the only variables to tell of (none: all). Both may have `*`.
    pub(crate) fn new(excluded: &[String], variables: &[String]) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Self { excluded: patterns(excluded), variables: patterns(variables) }
    }

    /// Whether events of this name are left out, from any source. Case does not matter: the C
    /// module compared it, and `dialend` in its list excluded nothing.
    pub(crate) fn excludes(&self, name: &str) -> bool {
        self.excluded.iter().any(|one| one.fits_any_case(name))
    }

    /// Whether a `ChannelVarset` of this variable is published. Case matters, as it does to Asterisk.
    pub(crate) fn includes_variable(&self, name: &str) -> bool {
        self.variables.is_empty() || self.variables.iter().any(|one| one.fits(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(excluded: &str, variables: &str) -> Filter {
        use asterisk::config::value::list;
        Filter::new(&list(excluded), &list(variables))
    }

    #[test]
    fn events_are_excluded_by_name_in_any_case() {
        let filter = filter("channelvarset, RTCP*", "");
        assert!(filter.excludes("ChannelVarset"));
        assert!(filter.excludes("RTCPSent"));
        assert!(!filter.excludes("VarSet"));
        assert!(!Filter::default().excludes("ChannelVarset"));
    }

    #[test]
    fn variables_are_included_by_exact_name() {
        let filter = filter("", "WAZO_*,CDR(x)");
        assert!(filter.includes_variable("WAZO_TENANT"));
        assert!(filter.includes_variable("CDR(x)"));
        assert!(!filter.includes_variable("wazo_tenant"));
        assert!(!filter.includes_variable(""));
        assert!(Filter::default().includes_variable("anything"));
    }
}
