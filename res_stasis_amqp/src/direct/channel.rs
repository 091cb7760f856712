// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The events of channels as ARI has them, straight from what the message holds, in the order in
//! which the host's own functions set the members (`main/stasis_channels.c`).

use asterisk::channel_event::{ChannelMessage, Kind};
use asterisk::json::{Value, View};
use asterisk::snapshot::Snapshot;

use super::clock::Clock;
use super::json::{integer, string, value};

/// Writes an event. `None` where the host would do something else, or where it cannot be told what
/// it would do; what is written then is nothing.
pub(super) fn event(
    into: &mut Vec<u8>,
    clock: &mut Clock,
    message: &ChannelMessage<'_>,
) -> Option<()> {
    match message.kind {
        Kind::Varset | Kind::HangupRequest | Kind::TalkingStarted | Kind::TalkingFinished => {
            plain(into, clock, message)
        }
        Kind::DtmfEnd => dtmf_end(into, clock, message),
        Kind::Hold => hold(into, clock, message),
        Kind::Unhold => unhold(into, clock, message),
        Kind::Dial => dial(into, clock, message),
        Kind::Userevent => None,
    }
}

/// What was said, then type, time and channel.
fn plain(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let channel = message.channel()?;
    into.push(b'{');
    match message.said().map(Value::view) {
        Some(View::Object(members)) => {
            for (member, said) in members {
                // What has one of these set would have it set anew, in its place.
                if matches!(member, b"type" | b"timestamp" | b"channel") {
                    return None;
                }
                if into.last() != Some(&b'{') {
                    into.push(b',');
                }
                string(into, member)?;
                into.push(b':');
                value(into, said)?;
            }
        }
        Some(View::Null) | None => {}
        Some(_) => return None,
    }
    begin(into, clock, message)?;
    if let Some(channel) = &channel {
        into.extend_from_slice(br#","channel":"#);
        snapshot(into, clock, channel)?;
    }
    into.push(b'}');
    Some(())
}

fn dtmf_end(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let channel = message.channel()??;
    let said = message.said()?;
    let View::Integer(duration) = said.member(c"duration_ms")?.view() else {
        return None;
    };
    into.push(b'{');
    begin(into, clock, message)?;
    into.extend_from_slice(br#","digit":"#);
    string(into, text(said.member(c"digit")?)?)?;
    into.extend_from_slice(br#","duration_ms":"#);
    integer(into, duration);
    into.extend_from_slice(br#","channel":"#);
    snapshot(into, clock, &channel)?;
    into.push(b'}');
    Some(())
}

fn hold(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let channel = message.channel()??;
    let music = match message.said().and_then(|said| said.member(c"musicclass")) {
        Some(music) => text(music)?,
        None => b"",
    };
    into.push(b'{');
    begin(into, clock, message)?;
    into.extend_from_slice(br#","musicclass":"#);
    string(into, if music.is_empty() { b"N/A" } else { music })?;
    into.extend_from_slice(br#","channel":"#);
    snapshot(into, clock, &channel)?;
    into.push(b'}');
    Some(())
}

fn unhold(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let channel = message.channel()??;
    into.push(b'{');
    begin(into, clock, message)?;
    into.extend_from_slice(br#","channel":"#);
    snapshot(into, clock, &channel)?;
    into.push(b'}');
    Some(())
}

fn dial(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let said = message.said()?;
    into.push(b'{');
    begin(into, clock, message)?;
    let members: [(&[u8], _); 3] = [
        (br#","dialstatus":"#, c"dialstatus"),
        (br#","forward":"#, c"forward"),
        (br#","dialstring":"#, c"dialstring"),
    ];
    for (key, member) in members {
        into.extend_from_slice(key);
        string(into, text(said.member(member)?)?)?;
    }
    let channels: [(&[u8], _); 3] = [
        (br#","caller":"#, c"caller"),
        (br#","peer":"#, c"peer"),
        (br#","forwarded":"#, c"forwarded"),
    ];
    for (key, role) in channels {
        if let Some(channel) = message.channel_as(role)? {
            into.extend_from_slice(key);
            snapshot(into, clock, &channel)?;
        }
    }
    into.push(b'}');
    Some(())
}

fn text(value: &Value) -> Option<&[u8]> {
    match value.view() {
        View::String(text) => Some(text),
        _ => None,
    }
}

/// Type and time, after what was said, if anything was.
fn begin(into: &mut Vec<u8>, clock: &mut Clock, message: &ChannelMessage<'_>) -> Option<()> {
    let time = message.time()?;
    clock.is_now(time);
    if into.last() != Some(&b'{') {
        into.push(b',');
    }
    into.extend_from_slice(br#""type":"#);
    string(into, message.kind.name().as_bytes())?;
    into.extend_from_slice(br#","timestamp":"#);
    clock.write(into, time)
}

fn snapshot(into: &mut Vec<u8>, clock: &mut Clock, of: &Snapshot<'_>) -> Option<()> {
    into.extend_from_slice(br#"{"id":"#);
    string(into, of.id)?;
    into.extend_from_slice(br#","name":"#);
    string(into, of.name)?;
    into.extend_from_slice(br#","state":"#);
    string(into, of.state)?;
    into.extend_from_slice(br#","protocol_id":"#);
    string(into, of.protocol_id)?;
    into.extend_from_slice(br#","caller":"#);
    party(into, of.caller)?;
    into.extend_from_slice(br#","connected":"#);
    party(into, of.connected)?;
    into.extend_from_slice(br#","accountcode":"#);
    string(into, of.account)?;
    let [context, extension, application, data] = of.dialplan;
    into.extend_from_slice(br#","dialplan":{"context":"#);
    string(into, context)?;
    into.extend_from_slice(br#","exten":"#);
    string(into, extension)?;
    into.extend_from_slice(br#","priority":"#);
    match of.priority {
        -1 => into.extend_from_slice(b"null"),
        priority => integer(into, priority.into()),
    }
    into.extend_from_slice(br#","app_name":"#);
    string(into, application)?;
    into.extend_from_slice(br#","app_data":"#);
    string(into, data)?;
    into.extend_from_slice(br#"},"creationtime":"#);
    clock.write(into, of.created)?;
    into.extend_from_slice(br#","language":"#);
    string(into, of.language)?;
    if !of.redirecting.is_empty() {
        into.extend_from_slice(br#","caller_rdnis":"#);
        string(into, of.redirecting)?;
    }
    if !of.variables.is_empty() {
        into.extend_from_slice(br#","channelvars":"#);
        variables(into, &of.variables)?;
    }
    if !of.tenant.is_empty() {
        into.extend_from_slice(br#","tenantid":"#);
        string(into, of.tenant)?;
    }
    into.push(b'}');
    Some(())
}

/// The host replaces what is not UTF-8 in these by nothing.
fn party(into: &mut Vec<u8>, [name, number]: [&[u8]; 2]) -> Option<()> {
    let checked = |text| if std::str::from_utf8(text).is_ok() { text } else { b"" };
    into.extend_from_slice(br#"{"name":"#);
    string(into, checked(name))?;
    into.extend_from_slice(br#","number":"#);
    string(into, checked(number))?;
    into.push(b'}');
    Some(())
}

fn variables(into: &mut Vec<u8>, all: &[(&[u8], &[u8])]) -> Option<()> {
    into.push(b'{');
    for (index, (name, text)) in all.iter().enumerate() {
        // The later of two with one name stands in the place of the earlier.
        if all.iter().take(index).any(|(before, _)| before == name) {
            return None;
        }
        if index > 0 {
            into.push(b',');
        }
        string(into, name)?;
        into.push(b':');
        string(into, text)?;
    }
    into.push(b'}');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Snapshot<'static> {
        Snapshot {
            id: b"1.2",
            name: b"Local/a@b-1;1",
            state: b"Up",
            protocol_id: b"",
            caller: [b"Al \"B\"", b"\xff1"],
            connected: [b"", b"8000"],
            account: b"acc",
            dialplan: [b"default", b"s", b"Set", b"X=\xc3\xa9"],
            priority: 3,
            created: (7, 45_000),
            language: b"en",
            redirecting: b"99",
            tenant: b"ten",
            variables: vec![(b"A", b"1"), (b"B(x)", b"2")],
        }
    }

    fn written(of: &Snapshot<'_>) -> Option<String> {
        let mut clock = Clock::new(|second| Some(format!("at {second}.000+0000")));
        let mut into = Vec::new();
        snapshot(&mut into, &mut clock, of).map(|()| String::from_utf8(into).unwrap())
    }

    #[test]
    fn a_snapshot_has_its_members_in_the_hosts_order() {
        assert_eq!(
            written(&full()).unwrap(),
            r#"{"id":"1.2","name":"Local/a@b-1;1","state":"Up","protocol_id":"","caller":{"name":"Al \"B\"","number":""},"connected":{"name":"","number":"8000"},"accountcode":"acc","dialplan":{"context":"default","exten":"s","priority":3,"app_name":"Set","app_data":"X=é"},"creationtime":"at 7.045+0000","language":"en","caller_rdnis":"99","channelvars":{"A":"1","B(x)":"2"},"tenantid":"ten"}"#
        );
    }

    #[test]
    fn what_is_not_there_is_left_out_or_null() {
        let bare = Snapshot { priority: -1, ..Snapshot::default() };
        assert_eq!(
            written(&bare).unwrap(),
            r#"{"id":"","name":"","state":"","protocol_id":"","caller":{"name":"","number":""},"connected":{"name":"","number":""},"accountcode":"","dialplan":{"context":"","exten":"","priority":null,"app_name":"","app_data":""},"creationtime":"at 0.000+0000","language":""}"#
        );
    }

    #[test]
    fn what_the_host_would_refuse_is_left_to_it() {
        assert_eq!(written(&Snapshot { name: b"\xff", ..full() }), None);
        let twice: Vec<(&[u8], &[u8])> = vec![(b"A", b"1"), (b"B", b"2"), (b"A", b"3")];
        assert_eq!(written(&Snapshot { variables: twice, ..full() }), None);
    }
}
