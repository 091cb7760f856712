// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is wrong with JSON, for the log.

/// Where and of which kind the fault is. serde's own words may quote the text, which may be a
/// value that is nobody's business.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("the JSON ends too early, {place}"),
        Category::Syntax => format!("it is no JSON, {place}"),
        Category::Io | Category::Data => {
            let text = error.to_string();
            let ours = ["is not base64", "more than", "missing field"];
            match ours.iter().any(|words| text.contains(words)) {
                true => text.chars().filter(|c| !c.is_control()).take(100).collect(),
                false => format!("it is not what was expected, {place}"),
            }
        }
    }
}
