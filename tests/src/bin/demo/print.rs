// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the demo shows: steps, and events in columns.

use std::io::{IsTerminal, Write, stdout};
use std::sync::LazyLock;
use std::time::Instant;

use rig::Message;
use serde_json::Value;

static COLOURS: LazyLock<bool> =
    LazyLock::new(|| stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

const BOLD: &str = "1";
const FAINT: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

fn paint(colour: &str, text: &str) -> String {
    if *COLOURS { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Does a step: its name shows before, its result and how long it took after.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> (String, T)) -> T {
    print!("{} {name} … ", paint(BOLD, "==>"));
    let _ = stdout().flush();
    let begun = Instant::now();
    let (result, value) = work();
    println!("{result} {}", paint(FAINT, &format!("({:.1} s)", begun.elapsed().as_secs_f64())));
    value
}

/// What comes is about this.
pub(crate) fn act(title: &str) {
    println!("\n{}", paint(BOLD, title));
}

/// One line of its own.
pub(crate) fn say(text: &str) {
    println!("{} {text}", paint(BOLD, "==>"));
}

/// The head of the columns that [`event`] fills.
pub(crate) fn head() {
    let line = columns("seq", "routing key", "name", "category", "application", "from the body");
    println!("{}", paint(BOLD, line.trim_end()));
}

/// An event as it arrived at the broker: sequence, routing key and headers, then the fields of its
/// body that tell a reader most.
pub(crate) fn event(message: &Message) {
    let header = |name| message.headers.get(name).and_then(Value::as_str).unwrap_or_default();
    let sequence = message.sequence().map_or("-".to_owned(), |sequence| sequence.to_string());
    let line = columns(
        &sequence,
        &message.routing_key,
        header("name"),
        header("category"),
        header("application_name"),
        &detail(&message.json()["data"]),
    );
    let colour = match message.routing_key.split('.').take(2).collect::<Vec<_>>()[..] {
        ["stasis", "app"] => GREEN,
        ["stasis", "channel"] => CYAN,
        ["ami", _] => FAINT,
        _ => YELLOW,
    };
    println!("{}", paint(colour, line.trim_end()));
}

/// A row of a small table: a label, and figures.
pub(crate) fn row(label: &str, figures: impl Iterator<Item = String>) {
    let figures: String = figures.map(|figure| format!("{figure:>9}")).collect();
    println!("      {label:<18}{figures}");
}

fn columns(
    sequence: &str,
    key: &str,
    name: &str,
    category: &str,
    application: &str,
    detail: &str,
) -> String {
    format!("{sequence:>5}  {key:<35} {name:<20} {category:<8} {application:<11} {detail}")
}

/// The first of these that an event has, in this order.
fn detail(data: &Value) -> String {
    const FIELDS: &[(&str, &str)] = &[
        ("", "/channel/name"),
        ("", "/channel/state"),
        ("", "/variable"),
        ("= ", "/value"),
        ("from ", "/channel/caller/number"),
        ("to ", "/channel/dialplan/exten"),
        ("args ", "/args"),
        ("", "/playback/media_uri"),
        ("", "/playback/state"),
        ("bridge ", "/bridge/id"),
        ("", "/cause_txt"),
        ("", "/Channel"),
        ("", "/ChannelStateDesc"),
        ("", "/Variable"),
        ("= ", "/Value"),
        ("from ", "/CallerIDNum"),
        ("to ", "/Exten"),
        ("", "/Application"),
        ("", "/Cause-txt"),
        ("", "/Status"),
    ];
    let shown = FIELDS.iter().filter_map(|(label, pointer)| {
        let text = match data.pointer(pointer)? {
            Value::String(text) if text.is_empty() || text == "<unknown>" => return None,
            Value::String(text) => text.clone(),
            Value::Array(values) if values.is_empty() => return None,
            other => other.to_string(),
        };
        Some(format!("{label}{text}"))
    });
    let words = shown.collect::<Vec<_>>().join(" ");
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(70) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
