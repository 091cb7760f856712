// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Figures of a real disk: `cargo test --release -p res_stasis_amqp speed -- --ignored --nocapture`,
//! in the folder that `SPOOL_SPEED_DIR` names.

use std::path::Path;

use super::super::disk::Folder;
use super::*;

const EVENTS: usize = 200_000;

#[test]
#[ignore = "figures, no test"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn speed_of_a_real_disk() {
    let dir = std::env::var("SPOOL_SPEED_DIR").unwrap_or_else(|_| "/tmp/spool-speed".into());
    // Each is a run of its own: what one has settled is settled.
    for (boot, sync) in [(1, false), (2, true)] {
        let limits = Limits { events: 100_000, bytes: 256 << 20, overflow: Overflow::DropOldest };
        let identity = run(boot);
        let outbox = Outbox::new("1", limits, Arc::default(), || {});
        let outbox = Arc::new(outbox);
        let opener = Box::new(|dir: &str| Folder::open(Path::new(dir)));
        let mut pump = Pump::new(Arc::clone(&outbox), Arc::new(identity), opener, Instant::now());
        let options = Options { max_bytes: 1 << 30, sync, overflow: Overflow::DropOldest };
        pump.want(Some(Wanted { dir: dir.clone(), options }));
        let template = event(700);
        let start = Instant::now();
        let (mut most, mut pushing) = (0, Duration::ZERO);
        for batch in 0..EVENTS / 1000 {
            let since = Instant::now();
            (0..1000).for_each(|_| outbox.push(template.clone()));
            pushing += since.elapsed();
            let depth = outbox.depth();
            most = most.max(depth.queued_bytes);
            // As if 20,000 came each second: so often are there ticks and syncs.
            pump.turn(
                start + Duration::from_millis(50) * u32::try_from(batch).unwrap(),
                &mut || true,
            );
        }
        let wrote = start.elapsed() - pushing;
        let start = Instant::now();
        let (mut read, mut leased) = (0, Vec::new());
        while outbox.depth() != Depth::default() {
            pump.turn(Instant::now() + Duration::from_secs(3600), &mut || true);
            while outbox.lease(WORKER, 256, 8 << 20, &mut leased) > 0 {
                read += leased.len();
                outbox.settle(WORKER, &leased);
                leased.clear();
            }
        }
        let per_second = |events: usize, time: Duration| events as f64 / time.as_secs_f64();
        println!(
            "sync {sync}: written {:.0}/s, read back {:.0}/s ({read}), memory at most {most}",
            per_second(EVENTS, wrote),
            per_second(read, start.elapsed()),
        );
    }
}
