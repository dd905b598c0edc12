# SPDX-License-Identifier: Apache-2.0
"""The binary messages of the control channel, byte for byte."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.frames import JOB, Frame, MalformedFrame

# Captured from amazon-ssm-agent's exchange (spec agent-protocol §7.1); digest and payload are cut short there.
CAPTURED_HEAD = bytes.fromhex(
    "00000074" + b"agent_job".ljust(32).hex() + "00000001" + "000001a1f7308594" + "00" * 8 + "00" * 8
    + "ac8f849cf1915867" + "4de6b72dd5964cbf"
)  # fmt: skip
CAPTURED_ID = "4de6b72d-d596-4cbf-ac8f-849cf1915867"


def test_the_captured_frame_is_written_byte_for_byte():
    """Header length, kind, version, time, sequence, flags and the UUID in its odd order are those of the capture."""
    payload = b'{"SchemaVersion":1}'.ljust(0x4F3)
    packed = Frame(JOB, payload, message_id=CAPTURED_ID, created_ms=0x1A1F7308594).pack()

    assert packed[: len(CAPTURED_HEAD)] == CAPTURED_HEAD
    assert packed[112:116] == b"\0" * 4
    assert packed[116:120].hex() == "000004f3"
    assert packed[120:] == payload


def test_the_captured_frame_is_read():
    """The other way; what fills the kind may be NULs as well."""
    data = CAPTURED_HEAD + b"\1" * 32 + b"\0\0\0\0" + b"\0\0\0\2" + b"{}"
    for one in (data, data.replace(b"agent_job".ljust(32), b"agent_job".ljust(32, b"\0"))):
        frame = Frame.unpack(one)
        assert (frame.kind, frame.payload) == ("agent_job", b"{}")
        assert (frame.message_id, frame.created_ms) == (CAPTURED_ID, 0x1A1F7308594)


@given(
    kind=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32),
    payload=st.binary(max_size=300),
    message_id=st.uuids(),
    created=st.integers(1, 2**63),
)
def test_what_is_written_is_read(kind, payload, message_id, created):
    """Whatever it is."""
    frame = Frame.unpack(Frame(kind, payload, message_id=str(message_id), created_ms=created).pack())

    assert (frame.kind, frame.payload, frame.message_id) == (kind, payload, str(message_id))
    assert frame.created_ms == created


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:119],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"\0\0\0\x75" + data[4:],
        lambda data: data[:116] + b"\xff\xff\xff\xff" + data[120:],
        lambda data: data[:4] + b" " * 32 + data[36:],
        lambda data: data[:4] + b"agent\njob".ljust(32) + data[36:],
        lambda data: data[:4] + b"\xff" * 32 + data[36:],
        lambda data: data[:40] + b"\0" * 8 + data[48:],
    ],
)
def test_bytes_that_are_no_message_are_refused(change):
    """Too short, lengths that lie, a kind that is none, no time."""
    good = Frame(JOB, b'{"a":1}', message_id=CAPTURED_ID, created_ms=1).pack()

    with pytest.raises(MalformedFrame):
        Frame.unpack(change(good))


def test_noise_is_refused_or_read_and_nothing_else():
    """Random bytes and damaged frames never raise anything but MalformedFrame."""
    dice = random.Random(20261120)
    good = Frame(JOB, b'{"a":1}', message_id=str(uuid.UUID(int=7)), created_ms=1).pack()
    for _ in range(2000):
        damaged = bytearray(good)
        for _ in range(dice.randrange(1, 5)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        for data in (bytes(damaged), dice.randbytes(dice.randrange(200))):
            try:
                Frame.unpack(data)
            except MalformedFrame:
                continue


@pytest.mark.parametrize(("kind", "message_id"), [("ä", CAPTURED_ID), ("x" * 33, CAPTURED_ID), (JOB, "1"), (JOB, "z")])
def test_what_has_no_form_is_not_written(kind, message_id):
    """A kind that is no short ASCII word, an id that is no UUID."""
    with pytest.raises(MalformedFrame):
        Frame(kind, b"", message_id=message_id, created_ms=1).pack()
