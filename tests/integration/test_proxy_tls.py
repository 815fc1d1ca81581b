"""TLS between two memory buffers: any cut of the records gives the same text, and a forged one is the end."""

import contextlib
import ssl
from pathlib import Path

import pytest

from pgbearer.client.proxy.tls_stream import TlsStream
from tests.parts.authority import Authority

TEXT = bytes(range(256)) * 300


class Pair:
    """Our side of a connection, and OpenSSL's own server on the other."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder / "ca")
        certificate = authority.server("db", ["db.test"])
        accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        accepting.load_cert_chain(certificate.cert_file, certificate.key_file)
        connecting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        connecting.load_verify_locations(authority.ca_file)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = accepting.wrap_bio(self._in, self._out, server_side=True)
        self.ours = TlsStream(connecting, "db.test", bytearray(40_000))

    def shake_hands(self) -> None:
        done = False
        while not done:
            done = self.ours.handshake()
            self._in.write(self.ours.outgoing())
            with contextlib.suppress(ssl.SSLWantReadError):
                self.server.do_handshake()
            self.ours.feed(memoryview(self.said()))

    def said(self) -> bytes:
        """What the server has sent."""
        return self._out.read()

    def hear(self, data: bytes) -> bytes:
        """What the server makes of what we send it."""
        self._in.write(data)
        return self.server.read(1_000_000)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.shake_hands()
    list(made.ours.plaintext())  # session tickets
    return made


@pytest.mark.parametrize("step", [1, 7, 4_096, 200_000])
def test_any_cut_of_the_records_gives_the_same_text(pair: Pair, step: int) -> None:
    for start in range(0, len(TEXT), 8_192):
        pair.server.write(TEXT[start : start + 8_192])
    sent, came = pair.said(), b""
    for start in range(0, len(sent), step):
        pair.ours.feed(memoryview(sent)[start : start + step])
        came += b"".join(bytes(piece) for piece in pair.ours.plaintext())
    assert came == TEXT


def test_what_is_sent_is_heard(pair: Pair) -> None:
    assert pair.hear(pair.ours.encrypt(b"hello")) == b"hello"


def test_a_forged_record_is_the_end(pair: Pair) -> None:
    pair.server.write(b"good")
    sent = bytearray(pair.said())
    sent[-1] ^= 1
    pair.ours.feed(memoryview(sent))
    with pytest.raises(ssl.SSLError, match=r"(?i)bad record mac|decryption failed"):
        list(pair.ours.plaintext())


def test_the_last_word_and_the_end_of_it(pair: Pair) -> None:
    pair.server.write(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.unwrap()
    pair.ours.feed(memoryview(pair.said()))
    pieces = pair.ours.plaintext()
    assert bytes(next(pieces)) == b"bye"
    with pytest.raises(EOFError):
        next(pieces)


def test_our_last_word_leaves_the_other_side_its_own(pair: Pair) -> None:
    last = pair.ours.finish()
    assert pair.hear(last) == b""
    pair.server.write(b"still here")
    pair.ours.feed(memoryview(pair.said()))
    assert b"".join(bytes(piece) for piece in pair.ours.plaintext()) == b"still here"
