# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import json
from pathlib import Path

import pytest

from app_sdk.event import Event, call_of, decoded, partition_of

CAPTURED = Path(__file__).parent / "captured.jsonl"


def event(kind, **data):
    return Event(kind, data, "node", "node/1/1")


def test_real_messages_are_understood():
    messages = [json.loads(line) for line in CAPTURED.read_text().splitlines()]
    events = [
        decoded(message["body"], message["properties"]["headers"], f"00:00/1/{number}")
        for number, message in enumerate(messages)
    ]
    assert {"StasisStart", "PlaybackFinished", "StasisEnd"} <= {event.type for event in events}
    assert {event.call_id for event in events} == {"1795256796.0", "1795256796.1"}
    assert {event.asterisk_id for event in events} == {"00:00:5e:00:53:01"}
    assert events[7].boot == "1"


@pytest.mark.parametrize("body", [[], {}, {"name": "x"}, {"data": 1}, None])
def test_what_is_no_event_is_refused(body):
    with pytest.raises(ValueError, match="no data"):
        decoded(body, {}, "id")


def test_which_call_an_event_is_of():
    assert event("ChannelVarset", channel={"id": "1.2"}).call_id == "1.2"
    assert event("StasisStart", channel={"id": "1.2~a"}).call_id == "1.2"
    assert event("Dial", peer={"id": "1.2~a"}).call_id == "1.2"
    assert event("Dial", caller={"id": "1.2"}, peer={"id": "3.4"}).call_id == "1.2"
    assert event("PlaybackFinished", playback={"target_uri": "channel:1.2~b"}).call_id == "1.2"
    assert event("RecordingFinished", recording={"target_uri": "bridge:b"}).call_id is None
    assert event("ContactStatusChange").call_id is None


def test_a_call_and_its_legs_go_through_one_partition():
    assert call_of("1.2~a") == "1.2"
    start = event("StasisStart", channel={"id": "1.2"})
    assert start.partition == partition_of("1.2")
    assert event("Dial", peer={"id": "1.2~a"}).partition == start.partition
    # Copies of other versions, and on other machines, must find the same.
    assert [partition_of(call) for call in ("1795256796.0", "1795256796.1", "")] == [14, 8, 0]
    assert len({partition_of(f"1795256796.{number}") for number in range(200)}) == 16
