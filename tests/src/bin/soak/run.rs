// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The soak itself: its minutes, and what they say together.

use std::time::{Duration, Instant};

use rig::root::Root;
use rig::{Broker, eventually, seconds};

use crate::Plan;
use crate::fault::Fault;
use crate::figures::Figures;
use crate::load::Load;
use crate::servers::Servers;
use crate::slope::Slope;

const MINUTE: Duration = seconds(60);
/// When a minute's fault begins.
const FAULT_AT: Duration = seconds(5);
/// A rise of memory that is taken for none: a byte an event.
const ALLOWED_AN_EVENT: f64 = 1.0;
/// Minutes until each fault has been there, the first being without one.
const WARM: usize = Fault::ALL.len() + 1;
/// Minutes that a slope needs.
const LEAST: usize = 5;
/// The longest recovery.
const RECOVERY: Duration = seconds(120);

pub(crate) fn run(plan: Plan) -> bool {
    let Plan { minutes, rate } = plan;
    for root in [Root::Testing, Root::Bullseye] {
        let _ = root.path();
    }
    println!("==> starting RabbitMQ, Consul, Asterisk");
    let broker = Broker::own();
    let servers = Servers::start(&broker);
    let process = servers.asterisk.process();

    println!("==> half a minute of load, then rest: what to compare with");
    Load::start(&servers.asterisk, rate, seconds(30)).end(&servers);
    let base = Figures::at_rest(&process);
    println!("    {}", line(&base));

    println!(
        "==> {minutes} minutes of {rate} events a second, two calls a second, a fault a minute"
    );
    println!(
        "{:>4}  {:<18} {:>7} {:>9} {:>8} {:>8} {:>8} {:>5}",
        "min", "fault", "well in", "events/s", "RSS MiB", "PSS MiB", "threads", "fds"
    );
    let length = MINUTE * u32::try_from(minutes).unwrap_or(u32::MAX);
    let mut load = Load::start(&servers.asterisk, rate, length);
    let mut rows = Vec::new();
    let faults = Fault::ALL.into_iter().cycle();
    let faults = std::iter::once(None).chain(faults.map(Some)).take(minutes);
    for (minute, fault) in (1..).zip(faults) {
        let begun = Instant::now();
        let seen = servers.counter("seen");
        std::thread::sleep(FAULT_AT);
        let recovery = fault.map(|fault| {
            fault.happen(&servers);
            let healed = Instant::now();
            servers.wait_well(RECOVERY);
            healed.elapsed()
        });
        std::thread::sleep((MINUTE - seconds(6)).saturating_sub(begun.elapsed()));
        let figures = Figures::of(&process);
        std::thread::sleep(MINUTE.saturating_sub(begun.elapsed()));
        let events = (servers.counter("seen") - seen) as f64 / begun.elapsed().as_secs_f64();
        load.adjust(&servers.asterisk, f64::from(rate), events);
        println!(
            "{minute:>4}  {:<18} {:>7} {events:>9.0} {:>8.1} {:>8.1} {:>8} {:>5}",
            fault.map_or("none", Fault::name),
            recovery.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
            mebibytes(figures.rss),
            mebibytes(figures.pss),
            figures.threads,
            figures.fds,
        );
        rows.push(figures);
    }

    println!("==> the end of all calls and events, then rest");
    let failed = load.end(&servers);
    servers.wait_well(RECOVERY);
    let [queued, dropped] = ["queued", "dropped"].map(|name| servers.counter(name));
    eventually("all events to be confirmed", seconds(30), || {
        let [queued, confirmed] = ["queued", "confirmed"].map(|name| servers.counter(name));
        if queued == confirmed { Ok(()) } else { Err(format!("{confirmed} of {queued}")) }
    });
    let last = Figures::at_rest(&process);
    println!("    {}", line(&last));
    println!("    {queued} events queued, all confirmed but {dropped} dropped");
    let mut faults = judge(plan, &rows, &base, &last);
    faults.extend(failed.into_iter().map(|reason| format!("calls: {reason}")));
    if dropped > 0 {
        faults.push(format!("{dropped} events were dropped"));
    }
    servers.asterisk.assert_alive();
    for fault in &faults {
        eprintln!("soak: {fault}");
    }
    println!("==> {}", if faults.is_empty() { "steady" } else { "not steady" });
    faults.is_empty()
}

/// What is wrong with the figures; the slopes are printed.
fn judge(plan: Plan, rows: &[Figures], base: &Figures, last: &Figures) -> Vec<String> {
    let mut faults = Vec::new();
    // Until each fault has been there once, memory grows to what it takes: buffers, arenas of the C
    // library, pools of Asterisk's.
    let is_judged = plan.minutes >= WARM + LEAST;
    let rows = &rows[if is_judged { WARM } else { plan.minutes / 3 }..];
    println!("==> slopes of the last {} minutes, with their 95 % intervals", rows.len());
    if !is_judged {
        println!("    memory is not judged: that takes {} minutes", WARM + LEAST);
    }
    let series = |figure: fn(&Figures) -> u64| -> Vec<f64> {
        rows.iter().map(|row| figure(row) as f64).collect()
    };
    let allowed = ALLOWED_AN_EVENT * f64::from(plan.rate) * 60.0;
    for (name, values) in [("RSS", series(|row| row.rss)), ("PSS", series(|row| row.pss))] {
        match Slope::of(&values) {
            None => println!("    {name:<8} too few minutes to say"),
            Some(slope) => {
                println!("    {name:<8} {slope}");
                if is_judged && slope.rises_above(allowed) {
                    faults.push(format!("{name} rises: {slope}, more than noise"));
                }
            }
        }
    }
    for (name, values, base, last) in [
        ("threads", series(|row| row.threads as u64), base.threads, last.threads),
        ("files", series(|row| row.fds as u64), base.fds, last.fds),
    ] {
        if let Some(Slope { a_minute, half_width }) = Slope::of(&values) {
            println!("    {name:<8} {a_minute:+.2} ± {half_width:.2} a minute");
        }
        // Fewer: connections that idled before the first fault.
        if last > base {
            faults.push(format!("{last} {name} at the end, {base} before"));
        }
    }
    faults
}

fn line(figures: &Figures) -> String {
    let Figures { rss, pss, threads, fds } = *figures;
    let (rss, pss) = (mebibytes(rss), mebibytes(pss));
    format!("at rest: RSS {rss:.1} MiB, PSS {pss:.1} MiB, {threads} threads, {fds} files")
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
