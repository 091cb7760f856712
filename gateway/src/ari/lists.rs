// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Parameters that name several things. A node takes those of a query apart in its own way: it drops
//! quotes and backslashes, and no comma separates within quotes or brackets. What it would read
//! otherwise than we do is refused; in a JSON body too, as nodes get lists of those in queries.

use serde_json::Value;

use super::Refusal;

/// The names of those that nodes read.
pub(super) const LISTS: [&str; 3] = ["channel", "eventSource", "source"];

/// The elements of a text.
pub(super) fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// The elements of a JSON member, which is a text or a list of texts. A comma in them would separate
/// nothing there.
pub(super) fn members<'a>(name: &str, member: &'a Value) -> Result<Vec<&'a str>, Refusal> {
    let members = match member {
        Value::String(text) => Some(vec![text.as_str()]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    };
    members.ok_or_else(|| Refusal::bad(format!("{name} in the body is no list of texts")))
}

/// Refuses what a node would not take for one element.
pub(super) fn check(name: &str, element: &str) -> Result<(), Refusal> {
    let leaves_open = |opening: char, closing: char| {
        let depth = element.chars().fold(0_usize, |depth, letter| match letter {
            _ if letter == opening => depth + 1,
            _ if letter == closing => depth.saturating_sub(1),
            _ => depth,
        });
        depth > 0
    };
    if element.contains(['"', '\\', ',']) || leaves_open('(', ')') || leaves_open('[', ']') {
        return Err(Refusal::bad(format!(
            "an element of {name} has a quote, a backslash, a comma or an open bracket"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_node_would_take_apart_otherwise_is_refused() {
        for fine in ["1732.5;2", "deviceState:Custom:a(b)", "endpoint:PJSIP/[::1]", "a)", "é b"] {
            assert!(check("source", fine).is_ok(), "{fine}");
        }
        for wrong in ["\"channel:\"", "chann\\el:", "x,channel:", "x(", "[x", "(x[)", "())("] {
            assert_eq!(check("source", wrong).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn a_member_is_texts() {
        assert_eq!(members("channel", &json!("a,b")).unwrap(), ["a,b"]);
        assert_eq!(members("channel", &json!(["a", ""])).unwrap(), ["a", ""]);
        for wrong in [json!(5), json!(null), json!({}), json!(["a", 5])] {
            assert_eq!(members("channel", &wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
