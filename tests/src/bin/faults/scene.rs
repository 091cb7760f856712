// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a fault happens: a broker with a queue that keeps everything, a proxy before it, and a
//! node that publishes.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rig::folder::Folder;
use rig::{AmqpConf, Asterisk, Broker, Consumer, Proxy, Tenant, Version, eventually, seconds};
use serde_json::json;

use crate::fault::{Fault, Stand};
use crate::ledger::Ledger;
use crate::load::{Channel, extensions, hang_up};
use crate::module::{Status, wait_state};
use crate::witness::{self, Testimony, WITNESS};

/// The queue that keeps everything.
pub(crate) const KEPT: &str = "kept";
pub(crate) const EXCHANGE: &str = "asterisk";

/// What the module may hold in memory, where a fault does not say otherwise.
pub(crate) const QUEUE_BYTES: u64 = 64 << 20;

/// Until everything that waited is delivered.
const DELIVERY: Duration = seconds(300);

/// Without the dialplan's own lines, which cost more than the events.
const LOGGER: &str = "[general]\ndateformat = %F %T.%3q\n[logfiles]\n\
                      full => notice,warning,error,debug\n";

/// All but the node.
pub(crate) struct Stage<'a> {
    pub(crate) version: Version,
    pub(crate) broker: &'a Broker,
    /// The other node of its cluster.
    pub(crate) second: Option<&'a Broker>,
    pub(crate) tenant: Tenant<'a>,
    pub(crate) proxy: Proxy,
    /// A folder that the node sees too.
    pub(crate) disk: Folder,
}

pub(crate) struct Scene<'a> {
    pub(crate) stage: Stage<'a>,
    pub(crate) conf: AmqpConf,
    pub(crate) asterisk: Asterisk,
    pub(crate) ledger: RefCell<Ledger>,
    /// The testimony counts only until there: Asterisk was told to end.
    pub(crate) mark: Cell<Option<usize>>,
    steady: Cell<u32>,
}

impl<'a> Stage<'a> {
    pub(crate) fn set(
        version: Version,
        fault: &Fault,
        broker: &'a Broker,
        second: Option<&'a Broker>,
    ) -> Self {
        let tenant = broker.named_tenant(&format!("{}-{version:?}", fault.name));
        let keeper = second.unwrap_or(broker);
        let port = match fault.stand {
            Stand::Tls => broker.tls_port(),
            Stand::Plain | Stand::Cluster => broker.port(),
        };
        let stage = Self {
            version,
            broker,
            second,
            tenant,
            proxy: Proxy::to(port),
            disk: Folder::new("disk"),
        };
        keep_all(keeper, stage.tenant.vhost());
        stage
    }

    /// The broker's address, by way of the proxy.
    pub(crate) fn url(&self, fault: &Fault) -> String {
        let (url, port) = match fault.stand {
            // Of both addresses in the certificate, the one that every root knows.
            Stand::Tls => (
                self.tenant.tls_url().replace("@localhost:", "@127.0.0.1:"),
                self.broker.tls_port(),
            ),
            Stand::Plain | Stand::Cluster => (self.tenant.url(), self.broker.port()),
        };
        url.replace(&format!(":{port}/"), &format!(":{}/", self.proxy.port()))
    }

    /// A file or folder of [`Stage::disk`].
    pub(crate) fn path(&self, name: &str) -> String {
        self.disk.path().join(name).display().to_string()
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        unmount(self.disk.path());
    }
}

/// Where something is mounted there.
fn unmount(folder: &Path) {
    let _ = Command::new("umount").args(["-q", "-l"]).arg(folder).status();
}

/// A durable queue for all events, and for those that the exchange finds no queue for when an
/// exchange was made anew.
pub(crate) fn keep_all(broker: &Broker, vhost: &str) {
    let put = |path: String, body: serde_json::Value| broker.api("PUT", &path, Some(&body)).ok();
    put(format!("/exchanges/{vhost}/{EXCHANGE}"), json!({"type": "topic", "durable": true}));
    put(format!("/exchanges/{vhost}/unrouted"), json!({"type": "fanout", "durable": true}));
    let arguments = json!({"x-queue-type": "classic"});
    put(format!("/queues/{vhost}/{KEPT}"), json!({"durable": true, "arguments": arguments}));
    for exchange in [EXCHANGE, "unrouted"] {
        let path = format!("/bindings/{vhost}/e/{exchange}/q/{KEPT}");
        broker.api("POST", &path, Some(&json!({"routing_key": "#"}))).ok();
    }
    put(
        format!("/policies/{vhost}/unrouted"),
        json!({"pattern": "^asterisk$", "definition": {"alternate-exchange": "unrouted"},
               "apply-to": "exchanges"}),
    );
}

