"""What the record of a login keeps, and what it lets go."""

import sys
import time
from dataclasses import replace

import pytest

from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement
from pgbearer.service.recording import login_record
from pgbearer.wire import Client, LoginRequest, Reason
from tests.unit.logins import request, verified


def _unique(of: str) -> str:
    """A text that nothing else in this process has."""
    return f"{of} {time.time_ns()}"


@pytest.mark.parametrize("member", ["role", "database", "client_address", "identity", "display"])
def test_no_text_from_outside_stays_for_ever(member: str) -> None:
    """A string that is interned does in some Pythons, and anybody who can connect can name any role."""
    text = _unique(member)
    access = replace(request(), role=text, database=text, client=Client(address=text, port=None, tls=None))
    judgement = Judgement(reason=Reason.NO_RULE, verified=verified(subject=text, identity=text, display=text))
    record = login_record(
        LoginRequest(1, "t", access), judgement, policy="", server=None, peer=Peer(pid=1, uid=0, gid=0), at=0
    )
    kept = getattr(record, member)
    assert kept == text
    assert sys.intern("".join(list(text))) is not kept


def test_equal_texts_are_kept_once() -> None:
    text = _unique("role")
    judgement = Judgement(reason=Reason.ROLE_UNKNOWN)
    first, second = (
        login_record(
            LoginRequest(1, "t", replace(request(), role="".join(list(text)))),
            judgement,
            policy="",
            server=None,
            peer=Peer(pid=1, uid=0, gid=0),
            at=0,
        )
        for _ in range(2)
    )
    assert first.role is second.role
