// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The section with `type = stasis`: what is published, where to, and what waits.

use asterisk::config::{Reader, Report, Section, value};

use super::options;
use crate::filter::Filter;
use crate::limits::{Limits, Overflow};

/// What is published and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StasisSettings {
    /// The name of the connection; there is one of that name if there was no error.
    pub connection: String,
    /// The exchange; empty: the default one.
    pub exchange: String,
    /// Its type, when it is declared.
    pub exchange_type: ExchangeType,
    /// Whether to declare it.
    pub declare_exchange: bool,
    /// Which manager events.
    pub publish_ami: PublishAmi,
    /// Whether channels' events.
    pub publish_channel_events: bool,
    /// Which of all of them.
    pub filter: Filter,
    /// Delivery mode 2.
    pub persistent: bool,
    /// Publisher confirms.
    pub confirms: bool,
    /// Whether what no queue is bound for comes back.
    pub mandatory: bool,
    /// The bounds of the queue in memory.
    pub limits: Limits,
    /// Where to put what memory cannot hold.
    pub spool: Option<SpoolSettings>,
}

/// A type of exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeType {
    /// By patterns of routing keys.
    Topic,
    /// By headers.
    Headers,
    /// To every queue.
    Fanout,
    /// By whole routing keys.
    Direct,
}

impl ExchangeType {
    /// As AMQP has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::Fanout => "fanout",
            Self::Direct => "direct",
        }
    }
}

/// Which manager events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishAmi {
    /// None.
    No,
    /// What the manager topic carries, as the C module.
    Yes,
    /// Every one, by a manager hook.
    All,
}

/// A spool on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpoolSettings {
    /// Its directory.
    pub dir: String,
    /// What it may hold.
    pub max_bytes: u64,
    /// Whether it is to survive a power failure, and not only a kill of Asterisk.
    pub sync: bool,
}

pub(super) fn read(section: &Section, report: &mut Report) -> StasisSettings {
    let mut options = section.reader(options::STASIS, report);
    options.text("type");
    let types =
        [ExchangeType::Topic, ExchangeType::Headers, ExchangeType::Fanout, ExchangeType::Direct];
    let types = types.map(|one| (one.as_str(), one));
    let settings = StasisSettings {
        connection: options.text("connection"),
        exchange: options.text("exchange"),
        exchange_type: options.choice("exchange_type", &types).unwrap_or(ExchangeType::Topic),
        declare_exchange: options.yes_no("declare_exchange"),
        publish_ami: publish_ami(&mut options),
        publish_channel_events: options.yes_no("publish_channel_events"),
        filter: Filter::new(
            &options.list("exclude_events"),
            &options.list("include_channelvarset_events"),
        ),
        persistent: options.yes_no("persistent"),
        confirms: options.yes_no("confirms"),
        mandatory: options.yes_no("mandatory"),
        limits: limits(&mut options),
        spool: spool(&mut options),
    };
    check_exchange(&mut options, &settings.exchange, settings.declare_exchange);
    options.finish();
    settings
}

fn publish_ami(options: &mut Reader<'_>) -> PublishAmi {
    let parse = |text: &str| {
        if text.eq_ignore_ascii_case("all") {
            return Ok(PublishAmi::All);
        }
        match value::yes_no(text) {
            Ok(true) => Ok(PublishAmi::Yes),
            Ok(false) => Ok(PublishAmi::No),
            Err(_) => Err("must be yes, no or all".to_owned()),
        }
    };
    options.parsed("publish_ami_events", parse).unwrap_or(PublishAmi::Yes)
}

fn limits(options: &mut Reader<'_>) -> Limits {
    let overflows = [("drop_oldest", Overflow::DropOldest), ("drop_newest", Overflow::DropNewest)];
    let events = options.integer("queue_max_events", 1..=100_000_000);
    let bytes = options.size("queue_max_bytes", 65_536..);
    Limits {
        events: usize::try_from(events).unwrap_or(usize::MAX),
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        overflow: options.choice("overflow", &overflows).unwrap_or(Overflow::DropOldest),
    }
}

fn spool(options: &mut Reader<'_>) -> Option<SpoolSettings> {
    let dir = options.text("spool_dir");
    let max_bytes = options.size("spool_max_bytes", 65_536..);
    let sync = options.yes_no("spool_sync");
    if dir.is_empty() {
        return None;
    }
    if !dir.starts_with('/') {
        let text = format!("spool_dir = '{dir}': must be an absolute path");
        options.error("spool_dir", text);
    }
    Some(SpoolSettings { dir, max_bytes, sync })
}

/// What a broker would refuse for ever is refused here, once, with the reason.
fn check_exchange(options: &mut Reader<'_>, exchange: &str, declare: bool) {
    let reason = if exchange.len() > 255 {
        "is longer than 255 bytes"
    } else if !declare {
        return;
    } else if exchange.is_empty() {
        "the default exchange cannot be declared; name another, or set declare_exchange = no"
    } else if exchange.starts_with("amq.") {
        "names beginning with 'amq.' are the broker's and cannot be declared; set declare_exchange \
         = no if it exists"
    } else {
        return;
    };
    options.error("exchange", format!("exchange = '{exchange}': {reason}"));
}
