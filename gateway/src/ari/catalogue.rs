// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All operations of ARI in Asterisk 16 to 22. A test compares them with Asterisk's own files.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::operation::{Makes, Merge};
use super::{Does, Operation, Path};
use crate::index::Kind::{self, Bridge, Channel, LiveRecording, Playback, StoredRecording};
use Does::{
    Claims, Creates, Events, Joins, Leaves, Notifies, OfAny, OfNode, Owned, OwnedEnds, OwnedMakes,
    Reads, Sends, Subscribes, Tells, ToEndpoint,
};
use Merge::{Done, Infos, Lists, ListsByName, Objects};

const CHANNEL: Makes = makes(Channel, "channelId");
const BRIDGE: Makes = makes(Bridge, "bridgeId");
const PLAYBACK: Makes = makes(Playback, "playbackId");
const SNOOP: Makes = makes(Channel, "snoopId");
const RECORDING: Makes = Makes { kind: LiveRecording, id: "name", is_invented: false };

const fn makes(kind: Kind, id: &'static str) -> Makes {
    Makes { kind, id, is_invented: true }
}

const fn op(method: &'static str, path: &'static str, since: u8, does: Does) -> Operation {
    Operation { method, path, since, does }
}

#[rustfmt::skip]
pub(super) static OPERATIONS: &[Operation] = &[
    op("GET", "applications", 16, Reads(ListsByName("name"))),
    op("GET", "applications/{applicationName}", 16, Reads(Objects)),
    op("POST", "applications/{applicationName}/subscription", 16, Subscribes),
    op("DELETE", "applications/{applicationName}/subscription", 16, Subscribes),
    op("PUT", "applications/{applicationName}/eventFilter", 16, Tells(Objects)),
    op("GET", "asterisk/config/dynamic/{configClass}/{objectType}/{id}", 16, OfNode),
    op("PUT", "asterisk/config/dynamic/{configClass}/{objectType}/{id}", 16, OfNode),
    op("DELETE", "asterisk/config/dynamic/{configClass}/{objectType}/{id}", 16, OfNode),
    op("GET", "asterisk/info", 16, Reads(Infos)),
    op("GET", "asterisk/ping", 16, OfAny),
    op("GET", "asterisk/modules", 16, Reads(Lists)),
    op("GET", "asterisk/modules/{moduleName}", 16, OfNode),
    op("POST", "asterisk/modules/{moduleName}", 16, OfNode),
    op("DELETE", "asterisk/modules/{moduleName}", 16, OfNode),
    op("PUT", "asterisk/modules/{moduleName}", 16, OfNode),
    op("GET", "asterisk/logging", 16, Reads(Lists)),
    op("POST", "asterisk/logging/{logChannelName}", 16, OfNode),
    op("DELETE", "asterisk/logging/{logChannelName}", 16, OfNode),
    op("PUT", "asterisk/logging/{logChannelName}/rotate", 16, OfNode),
    op("GET", "asterisk/variable", 16, OfNode),
    op("POST", "asterisk/variable", 16, OfNode),
    op("GET", "bridges", 16, Reads(Lists)),
    op("POST", "bridges", 16, Creates(BRIDGE)),
    op("POST", "bridges/{bridgeId}", 16, Creates(BRIDGE)),
    op("GET", "bridges/{bridgeId}", 16, Owned(Bridge)),
    op("DELETE", "bridges/{bridgeId}", 16, OwnedEnds(Bridge)),
    op("POST", "bridges/{bridgeId}/addChannel", 16, Joins),
    op("POST", "bridges/{bridgeId}/removeChannel", 16, Leaves),
    op("POST", "bridges/{bridgeId}/videoSource/{channelId}", 16, Owned(Bridge)),
    op("DELETE", "bridges/{bridgeId}/videoSource", 16, Owned(Bridge)),
    op("POST", "bridges/{bridgeId}/moh", 16, Owned(Bridge)),
    op("DELETE", "bridges/{bridgeId}/moh", 16, Owned(Bridge)),
    op("POST", "bridges/{bridgeId}/play", 16, OwnedMakes(Bridge, PLAYBACK)),
    op("POST", "bridges/{bridgeId}/play/{playbackId}", 16, OwnedMakes(Bridge, PLAYBACK)),
    op("POST", "bridges/{bridgeId}/record", 16, OwnedMakes(Bridge, RECORDING)),
    op("GET", "bridges/{bridgeId}/variable", 22, Owned(Bridge)),
    op("POST", "bridges/{bridgeId}/variable", 22, Owned(Bridge)),
    op("GET", "bridges/{bridgeId}/variables", 22, Owned(Bridge)),
    op("POST", "bridges/{bridgeId}/variables", 22, Owned(Bridge)),
    op("GET", "channels", 16, Reads(Lists)),
    op("POST", "channels", 16, Creates(CHANNEL)),
    op("POST", "channels/create", 16, Creates(CHANNEL)),
    op("GET", "channels/{channelId}", 16, Owned(Channel)),
    op("POST", "channels/{channelId}", 16, Creates(CHANNEL)),
    op("DELETE", "channels/{channelId}", 16, OwnedEnds(Channel)),
    op("POST", "channels/{channelId}/continue", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/move", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/redirect", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/answer", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/ring", 16, Owned(Channel)),
    op("DELETE", "channels/{channelId}/ring", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/dtmf", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/mute", 16, Owned(Channel)),
    op("DELETE", "channels/{channelId}/mute", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/hold", 16, Owned(Channel)),
    op("DELETE", "channels/{channelId}/hold", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/moh", 16, Owned(Channel)),
    op("DELETE", "channels/{channelId}/moh", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/silence", 16, Owned(Channel)),
    op("DELETE", "channels/{channelId}/silence", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/play", 16, OwnedMakes(Channel, PLAYBACK)),
    op("POST", "channels/{channelId}/play/{playbackId}", 16, OwnedMakes(Channel, PLAYBACK)),
    op("POST", "channels/{channelId}/record", 16, OwnedMakes(Channel, RECORDING)),
    op("GET", "channels/{channelId}/variable", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/variable", 16, Owned(Channel)),
    op("POST", "channels/{channelId}/snoop", 16, OwnedMakes(Channel, SNOOP)),
    op("POST", "channels/{channelId}/snoop/{snoopId}", 16, OwnedMakes(Channel, SNOOP)),
    op("POST", "channels/{channelId}/dial", 16, Owned(Channel)),
    op("GET", "channels/{channelId}/rtp_statistics", 16, Owned(Channel)),
    op("POST", "channels/externalMedia", 16, Creates(CHANNEL)),
    op("POST", "channels/{channelId}/progress", 22, Owned(Channel)),
    op("GET", "channels/{channelId}/variables", 22, Owned(Channel)),
    op("POST", "channels/{channelId}/variables", 22, Owned(Channel)),
    op("POST", "channels/{channelId}/transfer_progress", 22, Owned(Channel)),
    op("GET", "deviceStates", 16, Reads(ListsByName("name"))),
    op("GET", "deviceStates/{deviceName}", 16, Reads(Objects)),
    op("PUT", "deviceStates/{deviceName}", 16, Tells(Done)),
    op("DELETE", "deviceStates/{deviceName}", 16, Tells(Done)),
    op("GET", "endpoints", 16, Reads(Lists)),
    op("PUT", "endpoints/sendMessage", 16, Sends),
    op("GET", "endpoints/{tech}", 16, Reads(Lists)),
    op("GET", "endpoints/{tech}/{resource}", 16, Reads(Objects)),
    op("PUT", "endpoints/{tech}/{resource}/sendMessage", 16, ToEndpoint),
    op("POST", "endpoints/refer", 22, Sends),
    op("POST", "endpoints/{tech}/{resource}/refer", 22, ToEndpoint),
    op("GET", "events", 16, Events),
    op("POST", "events/user/{eventName}", 16, Notifies),
    op("POST", "events/claim", 22, Claims),
    op("GET", "mailboxes", 16, Reads(ListsByName("name"))),
    op("GET", "mailboxes/{mailboxName}", 16, Reads(Objects)),
    op("PUT", "mailboxes/{mailboxName}", 16, Tells(Done)),
    op("DELETE", "mailboxes/{mailboxName}", 16, Tells(Done)),
    op("GET", "playbacks/{playbackId}", 16, Owned(Playback)),
    op("DELETE", "playbacks/{playbackId}", 16, OwnedEnds(Playback)),
    op("POST", "playbacks/{playbackId}/control", 16, Owned(Playback)),
    op("GET", "recordings/stored", 16, Reads(Lists)),
    op("GET", "recordings/stored/{recordingName}", 16, Owned(StoredRecording)),
    op("DELETE", "recordings/stored/{recordingName}", 16, OwnedEnds(StoredRecording)),
    op("GET", "recordings/stored/{recordingName}/file", 16, Owned(StoredRecording)),
    op("POST", "recordings/stored/{recordingName}/copy", 16, Owned(StoredRecording)),
    op("GET", "recordings/live/{recordingName}", 16, Owned(LiveRecording)),
    op("DELETE", "recordings/live/{recordingName}", 16, OwnedEnds(LiveRecording)),
    op("POST", "recordings/live/{recordingName}/stop", 16, OwnedEnds(LiveRecording)),
    op("POST", "recordings/live/{recordingName}/pause", 16, Owned(LiveRecording)),
    op("DELETE", "recordings/live/{recordingName}/pause", 16, Owned(LiveRecording)),
    op("POST", "recordings/live/{recordingName}/mute", 16, Owned(LiveRecording)),
    op("DELETE", "recordings/live/{recordingName}/mute", 16, Owned(LiveRecording)),
    op("GET", "sounds", 16, Reads(ListsByName("id"))),
    op("GET", "sounds/{soundId}", 16, Reads(Objects)),
];

/// The operation of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// With the values of the path's parameters.
    Operation(&'static Operation, Vec<(&'static str, String)>),
    /// The path is one, and these are its methods.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// An operation with its path taken apart.
struct Shape {
    parts: Vec<&'static str>,
    operation: &'static Operation,
}

impl Shape {
    fn fits(&self, path: &Path) -> bool {
        let mut pairs = self.parts.iter().zip(&path.0);
        self.parts.len() == path.0.len()
            && pairs.all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
    }
}

/// By the first part, which is never a parameter. Every request looks here.
static BY_AREA: LazyLock<HashMap<&'static str, Vec<Shape>>> = LazyLock::new(|| {
    let mut by_area: HashMap<_, Vec<Shape>> = HashMap::new();
    for operation in OPERATIONS {
        let parts = operation.path.split('/').collect();
        by_area.entry(operation.area()).or_default().push(Shape { parts, operation });
    }
    by_area
});

/// Finds it. A fixed part goes before a parameter, as in Asterisk.
pub(crate) fn find(method: &str, path: &Path) -> Found {
    let shapes = path.0.first().and_then(|area| BY_AREA.get(area.as_str()));
    let shapes = shapes.into_iter().flatten();
    // How many parts are fixed, those before counting more.
    let exactness = |operation: &Operation| {
        let parts = operation.path.split('/');
        parts.fold(0_u32, |sum, part| sum * 2 + u32::from(!part.starts_with('{')))
    };
    let fitting: Vec<&'static Operation> =
        shapes.filter(|shape| shape.fits(path)).map(|shape| shape.operation).collect();
    let Some(best) = fitting.iter().map(|operation| exactness(operation)).max() else {
        return Found::Nothing;
    };
    let fitting = || fitting.iter().filter(|operation| exactness(operation) == best);
    match fitting().find(|operation| operation.method == method) {
        Some(operation) => {
            let parts = operation.path.split('/').zip(&path.0);
            let names = parts.filter_map(|(wanted, part)| {
                let name = wanted.strip_prefix('{')?.strip_suffix('}')?;
                Some((name, part.clone()))
            });
            Found::Operation(operation, names.collect())
        }
        None => Found::OtherMethods(fitting().map(|operation| operation.method).collect()),
    }
}
