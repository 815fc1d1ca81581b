"""A client's first packet: what it may say, and what an upstream's pins make of it."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.client.proxy.pins import Pins
from pgbearer.client.proxy.refusal import RefusedError
from pgbearer.client.proxy.startup import Cancel, Encryption, Startup, read_first

V3_0, V3_2, UNKNOWN = 3 << 16, 3 << 16 | 2, 3 << 16 | 9999


def packet(*pairs: tuple[bytes, bytes], version: int = V3_0) -> bytes:
    """The body of a startup packet."""
    return Startup(version, pairs).encode()[4:]


def startup(**parameters: str) -> Startup:
    pairs = {"user": "app", **parameters}
    return Startup(V3_0, tuple((name.encode(), value.encode()) for name, value in pairs.items()))


names = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)
values = st.binary(max_size=20).filter(lambda value: b"\0" not in value)


@given(st.dictionaries(names, values, max_size=6), st.sampled_from([V3_0, V3_2, UNKNOWN]))
def test_what_is_read_is_what_is_sent_on(parameters: dict[bytes, bytes], version: int) -> None:
    sent = Startup(version, tuple({**parameters, b"user": b"app"}.items()))
    assert read_first(sent.encode()[4:]) == sent


@given(st.binary(min_size=4, max_size=100))
def test_noise_is_read_or_refused(noise: bytes) -> None:
    with contextlib.suppress(RefusedError):
        assert isinstance(read_first(noise), Startup | Cancel | Encryption)


@pytest.mark.parametrize(
    ("body", "sqlstate"),
    [
        (struct.pack("!i", 2 << 16) + b"\0", "0A000"),
        (struct.pack("!i", 4 << 16) + b"\0", "0A000"),
        (struct.pack("!i", V3_0), "08P01"),
        (struct.pack("!i", V3_0) + b"\0", "28000"),
        (struct.pack("!i", V3_0) + b"user\0app\0", "08P01"),
        (struct.pack("!i", V3_0) + b"user\0app\0\0rest", "08P01"),
        (struct.pack("!i", V3_0) + b"user\0app", "08P01"),
        (struct.pack("!i", V3_0) + b"user\0\0\0", "28000"),
        (struct.pack("!i", V3_0) + b"user\0app\0\0x\0\0", "08P01"),
        (packet((b"user", b"app"), (b"user", b"root")), "08P01"),
        (packet((b"user", b"app"), (b"database", b"a"), (b"database", b"b")), "08P01"),
        (packet((b"user", b"app"), (b"replication", b"no"), (b"replication", b"yes")), "08P01"),
        (struct.pack("!i", 80877103) + b"x", "08P01"),
        (struct.pack("!ii", 80877102, 1) + b"abc", "08P01"),
        (struct.pack("!ii", 80877102, 1) + b"k" * 257, "08P01"),
    ],
)
def test_refused(body: bytes, sqlstate: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_first(body)
    assert caught.value.sqlstate == sqlstate


def test_the_requests_that_may_stand_in_its_place() -> None:
    assert read_first(struct.pack("!i", 80877103)) is Encryption.TLS
    assert read_first(struct.pack("!i", 80877104)) is Encryption.GSS
    assert read_first(struct.pack("!ii", 80877102, 7) + b"key!") == Cancel(7, b"key!")
    assert "key!" not in repr(Cancel(7, b"key!"))


def test_protocol_options_and_unknown_versions_pass() -> None:
    body = packet((b"user", b"app"), (b"_pq_.test", b"1"), (b"options", b"-c work_mem=1MB"), version=UNKNOWN)
    asked = Pins().hold(read_first(body))  # type: ignore[arg-type]
    assert asked.encode()[4:] == body
    assert (asked.minor, asked.database) == (9999, b"app")


@pytest.mark.parametrize(
    ("pins", "asked"),
    [
        (Pins(), startup(database="any")),
        (Pins(user=b"app"), startup(database="any")),
        (Pins(database=b"appdb"), startup(database="appdb")),
        (Pins(database=b"app"), startup()),
        (Pins(), startup(replication="true")),
        (Pins(database=b"appdb"), startup(database="appdb", replication="off")),
        (Pins(database=b"appdb", replication=b"true"), startup(database="appdb", replication="true")),
        (Pins(database=b"appdb", replication=b"database"), startup(database="appdb", replication="database")),
    ],
)
def test_pins_that_hold(pins: Pins, asked: Startup) -> None:
    assert pins.hold(asked).user == b"app"


@pytest.mark.parametrize(
    ("pins", "asked", "said"),
    [
        (Pins(user=b"reader"), startup(), "for the role 'reader' alone, not for 'app'"),
        (Pins(user=b"App"), startup(), "for the role 'App' alone"),
        (Pins(database=b"appdb"), startup(database="other"), "for the database 'appdb' alone, not for 'other'"),
        (Pins(database=b"appdb"), startup(database="appdb", replication="true"), "replication connection can read all"),
        (Pins(database=b"appdb"), startup(database="appdb", replication="1"), "replication connection can read all"),
        (Pins(database=b"appdb"), startup(database="appdb", replication="o"), "replication connection can read all"),
        (Pins(database=b"appdb"), startup(database="appdb", replication="database"), "can read all of them"),
        (Pins(database=b"appdb"), startup(database="appdb", replication="DATABASE"), "can read all of them"),
        (Pins(database=b"appdb"), startup(database="appdb", replication=""), "can read all of them"),
        (Pins(replication=b"database"), startup(), "for the kind of replication 'database' alone"),
        (Pins(replication=b"database"), startup(replication="true"), "for the kind of replication"),
    ],
)
def test_pins_that_do_not(pins: Pins, asked: Startup, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        pins.hold(asked)
    assert caught.value.sqlstate == "28000"


def test_a_pinned_database_is_filled_in() -> None:
    assert Pins(database=b"appdb").hold(startup()).value(b"database") == b"appdb"


def test_a_refusal_cannot_drive_the_terminal() -> None:
    with pytest.raises(RefusedError) as caught:
        Pins(user=b"app").hold(startup(user="\x1b[2Jroot"))
    assert "\x1b" not in str(caught.value)
