// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! SIP calls with audio, by SIPp.

use std::fs;
use std::time::Duration;

use crate::Asterisk;
use crate::folder::Folder;
use crate::ports;
use crate::process::{Process, Signal, tail};
use crate::root::Root;

const SCENARIO: &str = include_str!("../rig/call.xml");
const RTP_PORTS: u16 = 200;
/// Where SIPp writes its counters.
const COUNTS: &str = "counts.csv";

/// One or several calls that are under way. Killed on drop; Asterisk then sees no hangup.
#[derive(Debug)]
pub struct Call {
    process: Process,
    folder: Folder,
}

impl Call {
    /// Calls an extension as number 4711, sends a tone from the answer on, and hangs up after
    /// `hold` unless Asterisk does before.
    #[track_caller]
    pub fn place(asterisk: &Asterisk, extension: &str, hold: Duration) -> Self {
        Self::several(asterisk, extension, hold, 1, 1)
    }

    /// Places `count` such calls, `rate` a second.
    #[track_caller]
    pub fn several(
        asterisk: &Asterisk,
        extension: &str,
        hold: Duration,
        count: u32,
        rate: u32,
    ) -> Self {
        Self::towards(asterisk.sip_port(), extension, hold, count, rate)
    }

    /// Like [`Call::several`], to whatever takes calls on a port of 127.0.0.1: a proxy.
    #[track_caller]
    pub fn towards(port: u16, extension: &str, hold: Duration, count: u32, rate: u32) -> Self {
        let folder = Folder::new("sip");
        let scenario = SCENARIO.replace("HOLD", &hold.as_millis().to_string());
        let scenario = with_tone(&scenario, &folder);
        Self::begin(folder, &scenario, port, extension, (count, rate))
    }

    /// Like [`Call::towards`], but the callers say nothing, and what they hear goes to a port of
    /// 127.0.0.1: so that many of them cost little.
    #[track_caller]
    pub fn silent(
        port: u16,
        extension: &str,
        hold: Duration,
        (count, rate): (u32, u32),
        audio: u16,
    ) -> Self {
        let scenario = SCENARIO.replace("HOLD", &hold.as_millis().to_string());
        let scenario = scenario.replace("[rtpstream_audio_port]", &audio.to_string());
        let (before, rest) = scenario.split_once("<nop>").unwrap_or((&scenario, ""));
        let after = rest.split_once("</nop>").map_or("", |(_, after)| after);
        let scenario = format!("{before}{after}");
        Self::begin(Folder::new("sip"), &scenario, port, extension, (count, rate))
    }

    fn begin(
        folder: Folder,
        scenario: &str,
        port: u16,
        extension: &str,
        (count, rate): (u32, u32),
    ) -> Self {
        let scenario = folder.write("call.xml", scenario);
        let rtp = ports::block(RTP_PORTS);
        let errors = folder.path().join("errors");
        let process = Root::Testing
            .command("sipp")
            .bind(folder.path())
            // Where it writes its times.
            .current_dir(folder.path())
            .env("TERM", "dumb")
            .arg(format!("127.0.0.1:{port}"))
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"])
            .args(["-p", &ports::free().to_string(), "-cp", &ports::free().to_string()])
            .args(["-min_rtp_port", &rtp.to_string()])
            .args(["-max_rtp_port", &(rtp + RTP_PORTS - 1).to_string()])
            .args(["-s", extension, "-key", "caller", "4711"])
            .args(["-m", &count.to_string(), "-r", &rate.to_string()])
            // By default it has its own idea of how many may be under way.
            .args(["-l", &count.to_string()])
            .args(["-trace_stat", "-fd", "1", "-stf"])
            .arg(folder.path().join(COUNTS))
            // Without an answer at all it gives up.
            .args(["-trace_rtt", "-rtt_freq", "1"])
            .args(["-recv_timeout", "30000", "-trace_err", "-error_file"])
            .arg(&errors)
            .arg("-sf")
            .arg(scenario)
            .spawn("SIPp", &folder.path().join("printed"));
        Self { process, folder }
    }

    /// Waits until all calls have ended.
    ///
    /// # Panics
    ///
    /// When one of them failed, or they take longer than `within`.
    #[track_caller]
    pub fn wait(&self, within: Duration) {
        if let Err(reason) = self.outcome(within) {
            panic!("{reason}");
        }
    }

    /// Waits until all calls have ended; `Err` says why one of them failed.
    ///
    /// # Errors
    ///
    /// What SIPp complained about.
    ///
    /// # Panics
    ///
    /// When they take longer than `within`.
    #[track_caller]
    pub fn outcome(&self, within: Duration) -> Result<(), String> {
        let status = self.process.wait(within);
        if status.success() {
            return Ok(());
        }
        let errors = fs::read_to_string(self.folder.path().join("errors"));
        let errors = errors.unwrap_or_else(|_| tail(&self.process.output(), 40));
        // The end of a call's time is told there too, and is none.
        let is_error = |line: &&str| !line.trim().is_empty() && !line.contains("jumping to label");
        let errors: Vec<&str> = errors.lines().filter(is_error).collect();
        Err(format!("a call failed, SIPp {status}: {}", tail(&errors.join("\n"), 20)))
    }

    /// Places calls until [`Call::hang_up`], `rate` a second.
    #[track_caller]
    pub fn endless(asterisk: &Asterisk, extension: &str, hold: Duration, rate: u32) -> Self {
        Self::several(asterisk, extension, hold, 1_000_000, rate)
    }

    /// Places no more calls; those that are under way go on to their ends.
    pub fn hang_up(&self) {
        self.process.signal(Signal::USR1);
    }

    /// How long it was from INVITE to 200 OK, for each call that was answered.
    pub fn answer_times(&self) -> Vec<Duration> {
        let files = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let is_times = |name: &str| name.ends_with("_rtt.csv");
        let texts = files
            .filter(|file| file.file_name().to_str().is_some_and(is_times))
            .map(|file| fs::read_to_string(file.path()).unwrap_or_default());
        let text = texts.collect::<String>();
        // Date; milliseconds; which. The first line has the names.
        let times = text.lines().filter_map(|line| line.split(';').nth(1)?.trim().parse().ok());
        times.map(|time: f64| Duration::from_secs_f64(time / 1000.0)).collect()
    }

    /// How many calls have failed so far, a moment ago.
    pub fn failed(&self) -> u32 {
        let text = fs::read_to_string(self.folder.path().join(COUNTS)).unwrap_or_default();
        let mut lines = text.lines();
        let names = lines.next().unwrap_or_default().split(';');
        let place = names.into_iter().position(|name| name == "FailedCall(C)");
        let last = lines.next_back().unwrap_or_default();
        place.and_then(|place| last.split(';').nth(place)?.parse().ok()).unwrap_or_default()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it is still under way.
    pub fn is_running(&self) -> bool {
        self.process.ended().is_none()
    }
}

/// With a tone of 400 Hz in µ-law, near enough: ten samples up, ten down.
fn with_tone(scenario: &str, folder: &Folder) -> String {
    let tone: Vec<u8> =
        (0..8000).map(|sample| if sample / 10 % 2 == 0 { 0x9f } else { 0x1f }).collect();
    let tone = folder.write("tone.ulaw", tone);
    scenario.replace("TONE", &tone.display().to_string())
}
