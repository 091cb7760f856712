// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What `make up` prints: addresses, passwords, and what to try.

use std::fmt::Write as _;

use rig::gateway::PASSWORD;
use rig::ground::CONFERENCE;
use rig::root::Root;

use crate::places::Places;
use crate::stage::{Stage, letter};

pub(crate) fn leaflet(stage: &Stage<'_>, places: &Places) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<22} {value}");
    };
    let Places { sip, gateway, consul, management, .. } = places;
    let tenant = &stage.ground.tenant;
    let (admin, admin_password) = tenant.broker().admin();
    line(
        "Call, with a softphone",
        &format!("sip:{CONFERENCE}@127.0.0.1:{sip}, on this machine (UDP or TCP, G.711)"),
    );
    line(
        "  its account",
        &format!("server 127.0.0.1:{sip}, any user, no password, registration off"),
    );
    line("Status page", &format!("http://127.0.0.1:{gateway}/ (rig / {PASSWORD})"));
    line("ARI of the whole fleet", &format!("http://127.0.0.1:{gateway}/ari (the same)"));
    line("Consul", &format!("http://127.0.0.1:{consul}/ui"));
    line("RabbitMQ", &format!("http://127.0.0.1:{management}/ ({admin} / {admin_password})"));
    line("  its events", &tenant.url());
    for (place, node) in stage.nodes.iter().enumerate() {
        let name = format!("Node {}", letter(place));
        let (eid, pid) = (node.entity_id(), node.process().pid());
        line(&name, &format!("{eid}, SIP 127.0.0.1:{}, process {pid}", node.sip_port()));
    }
    let (user, password, vhost) = (tenant.user(), tenant.password(), tenant.vhost());
    let amqp = tenant.broker().port();
    let program = Root::Bullseye.path().join("usr/bin/consul");
    let program = format!("CONSUL_HTTP_ADDR=127.0.0.1:{consul} {}", program.display());
    let ari = format!("curl -u rig:{PASSWORD} http://127.0.0.1:{gateway}/ari");
    let first = stage.nodes.first();
    let on_first = |command| first.map_or_else(String::new, |node| node.cli_command_line(command));
    let _ = writeln!(text, "\nTo try:");
    for (what, command) in [
        (
            "call from a terminal, and from another with TONE=620: both print what they hear",
            "make call".to_owned(),
        ),
        ("the events, as they come", "make watch".to_owned()),
        ("all calls of all nodes; the conference", format!("{ari}/channels")),
        ("", format!("{ari}/bridges/conf")),
        (
            "one more application on every node, for calls to sip:another@…",
            format!("{program} kv put applications/another"),
        ),
        ("node a's console", on_first("")),
        ("take it out of service, and back", on_first("discovery drain")),
        ("", on_first("discovery undrain")),
        (
            "kill it: ten seconds later it is started again",
            first.map_or_else(String::new, |node| format!("kill -9 {}", node.process().pid())),
        ),
    ] {
        if !what.is_empty() {
            let _ = writeln!(text, "  # {what}");
        }
        let _ = writeln!(text, "  {command}");
    }
    let _ = write!(
        text,
        "\nFor an app of your own (docs/apps.md), the environment it needs:\n\
         \x20 export API_ENDPOINT=http://127.0.0.1:{gateway} API_USERNAME=rig API_PASSWORD={PASSWORD}\n\
         \x20 export AMQP_PORT={amqp} AMQP_VHOST={vhost} AMQP_USERNAME={user} AMQP_PASSWORD={password}\n\
         \x20 export CONSUL_PORT={consul}\n"
    );
    text
}
