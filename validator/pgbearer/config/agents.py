"""Agents: clients and services that act for people, so that their tokens are told from the people's own."""

from typing import Final

from pgbearer.config.section import Name, Section

__all__ = ["CARRIED", "Agent"]

CARRIED: Final = ("token_roles", "groups", "organizations")
"""What a token may say of a person beside declared claims; how `Agent.carries` names it."""


class Agent(Section):
    """How one agent is known. Whatever it gets in, it gets in by rules whose `actor` allows it."""

    clients: tuple[Name, ...] = ()
    """Its clients (azp). Every token that one of them got counts as the agent's, with `act` in it or without. They
    stand here instead of among the issuer's `clients`."""
    subjects: tuple[Name, ...] = ()
    """Its own `sub`, as `act` names it where the issuer writes no `client_id` beside it."""
    carries: tuple[Name, ...] = ()
    """What its tokens are sure to say of the person in full: `token_roles`, `groups`, `organizations`, declared claims.
    A token exchange may leave out all else, so a deny rule that asks for something else refuses the agent."""
