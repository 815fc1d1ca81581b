"""Framing: whatever way the bytes are cut, the messages are the same, and nothing is kept that is too long."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.client.proxy.messages import (
    Message,
    MessageError,
    cancel_packet,
    key_of,
    message,
    negotiated_minor,
    packet,
    parameter_status,
    take_message,
    take_packet,
)

LIMIT = 1_000

kinds = st.integers(0, 255).map(lambda code: bytes([code]))
messages = st.lists(st.builds(Message, kinds, st.binary(max_size=40)), max_size=8)
cuts = st.lists(st.integers(0, 400), max_size=20)


def pieces(data: bytes, where: list[int]) -> list[bytes]:
    """`data`, cut at these places."""
    marks = [0, *sorted(min(place, len(data)) for place in where), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


@given(messages, cuts)
def test_any_cut_of_the_bytes_gives_the_same_messages(sent: list[Message], where: list[int]) -> None:
    buffer, came = bytearray(), []
    for piece in pieces(b"".join(one.encode() for one in sent), where):
        buffer += piece
        while (one := take_message(buffer, LIMIT)) is not None:
            came.append(one)
    assert came == sent
    assert buffer == b""


@given(st.binary(min_size=4, max_size=60), st.binary(max_size=20), cuts)
def test_any_cut_of_the_bytes_gives_the_same_packet(body: bytes, rest: bytes, where: list[int]) -> None:
    buffer, came = bytearray(), None
    for piece in pieces(packet(body) + rest, where):
        buffer += piece
        came = came if came is not None else take_packet(buffer, LIMIT)
    assert came == body
    assert buffer == rest


@given(st.binary(max_size=200))
def test_noise_is_a_message_or_is_refused(noise: bytes) -> None:
    buffer = bytearray(noise)
    try:
        while (one := take_message(buffer, LIMIT)) is not None:
            assert len(one.body) <= LIMIT
    except MessageError:
        pass


@pytest.mark.parametrize("length", [-1, 0, 3, LIMIT + 1, 2**31 - 1, -(2**31)])
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept(length: int) -> None:
    with pytest.raises(MessageError, match=f"of {length} bytes"):
        take_message(bytearray(b"D" + struct.pack("!i", length)), LIMIT)


@pytest.mark.parametrize("length", [-1, 0, 4, 7, 10_001, 2**31 - 1])
def test_a_packet_of_a_length_that_cannot_be(length: int) -> None:
    with pytest.raises(MessageError, match=f"of {length} bytes"):
        take_packet(bytearray(struct.pack("!i", length)), 10_000)


@pytest.mark.parametrize("size", [4, 32, 256])
def test_a_key_comes_back_in_a_cancel_request(size: int) -> None:
    assert key_of(struct.pack("!i", 42) + b"k" * size) == (42, b"k" * size)
    assert cancel_packet(42, b"k" * size) == struct.pack("!iii", 12 + size, 80877102, 42) + b"k" * size


@pytest.mark.parametrize("body", [b"", b"\0\0\0\1", b"\0\0\0\1abc", b"\0\0\0\1" + b"k" * 257])
def test_a_key_of_another_length_is_none(body: bytes) -> None:
    with pytest.raises(MessageError):
        key_of(body)


@pytest.mark.parametrize(("version", "minor"), [(0, 0), (2, 2), (3 << 16, 0), (3 << 16 | 2, 2)])
def test_the_version_that_a_server_offers(version: int, minor: int) -> None:
    assert negotiated_minor(struct.pack("!ii", version, 0)) == minor


@pytest.mark.parametrize("body", [b"", b"\0" * 7, struct.pack("!ii", 4 << 16, 0)])
def test_an_offer_that_is_none(body: bytes) -> None:
    with pytest.raises(MessageError):
        negotiated_minor(body)


def test_a_parameter() -> None:
    assert parameter_status(b"in_hot_standby\0off\0") == {"in_hot_standby": "off"}


@pytest.mark.parametrize("body", [b"", b"a", b"a\0b", b"a\0b\0c", b"a\0b\0c\0"])
def test_what_is_no_parameter(body: bytes) -> None:
    with pytest.raises(MessageError):
        parameter_status(body)


def test_a_message_does_not_show_its_body() -> None:
    assert repr(Message(b"p", b"secret")) == "<Message b'p' of 6 bytes>"
    assert message(b"Z", b"I") == b"Z\0\0\0\5I"
