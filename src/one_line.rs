// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Texts that others wrote, in a line of log or console.

/// `text` without what would begin another line or have a terminal do something: each control
/// character becomes U+FFFD. For whatever a server, a peer or its operators may write.
pub fn on_one_line(text: &str) -> String {
    let visible = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::on_one_line;

    #[test]
    fn no_line_begins_and_no_terminal_obeys() {
        assert_eq!(on_one_line("a\r\nb\x1b[31mü\u{9b}"), "a\u{fffd}\u{fffd}b\u{fffd}[31mü\u{fffd}");
        assert_eq!(on_one_line("50% of a reason"), "50% of a reason");
    }
}
