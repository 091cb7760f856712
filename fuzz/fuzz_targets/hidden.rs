// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A text that stands for a secret, and where in a file it is one.

use asterisk::config::Section;

/// In the seeds; what a target shows must not have it.
pub(crate) const SECRET: &str = "hunter2";

/// Whether the text stands only in the values of these options. Elsewhere it is no secret, and
/// messages may repeat it.
pub(crate) fn is_only_in(sections: &[Section], options: &[&str]) -> bool {
    sections.iter().all(|section| {
        let of_section = section.name.contains(SECRET) || section.file.contains(SECRET);
        let mut entries = section.entries.iter();
        let is_secret = |name: &str| options.iter().any(|one| one.eq_ignore_ascii_case(name));
        !of_section
            && entries.all(|entry| {
                !entry.name.contains(SECRET)
                    && (is_secret(&entry.name) || !entry.value.contains(SECRET))
            })
    })
}
