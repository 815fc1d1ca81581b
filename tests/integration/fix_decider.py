"""The lying decider, and what asks it: a panel made from settings, over real TLS."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config import Settings
from pgbearer.deciders import Panel, build_panel
from pgbearer.policy import Ask, Outcome, Policy, conclude
from pgbearer.service.hearing import Heard, hear
from tests.lying_decider import LyingDecider, section
from tests.parts.authority import Authority
from tests.unit.logins import NOW, compiled, request, settings, verified

__all__ = ["Asking", "AskingMaker", "asking", "decider_section", "lying_decider"]

TOKEN = "eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl"
"""Goes to a decider whose protocol is the token, and must be in nothing that is kept."""
WHERE = "any_role: [db-read], databases: [appdb], roles: [app_readonly, app_readwrite], issuers: [corp]"
RULE = f"{{name: asking, {WHERE}, ask: {{all: [it]}}}}"


def decider_section(kind: str, decider: LyingDecider, **changes: Any) -> dict[str, Any]:
    """What the settings say of it; `changes` replace members."""
    return section(kind, f"https://127.0.0.1:{decider.port}", decider.ca_file) | changes


@dataclass
class Asking:
    """Settings in force, as far as deciders go."""

    policy: Policy
    panel: Panel

    async def login(self, **changes: Any) -> tuple[Outcome, Heard]:
        """The usual login, `changes` to its request or, with ``person``, to its token."""
        person = changes.pop("person", {})
        found = policy.evaluate(
            self.policy, verified(**person), request(**changes), server="local", now=NOW, keys_age=1.0
        )
        assert isinstance(found, Ask), found
        heard = await hear(self.panel, found, TOKEN)
        assert TOKEN not in repr(heard)
        return conclude(found, heard.advice), heard

    async def answer(self, **changes: Any) -> str:
        """What the one decider said."""
        _, heard = await self.login(**changes)
        return heard.inquiries[0].answer


AskingMaker = Callable[..., Asking]


@pytest.fixture
def lying_decider(issuer_authority: Authority) -> Iterator[LyingDecider]:
    """A decider that says yes until it is told otherwise."""
    with LyingDecider(issuer_authority) as serving:
        yield serving


@pytest.fixture
async def asking() -> AsyncIterator[AskingMaker]:
    """Make what asks: `rules` as YAML, the decider `it` of a kind; `seconds` is its limit, also below one."""
    closing: list[Callable[[], Awaitable[None]]] = []

    def make(kind: str, decider: LyingDecider, *rules: str, seconds: float | None = None, **changes: Any) -> Asking:
        plain = settings(*(rules or (RULE,)))
        members = {name: getattr(plain, name) for name in type(plain).model_fields}
        given = Settings.model_validate(members | {"deciders": {"it": decider_section(kind, decider, **changes)}})
        if seconds is not None:
            quick = given.deciders["it"].model_copy(update={"timeout": seconds})
            given = given.model_copy(update={"deciders": {"it": quick}})
        panel = build_panel(given)
        assert panel is not None
        closing.append(panel.aclose)
        return Asking(_policy(tuple(rules) or (RULE,)), panel)

    yield make
    for close in closing:
        await close()


@cache
def _policy(rules: tuple[str, ...]) -> Policy:
    """Compiling takes longer than asking, and most tests have the same few rules."""
    return compiled(*rules)


def fresh_name() -> str:
    """For a certificate of a test's own."""
    return f"decider-{uuid.uuid4().hex[:8]}"
