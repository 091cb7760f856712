// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is printed: each row as it comes, the table, and the list for machines.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::course::Account;
use crate::fault::Fault;

/// A row that has been run: its account, or why there is none.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    pub(crate) account: Account,
    pub(crate) took: Duration,
}

impl Row {
    pub(crate) fn holds(&self) -> bool {
        self.account.broken.is_empty()
    }

    /// In short, when it is over.
    pub(crate) fn say(&self) {
        let account = &self.account;
        let verdict = if self.holds() { "ok" } else { "BROKEN" };
        println!(
            "    {verdict}: {} published, {} received, {} repeated, {} lost, {} dropped; \
             recovered in {:.1} s ({:.0} s)",
            account.published,
            account.received,
            account.repeated,
            account.lost,
            account.dropped,
            account.recover.as_secs_f64(),
            self.took.as_secs_f64(),
        );
        for reason in &account.broken {
            println!("      - {reason}");
        }
    }
}

pub(crate) fn table(rows: &[Row]) {
    println!(
        "\n{:<20} {:>9} {:>9} {:>8} {:>6} {:>8} {:>9} {:>13} {:>9} {:>6} {:>7} {:>6} {:>5}",
        "fault",
        "published",
        "received",
        "repeated",
        "lost",
        "dropped",
        "callback",
        "memory peak",
        "recovered",
        "calls",
        "answer",
        "depth",
        "lines",
    );
    println!(
        "{:<20} {:>9} {:>9} {:>8} {:>6} {:>8} {:>9} {:>13} {:>9} {:>6} {:>7} {:>6} {:>5}",
        "", "", "", "", "", "", "max", "(grown)", "", "", "p99", "max", "",
    );
    for Row { fault, account, .. } in rows {
        let callback =
            account.callback_max_us.map_or_else(|| "-".to_owned(), |max| format!("{max} µs"));
        let mib = |bytes: u64| bytes >> 20;
        let grown = account.grown();
        let memory = format!("{} (+{}) MiB", mib(account.memory_peak), mib(grown));
        let answer = match account.calls {
            0 => "-".to_owned(),
            _ => format!("{} ms", account.call_p99_ms),
        };
        let mark = if account.broken.is_empty() { "" } else { "  BROKEN" };
        println!(
            "{:<20} {:>9} {:>9} {:>8} {:>6} {:>8} {:>9} {:>13} {:>7.1} s {:>6} {:>7} {:>6} {:>5}{mark}",
            fault.name,
            account.published,
            account.received,
            account.repeated,
            account.lost,
            account.dropped,
            callback,
            memory,
            account.recover.as_secs_f64(),
            account.calls,
            answer,
            account.deepest,
            account.lines,
        );
    }
    for row in rows.iter().filter(|row| !row.holds()) {
        println!("\n{}: {}", row.fault.name, row.fault.what);
        for reason in &row.account.broken {
            println!("  - {reason}");
        }
    }
}

/// Writes `target/faults.json`; its path.
pub(crate) fn write(rows: &[Row]) -> PathBuf {
    let list: Vec<_> = rows
        .iter()
        .map(|Row { fault, account, .. }| {
            json!({
                "fault": fault.name,
                "published": account.published,
                "received": account.received,
                "repeated": account.repeated,
                "lost": account.lost,
                "dropped": account.dropped,
                "callback_max_us": account.callback_max_us,
                "memory_peak": account.memory_peak,
                "recover_s": account.recover.as_millis() as f64 / 1000.0,
            })
        })
        .collect();
    let path = rig::root::checkout().join("target/faults.json");
    let text = serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
