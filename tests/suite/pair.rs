// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A node that publishes, and the broker's vhost it publishes to: what nearly every scenario needs.

use std::time::Duration;

pub(crate) use rig::AmqpConf;
use rig::{Asterisk, Broker, Builder, Consumer, Tenant, Version, eventually, seconds};

/// Without the dialplan's own lines, which cost more than the events.
const LOGGER: &str = "[general]\ndateformat = %F %T.%3q\n[logfiles]\n\
                      full => notice,warning,error,debug\n";

/// A node with the module in place and some extensions to call.
pub(crate) fn node(version: Version, conf: &str) -> Builder {
    Asterisk::builder(version)
        .conf("amqp.conf", conf)
        .conf("logger.conf", LOGGER)
        .extension("wait", &["Answer()", "Wait(60)"])
        .extension("set", &["Answer()", "Set(${NAME}=${VALUE})", "Wait(60)"])
        .extension(
            "burst",
            &[
                "Answer()",
                "Set(I=0)",
                "While($[${I} < ${COUNT}])",
                "Set(I=$[${I} + 1])",
                "EndWhile()",
                "Set(DONE=yes)",
                "Wait(60)",
            ],
        )
        .extension("stay", &["Answer()", "Wait(600)"])
        .extension("call", &["Answer()", "Wait(0.1)", "Hangup()"])
        .extension(
            "steady",
            &[
                "Answer()",
                "Set(I=0)",
                "While($[${I} < ${COUNT}])",
                "Set(I=$[${I} + 1])",
                "GosubIf($[${I} % 100 = 0]?rest,1)",
                "EndWhile()",
                "Set(DONE=yes)",
                "Wait(600)",
            ],
        )
        .extension("rest", &["Wait(0.02)", "Return()"])
        .installed_module("res_stasis_amqp")
}

/// A node that is connected to the shared broker, in a vhost of its own.
pub(crate) struct Pair {
    pub(crate) tenant: Tenant<'static>,
    pub(crate) asterisk: Asterisk,
}

impl Pair {
    pub(crate) fn start(version: Version) -> Self {
        Self::with(version, |conf| conf)
    }

    pub(crate) fn with(version: Version, change: impl FnOnce(AmqpConf) -> AmqpConf) -> Self {
        Self::furnished(version, change, |builder| builder)
    }

    /// With more in the node than [`node`] has.
    pub(crate) fn furnished(
        version: Version,
        change: impl FnOnce(AmqpConf) -> AmqpConf,
        furnish: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let tenant = Broker::shared().tenant();
        let conf = change(AmqpConf::new(&tenant.url())).text();
        let asterisk = furnish(node(version, &conf)).start();
        load(&asterisk);
        let pair = Self { tenant, asterisk };
        pair.wait_for_state("connected");
        pair
    }

    /// A consumer of the exchange `asterisk`, by topic.
    pub(crate) fn consumer(&self, keys: &[&str]) -> Consumer {
        Consumer::topic(&self.tenant.url(), "asterisk", keys)
    }

    pub(crate) fn wait_for_state(&self, word: &str) -> String {
        wait_for_state(&self.asterisk, word)
    }

    /// The configuration the tenant's vhost asks for, to be changed and reloaded.
    pub(crate) fn conf(&self) -> AmqpConf {
        AmqpConf::new(&self.tenant.url())
    }

    pub(crate) fn reload(&self, conf: &AmqpConf) {
        self.asterisk.write_conf("amqp.conf", &conf.text());
        let answer = self.asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reloaded successfully"), "{answer}");
    }
}

pub(crate) fn load(asterisk: &Asterisk) {
    let answer = asterisk.cli("module load res_stasis_amqp.so");
    assert!(answer.contains("Loaded res_stasis_amqp.so"), "{answer}\n{}", asterisk.log());
}

pub(crate) fn unload(asterisk: &Asterisk) {
    let answer = asterisk.cli("module unload res_stasis_amqp.so");
    assert!(answer.contains("Unloaded res_stasis_amqp.so"), "{answer}\n{}", asterisk.log());
}

/// The line `State:` of `amqp show status`, once it begins with `word`.
pub(crate) fn wait_for_state(asterisk: &Asterisk, word: &str) -> String {
    eventually(&format!("the connection to be {word}"), seconds(30), || {
        let shown = asterisk.cli("amqp show status");
        let state = shown.lines().find_map(|line| line.trim().strip_prefix("State:"));
        match state.map(str::trim) {
            Some(state) if state.starts_with(word) => Ok(state.to_owned()),
            _ => Err(shown),
        }
    })
}

/// `amqp show connection`, once its state begins with `word`.
pub(crate) fn wait_for_connection(asterisk: &Asterisk, name: &str, word: &str) -> String {
    let wanted = format!("  State:        {word}");
    eventually(&format!("connection {name} to be {word}"), seconds(30), || {
        let shown = asterisk.cli(&format!("amqp show connection {name}"));
        if shown.contains(&wanted) { Ok(shown) } else { Err(shown) }
    })
}

/// One counter of `amqp show status`.
pub(crate) fn counter(asterisk: &Asterisk, name: &str) -> u64 {
    let shown = asterisk.cli("amqp show status");
    let value = shown.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next().and_then(|value| value.parse().ok()))
    });
    value.flatten().unwrap_or_else(|| panic!("no counter {name} in:\n{shown}"))
}

pub(crate) fn wait_for_counter(asterisk: &Asterisk, name: &str, within: Duration, wanted: u64) {
    eventually(&format!("{name} to reach {wanted}"), within, || {
        let value = counter(asterisk, name);
        if value >= wanted { Ok(()) } else { Err(value) }
    });
}
