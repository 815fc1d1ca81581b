"""What the fuzzer calls in Python: each target takes bytes, and raises only if something that must hold does not."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.tokens import Denied
from pgbearer.verified import Verified
from pgbearer.wire import RequestError, decode_request, encode_request
from tests.issuer import AUDIENCE, Mint
from tests.unit.fix_tokens import Desk

__all__ = ["CORPUS", "TARGETS"]

CORPUS: Final = Path(__file__).with_name("corpus")
"""A folder of seeds for each target, by its name; a few bytes each."""
NOW: Final = 1_800_000_000


def token(data: bytes) -> None:
    """Bytes as a whole token: nothing that we did not sign is accepted."""
    outcome = _verdict(data.decode("latin-1"))
    assert isinstance(outcome, Denied)
    _check_refusal(outcome)


def signed_payload(data: bytes) -> None:
    """Bytes as the payload of a well signed token: what is accepted is what the settings ask for."""
    outcome = _verdict(_mint().sign(json.dumps(_mint().header()).encode(), data))
    if isinstance(outcome, Verified):
        assert outcome.identity == f"corp:{outcome.subject}"
        assert outcome.audience == (AUDIENCE,)
        assert outcome.subject.isprintable()
    else:
        _check_refusal(outcome)


def signed_header(data: bytes) -> None:
    """Bytes as the header of a well signed token: only the one right header leads to its key."""
    mint = _mint()
    outcome = _verdict(mint.sign(data, json.dumps(mint.claims(iat=NOW, exp=NOW + 300)).encode()))
    if isinstance(outcome, Verified):
        header = json.loads(data)
        assert (header["alg"], header["kid"], header["typ"].lower()) == ("EdDSA", mint.key.kid, "at+jwt")
        assert header.keys() <= {"alg", "kid", "typ", "x5t", "x5t#S256"}
    else:
        _check_refusal(outcome)


def settings(data: bytes) -> None:
    """Bytes as pgbearer.yaml: it loads, with its rules compiled, or every problem can be shown."""
    file = _scratch() / "pgbearer.yaml"
    file.write_bytes(data)
    try:
        loaded = load(file, policy.compile)
    except ConfigError as error:
        assert error.problems
        assert all(str(problem).isprintable() for problem in error.problems)
    else:
        assert not any(problem.is_error for problem in loaded.warnings)


def request(data: bytes) -> None:
    """Bytes as a login request: it is refused, or means the same when it is written again."""
    try:
        decoded = decode_request(data)
    except RequestError as error:
        assert error.detail.isprintable()
        return
    assert decode_request(encode_request(decoded)) == decoded


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (token, signed_payload, signed_header, settings, request)
}


@cache
def _mint() -> Mint:
    return Mint(algorithm="EdDSA")  # the quickest to sign with


@cache
def _desk() -> tuple[asyncio.Runner, Desk]:
    runner = asyncio.Runner()
    desk = Desk(_mint(), algorithms=("EdDSA",))
    runner.run(desk.fetch())
    return runner, desk


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="pgbearer-fuzz-"))


def _verdict(presented: str) -> Verified | Denied:
    runner, desk = _desk()
    try:
        return runner.run(desk.verify(presented, now=float(NOW)))
    except Denied as denied:
        return denied


def _check_refusal(denied: Denied) -> None:
    """What goes into logs holds one line of what can be shown."""
    assert denied.detail.isprintable()
