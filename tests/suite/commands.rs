// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The commands of Asterisk's CLI.

use rig::{Asterisk, Version, eventually, seconds};
use serde_json::json;

use crate::pair::{Pair, unload, wait_for_connection};

on_each_version!(
    the_status_tells_what_is_published_and_how_it_goes,
    a_connection_is_shown_and_an_unknown_one_names_those_there_are,
    a_test_message_arrives_or_it_is_said_why_not,
    a_wrong_use_shows_the_usage,
    words_are_completed,
);

const CONNECTION: &str = "[second]\ntype = connection\nurl = amqp://127.0.0.1:1/\n";

fn with_two_connections(version: Version) -> Pair {
    Pair::with(version, |conf| conf.more(CONNECTION))
}

fn the_status_tells_what_is_published_and_how_it_goes(version: Version) {
    let pair = with_two_connections(version);
    assert_eq!(pair.asterisk.ari().post("/amqp/Demo").status, 204);
    // Confirms are looked at some times a second.
    let shown = eventually("nothing to be unconfirmed", seconds(10), || {
        let shown = pair.asterisk.cli("amqp show status");
        if shown.contains("  Unconfirmed:  0 events") { Ok(shown) } else { Err(shown) }
    });
    let port = pair.tenant.broker().port();
    let (user, vhost) = (pair.tenant.user(), pair.tenant.vhost());
    for line in [
        "Publishing to exchange 'asterisk' (topic) by connection 'bunny'",
        "  Queue:        0 events, 0 bytes",
        "  Unconfirmed:  0 events, 0 bytes",
        "  Limits:       100000 events, 268435456 bytes in both together",
        "  Applications: 1 (Demo)",
        "Connection 'bunny'",
        &format!(
            "  State:        connected to amqp://{user}@127.0.0.1:{port}/{vhost}; events are published as they come"
        ),
        "  Last error:   none",
        "Connection 'second'",
        "Counters",
    ] {
        assert!(shown.lines().any(|one| one.trim_end() == line), "no {line:?} in:\n{shown}");
    }
    assert!(shown.contains("  Broker:       RabbitMQ 4"), "{shown}");
    let times = shown.lines().find(|line| line.starts_with("  Callbacks:    ")).expect("times");
    assert!(times.contains("none yet") || times.contains(" us, longest "), "{times}");
}

fn a_connection_is_shown_and_an_unknown_one_names_those_there_are(version: Version) {
    let pair = with_two_connections(version);
    let port = pair.tenant.broker().port();
    let (user, vhost) = (pair.tenant.user(), pair.tenant.vhost());
    let shown = pair.asterisk.cli("amqp show connection bunny");
    for line in [
        "Connection 'bunny'",
        &format!("  URL:          amqp://{user}@127.0.0.1:{port}/{vhost}"),
        "  Heartbeat:    10 s",
        "  Frame:        131072 bytes",
        "  Timeout:      5s",
    ] {
        assert!(shown.lines().any(|one| one.trim_end() == line), "no {line:?} in:\n{shown}");
    }
    let second = wait_for_connection(&pair.asterisk, "second", "unreachable");
    assert!(second.contains("amqp://guest@127.0.0.1:1/"), "{second}");

    for unknown in ["nosuch", "BUNNY", "\"\"", "bunny\\ "] {
        let shown = pair.asterisk.cli(&format!("amqp show connection {unknown}"));
        assert!(shown.contains("There is no connection '"), "{shown}");
        assert!(shown.contains("There is: bunny, second"), "{shown}");
    }
    pair.asterisk.assert_alive();
}

fn a_test_message_arrives_or_it_is_said_why_not(version: Version) {
    let pair = with_two_connections(version);
    let asterisk = &pair.asterisk;
    pair.tenant.declare_queue("letters", &json!({}));
    let send = |connection: &str, queue: &str, text: &str| {
        asterisk
            .cli(&format!("amqp test send connection {connection} queue {queue} message {text}"))
    };
    let answer = send("bunny", "letters", "\"Grüße: one, two\"");
    assert_eq!(answer.trim(), "Sent to queue 'letters', and confirmed by the broker");
    let letters = pair.tenant.take("letters", 10);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["payload"], "Grüße: one, two");
    assert_eq!(
        (&letters[0]["exchange"], &letters[0]["routing_key"]),
        (&json!(""), &json!("letters"))
    );

    let answer = send("bunny", "missing", "hello");
    assert!(answer.starts_with("Not sent to queue 'missing': "), "{answer}");
    assert!(answer.contains("no such queue: missing"), "{answer}");
    let answer = send("second", "letters", "hello");
    assert!(answer.starts_with("Not sent to queue 'letters': "), "{answer}");
    let answer = send("third", "letters", "hello");
    assert!(answer.contains("There is: bunny, second"), "{answer}");
    // Neither has hurt the connection.
    assert!(send("bunny", "letters", "again").contains("confirmed by the broker"));
}

fn a_wrong_use_shows_the_usage(version: Version) {
    let pair = Pair::start(version);
    for (wrong, usage) in [
        ("amqp show status now", "Usage: amqp show status"),
        ("amqp show connection", "Usage: amqp show connection <name>"),
        ("amqp show connection bunny more", "Usage: amqp show connection <name>"),
        ("amqp test send connection", "Usage: amqp test send connection <name> queue"),
        ("amqp test send connection bunny", "Usage: amqp test send connection <name> queue"),
        (
            "amqp test send connection bunny queue a message",
            "Usage: amqp test send connection <name> queue",
        ),
        (
            "amqp test send connection bunny message a queue b",
            "Usage: amqp test send connection <name> queue",
        ),
        (
            "amqp test send connection bunny queue a message two words",
            "Usage: amqp test send connection <name> queue",
        ),
    ] {
        let answer = pair.asterisk.cli(wrong);
        assert!(answer.contains(usage), "{wrong}: {answer}");
    }
    let help = pair.asterisk.cli("core show help amqp");
    for words in ["amqp show connection", "amqp show status", "amqp test send connection"] {
        assert!(help.contains(words), "{help}");
    }
    unload(&pair.asterisk);
    assert!(pair.asterisk.cli("amqp show status").contains("No such command"));
}

/// What a Tab at the end of `line` offers.
pub(crate) fn completed(asterisk: &Asterisk, line: &str) -> Vec<String> {
    let begun = line.rsplit(' ').next().unwrap_or_default();
    let answer = asterisk.cli(&format!("_command matchesarray \"{line}\" \"{begun}\""));
    let mut words: Vec<String> =
        answer.split_whitespace().filter(|word| *word != "_EOF_").map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn words_are_completed(version: Version) {
    let pair = with_two_connections(version);
    let offers = |line: &str| completed(&pair.asterisk, line);
    assert_eq!(offers("amqp "), ["show", "spool", "test"]);
    assert_eq!(offers("amqp show "), ["connection", "status"]);
    assert_eq!(offers("amqp show connection "), ["bunny", "second"]);
    assert_eq!(offers("amqp show connection b"), ["bunny"]);
    assert_eq!(offers("amqp show connection x"), [""; 0]);
    assert_eq!(offers("amqp show connection bunny "), [""; 0]);
    assert_eq!(offers("amqp show status "), [""; 0]);
    assert_eq!(offers("amqp test send connection "), ["bunny", "second"]);
    assert_eq!(offers("amqp test send connection bunny "), ["queue"]);
    assert_eq!(offers("amqp test send connection bunny queue a "), ["message"]);
    assert_eq!(offers("amqp test send connection bunny queue a message b "), [""; 0]);
    pair.asterisk.assert_alive();
}
