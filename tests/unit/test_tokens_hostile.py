"""Whatever a claim, or an introspection answer, is made of: accepted or denied, and never another error."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.http import Reply
from pgbearer.tokens import Denied
from pgbearer.tokens.introspection_answer import read_introspection
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.issuer import ABSENT, Mint
from tests.samples import SAMPLES, Sample
from tests.unit.fix_tokens import Desk
from tests.unit.test_tokens_samples import NOW, desk_for

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
OTHERS = ("appid", "idtyp", "hasgroups", "_claim_names", "uid", "environment", "groups", "act", "cnf", "scope")
DESKS: dict[str, Desk] = {}


async def judged(name: str, sample: Sample, changes: dict[str, Any]) -> Verified | Denied:
    if name not in DESKS:
        DESKS[name] = await desk_for(sample)
    desk = DESKS[name]
    try:
        return await desk.verify(sample.token(desk.mint, NOW, **changes), now=float(NOW), hba_scopes=())
    except Denied as denied:
        return denied


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_claim_of_any_form_is_denied_or_leaves_the_identity_whole(name: str, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    names = st.sampled_from(sorted({*sample.claims, *OTHERS, "aud", "iat", "nbf", "exp"}))
    changes = data.draw(st.dictionaries(names, ANYTHING | st.just(ABSENT), min_size=1, max_size=3))
    outcome = asyncio.run(judged(name, sample, changes))
    if isinstance(outcome, Denied):
        assert outcome.detail.isprintable()
        return
    template = sample.settings["identity"]
    changed = [claim for claim in changes if f"{{{claim}}}" in template]
    assert changed or outcome.identity == sample.identity
    assert all(isinstance(changes[claim], str) for claim in changed)


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(("active", "sub", "exp", "iss", "aud", "jti", "token_type")), ANYTHING))
def test_any_answer_is_a_no_unless_it_is_the_one_yes(changes: dict[str, Any]) -> None:
    mint = Mint()
    verified = asyncio.run(_verified(mint))
    right = {"active": True, "sub": verified.subject, "exp": verified.expires_at}
    body = json.dumps(right | changes).encode()
    reason = _said(Reply(200, {"content-type": "application/json"}, body), verified)
    if changes.get("active", True) is not True or any(changes.get(name, right[name]) != right[name] for name in right):
        assert reason in {Reason.TOKEN_INACTIVE, Reason.INTROSPECTION_INVALID}


def _said(reply: Reply, verified: Verified) -> Reason:
    try:
        read_introspection(reply, verified)
    except Denied as denied:
        return denied.reason
    return Reason.ALLOWED


async def _verified(mint: Mint) -> Verified:
    desk = Desk(mint)
    await desk.fetch()
    return await desk.verify(mint.token(iat=NOW, exp=NOW + 300, jti="onrtdg:7"), now=float(NOW))
