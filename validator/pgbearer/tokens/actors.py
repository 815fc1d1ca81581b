"""Who acts for the subject of a token: ``act`` (RFC 8693 section 4.1), or a client that is known to be an agent.

Two forms are met. One names the agent in ``act`` beside the person in ``sub``: ``{"sub": ..., "client_id": ...}``, as
Keycloak has it from 26.8 (a copy of ``may_act``, with who acted before in an ``act`` of its own). The other, Keycloak
before that, exchanges the token and says nothing: then only the client (``azp``) tells the agent from the person.
Whatever is not one of these in full is refused, as is an actor who is on no list: a token with an ``act`` that nobody
understands must never pass for the person's own.
"""

from collections.abc import Mapping
from typing import Final

from pgbearer.config.settings import Agent
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.identity import checked_subject
from pgbearer.tokens.unverified import Unverified
from pgbearer.verified import Actor
from pgbearer.wire import Reason

__all__ = ["EXCHANGED", "MAX_CHAIN", "Agents", "act_is_of_an_exchange"]

MAX_CHAIN: Final = 8
"""Actors in one token: longer chains than anybody means are somebody's play with the parser."""
EXCHANGED: Final = "te"
"""How Keycloak marks token exchange in ``jti`` (AccessTokenContext), after two letters each for session and type."""


class Agents:
    """An issuer's agents, ready to be looked up. Immutable.

    Args:
        agents: ``issuers.NAME.agents``.
    """

    __slots__ = ("_agents", "_by_client", "_by_subject")

    def __init__(self, agents: Mapping[str, Agent]) -> None:
        self._agents = dict(agents)
        self._by_client = {client: name for name, agent in agents.items() for client in agent.clients}
        self._by_subject = {subject: name for name, agent in agents.items() for subject in agent.subjects}

    def of_client(self, client: object) -> str | None:
        """The name of the agent whose client this is, None if it is a person's or unknown."""
        return self._by_client.get(client) if isinstance(client, str) else None

    def actor_of(self, token: Unverified, client_claim: str) -> Actor | None:
        """Who acts for the token's subject, None if nobody does.

        Args:
            token: as parsed.
            client_claim: the claim that names the client which got it (``azp`` or ``client_id``).

        Raises:
            Denied: actor_not_allowed: ``act`` is malformed, too long, of no agent or of another than the client.
        """
        payload = token.payload
        by_client = self.of_client(payload.get(client_claim))
        if "act" not in payload:
            return None if by_client is None else self._actor(by_client)
        chain = _chain(payload["act"])
        _refuse_a_circle(chain, payload.get("sub"))
        outermost = chain[0]
        if outermost.get("iss", payload.get("iss")) != payload.get("iss"):
            raise _refused("act is of another issuer")
        name = self._named(outermost)
        if by_client not in (None, name):
            raise _refused(f"act names the agent {name!r}, the client is the agent {by_client!r}")
        return self._actor(name, outermost["sub"], tuple(one.get("client_id", one["sub"]) for one in chain[1:]))

    def _named(self, act: Mapping[str, str]) -> str:
        """The agent that ``act`` names, by its client or its subject; what the agent is known by must all fit."""
        subject, client = act["sub"], act.get("client_id")
        name = self.of_client(client) or self._by_subject.get(subject)
        if name is None:
            raise _refused(f"act names {client or subject!r}, which is no agent")
        agent = self._agents[name]
        if agent.subjects and subject not in agent.subjects:
            raise _refused(f"act names the client of the agent {name!r} with another subject")
        if agent.clients and client is not None and client not in agent.clients:
            raise _refused(f"act names the subject of the agent {name!r} with another client")
        return name

    def _actor(self, name: str, subject: str | None = None, prior: tuple[str, ...] = ()) -> Actor:
        return Actor(name=name, subject=subject, prior=prior, carries=frozenset(self._agents[name].carries))


def act_is_of_an_exchange(token: Unverified) -> None:
    """Keycloak: only token exchange makes an actor; ``act`` in any other token is of impersonation, or a mapper's.

    Keycloak 26.8 writes ``act`` into every token of a session in which an administrator impersonates somebody.

    Raises:
        Denied: actor_not_allowed.
    """
    kind, colon, _ = str(token.payload["jti"]).partition(":")
    if "act" in token.payload and not (colon and kind[4:6] == EXCHANGED):
        raise _refused("act in a token that no token exchange made")


def _chain(act: object) -> tuple[Mapping[str, str], ...]:
    """The actors, the present one first, each with ``sub`` and maybe ``iss`` and ``client_id``."""
    chain: list[Mapping[str, str]] = []
    while True:
        if not isinstance(act, Mapping):
            raise _refused("act is not an object")
        if len(chain) == MAX_CHAIN:
            raise _refused(f"act within act, more than {MAX_CHAIN} deep")
        chain.append({name: _text(act, name) for name in ("sub", "iss", "client_id") if name in act or name == "sub"})
        if "act" not in act:
            return tuple(chain)
        act = act["act"]


def _text(act: Mapping[str, object], name: str) -> str:
    value = act.get(name)
    if not isinstance(value, str):
        raise _refused(f"act has no text as {name!r}")
    try:
        return checked_subject(value)
    except Denied:
        raise _refused(f"{name!r} in act is empty, too long or not printable") from None


def _refuse_a_circle(chain: tuple[Mapping[str, str], ...], subject: object) -> None:
    """Nobody acts for themselves, nor twice: the one says nothing, the other hides who began."""
    names = [one["sub"] for one in chain]
    if subject in names:
        raise _refused("act names the subject itself")
    if len(set(names)) < len(names):
        raise _refused("act names somebody twice")


def _refused(detail: str) -> Denied:
    return Denied(Reason.ACTOR_NOT_ALLOWED, detail)