impl<'a> Scene<'a> {
    /// Starts the node; the module connects by itself.
    pub(crate) fn set(fault: &Fault, stage: Stage<'a>) -> Self {
        let conf = AmqpConf::new(&stage.url(fault))
            .connection("heartbeat_seconds", "5")
            .stasis("publish_ami_events", "no")
            .stasis("queue_max_events", "250000")
            .stasis("queue_max_bytes", &QUEUE_BYTES.to_string());
        let conf = match fault.spool {
            true => conf.stasis("spool_dir", &stage.path("spool")),
            false => conf,
        };
        let conf = (fault.conf)(conf, &stage);
        let made = Folder::new("made");
        let builder = Asterisk::builder(stage.version)
            .conf("amqp.conf", conf.text())
            .conf("logger.conf", LOGGER)
            .module_file(WITNESS, &witness::module(stage.version, &made), true)
            .module("res_stasis_amqp")
            .share(stage.disk.path());
        let asterisk = (fault.furnish)(extensions(builder), &stage).start();
        let ledger = RefCell::default();
        Self { stage, conf, asterisk, ledger, mark: Cell::new(None), steady: Cell::new(0) }
    }

    pub(crate) fn tenant(&self) -> &Tenant<'a> {
        &self.stage.tenant
    }

    pub(crate) fn broker(&self) -> &'a Broker {
        self.stage.broker
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.stage.proxy
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        Status::of(&self.asterisk)
    }

    /// Begins, or begins again, what goes on all the time.
    #[track_caller]
    pub(crate) fn begin_steady(&self, rate: u32) {
        self.steady.set(rate);
        if rate > 0 {
            Channel::steady(&self.asterisk, rate);
        }
    }

    /// Begins again what Asterisk's end, or [`Scene::pause`], has ended.
    #[track_caller]
    pub(crate) fn go_on(&self) {
        self.begin_steady(self.steady.get());
    }

    /// A channel to set variables of.
    #[track_caller]
    pub(crate) fn channel(&self) -> Channel {
        let channel = Channel::start(&self.asterisk, 0, 20);
        eventually("the channel", seconds(10), || {
            let path = format!("/channels/{}/variable?variable=DONE", channel.id);
            match self.asterisk.ari().get(&path).body["value"].as_str() {
                Some("yes") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        channel
    }

    /// Sets a variable of a channel to so many bytes, and so publishes one event more.
    #[track_caller]
    pub(crate) fn set_variable(&self, channel: &Channel, bytes: usize, kind: &str) {
        let command = format!("witness set {} LARGE {bytes} {kind}", channel.name);
        let answer = self.asterisk.cli(&command);
        assert!(answer.contains("set"), "{command}: {answer}");
    }

    /// Replaces the configuration.
    #[track_caller]
    pub(crate) fn reload(&self, conf: &AmqpConf) {
        self.asterisk.write_conf("amqp.conf", &conf.text());
        let answer = self.asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reloaded successfully"), "{answer}");
    }

    #[track_caller]
    pub(crate) fn wait_state(&self, words: &[&str], within: Duration) -> String {
        wait_state(&self.asterisk, words, within)
    }

    /// Waits until everything said so far is settled.
    #[track_caller]
    pub(crate) fn settle(&self) -> Status {
        let mut last = (0, Instant::now());
        eventually("everything to be delivered", DELIVERY, || {
            let status = Status::ask(&self.asterisk).ok_or("no answer")?;
            if status.accepted() != last.0 {
                last = (status.accepted(), Instant::now());
            }
            match status.waiting() {
                0 if last.1.elapsed() > Duration::from_millis(400) => Ok(status),
                waiting => Err(format!("{waiting} wait; {}", status.state().1)),
            }
        })
    }

    /// Takes what has arrived into the ledger, up to this number.
    pub(crate) fn collect(&self, last: u64) {
        let keeper = self.stage.second.unwrap_or(self.stage.broker);
        let url = self.tenant().url();
        let url =
            url.replace(&format!(":{}/", self.broker().port()), &format!(":{}/", keeper.port()));
        let consumer = Consumer::queue(&url, KEPT);
        self.ledger.borrow_mut().collect(&consumer, |ledger| ledger.is_complete(last));
    }

    /// Ends all channels, delivers everything and takes it into the ledger.
    pub(crate) fn pause(&self) {
        hang_up(&self.asterisk);
        let last = self.settle().counter("queued");
        self.collect(last);
    }

    /// What Asterisk has published.
    pub(crate) fn testimony(&self) -> Testimony {
        let testimony = Testimony::of(&self.asterisk);
        match self.mark.get() {
            Some(mark) => testimony.until(mark),
            None => testimony,
        }
    }

    /// Lets a fault last.
    #[track_caller]
    pub(crate) fn endure(&self, until: Instant, dies: bool) {
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
            if !dies {
                self.asterisk.assert_alive();
            }
        }
    }
}
