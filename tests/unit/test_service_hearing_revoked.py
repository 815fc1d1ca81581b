"""Deciders take their time: what is revoked while they do is refused, whatever they say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgbearer.audit import Inquiry
from pgbearer.service.judge import judge
from pgbearer.service.limits import Buckets
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.state import State
from pgbearer.tokens import Denied, Verifiers
from pgbearer.verified import Verified
from pgbearer.wire import LoginRequest, Reason
from tests.unit.logins import NOW, compiled, request, settings, verified

ASKING = "{name: asking, any_role: [db-read], databases: [appdb], roles: [app_readonly], ask: {all: [opa]}}"


class _Verifiers:
    revoked = False

    async def verify(self, token: str, **_: Any) -> Verified:
        return verified()

    def keys_age(self, issuer: str) -> float | None:
        return 1.0

    def admit_unrevoked(self, known: Verified, now: float) -> None:
        if self.revoked:
            raise Denied(Reason.TOKEN_REVOKED, "revocation 000000000000 (sub)")


@pytest.mark.parametrize("revoked", [False, True])
async def test_what_is_revoked_meanwhile_is_refused(*, revoked: bool) -> None:
    verifiers = _Verifiers()

    async def ask(*_: Any) -> tuple[Inquiry, ...]:
        verifiers.revoked = revoked
        return (Inquiry(decider="opa", answer="yes", seconds=1.0, source="decider", breaker="closed"),)

    state = State(
        settings=settings(ASKING),
        digest="f" * 64,
        policy=compiled(ASKING),
        verifiers=cast("Verifiers", verifiers),
        revocations=RevocationFile(Path("/nowhere")),
        sockets={},
        warnings=(),
        leeway=10.0,
        panel=cast("Any", SimpleNamespace(ask=ask)),
    )
    judgement = await judge(state, Buckets(), "local", LoginRequest(1, "a.b.c", request()), float(NOW))
    assert judgement.reason is (Reason.TOKEN_REVOKED if revoked else Reason.ALLOWED)
    assert (judgement.allow is None) is revoked
    assert [one.answer for one in judgement.asked] == ["yes"]
