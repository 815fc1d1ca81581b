"""What a certificate's owner may be known by, and how refusals are told of."""

import logging
import ssl
from typing import Any, cast

import pytest

from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement
from pgbearer.service.metrics import Metrics
from pgbearer.service.recording import login_record
from pgbearer.service.tls_connection import TlsConnection, expires_of, names_of
from pgbearer.service.tls_listener import A_CROWD, MAX_HANDSHAKES, Refusals, TlsListener
from pgbearer.wire import Reason
from tests.parts.login import login_request

ID = "spiffe://prod.test/postgres/pay"


def certificate(*names: tuple[str, str]) -> dict[str, Any]:
    """As the standard library decodes one; its common name is nobody's name."""
    return {"subject": (("commonName", "pay.test"),), "subjectAltName": names}


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ((("URI", ID),), (ID,)),
        ((("URI", ID), ("DNS", "pay.test")), (ID,)),
        ((("DNS", "Pay.Test"), ("DNS", "pay")), ("pay.test", "pay")),
        ((("URI", ID), ("URI", ID + "2")), ()),
        ((("URI", ID), ("URI", ID)), ()),
        ((("URI", "https://pay.test/"), ("DNS", "pay.test")), ()),
        ((("DNS", ID),), ()),
        ((("DNS", ID), ("DNS", "pay.test")), ("pay.test",)),
        ((("DNS", "ban\N{KELVIN SIGN}.test"), ("DNS", "pay.test\0.example"), ("DNS", "pay.test\n")), ()),
        ((("URI", ID + "\nerror: forged"), ("DNS", "pay.test")), ()),
        ((("IP Address", "127.0.0.1"), ("email", "pay@test"), ("DirName", "pay.test")), ()),
        ((), ()),
    ],
)
def test_a_certificate_is_known_by_its_spiffe_id_alone_or_its_dns_names(
    names: tuple[tuple[str, str], ...], known: tuple[str, ...]
) -> None:
    assert names_of(certificate(*names)) == known
    assert names_of({}) == ()


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("Jan  1 00:00:00 2030 GMT", 1893456000.0),
        ("Dec 31 23:59:59 9999 GMT", 253402300799.0),
        ("soon", None),
        ("", None),
    ],
)
def test_until_when_a_certificate_is_good(text: str, until: float | None) -> None:
    assert expires_of({"notAfter": text}) == until
    assert expires_of({}) is None


def test_another_file_forgets_until_when_certificates_of_servers_are_good() -> None:
    metrics = Metrics()
    metrics.caller_expires.labels("pay").set(1893456000)
    assert b'{server="pay"} 1.893456e+09' in metrics.exposition()
    metrics.loaded("0" * 64, 1.0)
    assert b'server="pay"' not in metrics.exposition()


def test_a_flood_of_refusals_is_a_number_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    refusals = Refusals(metrics)
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            refusals.add("handshake", f"192.0.2.1:{number}", "no TLS")
        refusals.add("unknown", "192.0.2.2:1", "a stranger")
    assert [record.getMessage() for record in caplog.records] == [
        "a connection from 192.0.2.1:0 is refused: no TLS",
        "a connection from 192.0.2.2:1 is refused: a stranger",
    ]
    assert b'pgbearer_tls_refused_total{reason="handshake"} 100.0' in metrics.exposition()


def test_a_record_has_no_more_of_a_certificate_than_fits_a_line() -> None:
    peer = Peer(0, -1, -1, ("a" * 253 + ".test",) * 100, "192.0.2.1:1")
    judgement = Judgement(reason=Reason.TOKEN_MISSING)
    record = login_record(login_request(token=""), judgement, policy="0" * 64, server="pay", peer=peer, at=0)
    assert record.peer_uid is None
    assert record.peer_certificate is not None
    assert len(record.peer_certificate) == 512


class Shaking(TlsConnection):
    """A handshake under way, without a socket."""

    def __init__(self, door: TlsListener, host: str, *, unread: bool = False) -> None:
        super().__init__(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), door, 0)
        self.whence = host
        self._waiting = unread
        self.why: str | None = None

    @property
    def unread(self) -> bool:
        return self._waiting

    def fail(self, reason: str, why: str, *, politely: bool = False) -> None:
        self.why = reason
        self._door.left(self)


def listener() -> TlsListener:
    """One that is not listening, and whose handshakes never come to an exchange."""
    return TlsListener(cast("Any", None), cast("Any", None), cast("Any", None), Refusals(Metrics()))


def test_who_has_said_something_that_is_not_read_yet_does_not_make_room() -> None:
    """It may be a request, whose sender could not know that nothing was decided."""
    door = listener()
    first = Shaking(door, "192.0.2.1", unread=True)
    others = [Shaking(door, "192.0.2.1") for _ in range(MAX_HANDSHAKES - 1)]
    for one in (first, *others, Shaking(door, "192.0.2.2")):
        door.came(one)
    assert (first.why, others[0].why, others[1].why) == (None, "crowded", None)


def test_who_comes_from_many_addresses_crowds_out_nobody_else() -> None:
    """A network has as many as it likes; a server has a few handshakes at a time, and they soon end."""
    door = listener()
    many = [Shaking(door, f"2001:db8:0:{number:x}::") for number in range(MAX_HANDSHAKES)]
    server = [Shaking(door, "192.0.2.1") for _ in range(A_CROWD)]
    for one in (*many, *server):
        door.came(one)
    assert [one.why for one in server] == [None] * A_CROWD
    assert [one.why for one in many[: A_CROWD + 1]] == [*["crowded"] * A_CROWD, None]


def test_one_address_with_a_crowd_makes_room_before_older_ones() -> None:
    door = listener()
    older = [Shaking(door, f"2001:db8:0:{number:x}::") for number in range(MAX_HANDSHAKES - A_CROWD - 1)]
    crowd = [Shaking(door, "192.0.2.1") for _ in range(A_CROWD + 1)]
    for one in (*older, *crowd, Shaking(door, "192.0.2.2")):
        door.came(one)
    assert [one.why for one in crowd[:2]] == ["crowded", None]
    assert {one.why for one in older} == {None}


def test_where_all_have_the_oldest_makes_room() -> None:
    door = listener()
    all_of_them = [Shaking(door, "192.0.2.1", unread=True) for _ in range(MAX_HANDSHAKES + 1)]
    for one in all_of_them:
        door.came(one)
    assert [one.why for one in all_of_them[:2]] == ["crowded", None]
