"""Deciders outside, as they are written under ``deciders:``, and how rules ask them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pgbearer.config.section import AbsolutePath, Duration, Name, Section

__all__ = ["Ask", "Breaker", "DeciderSection", "HttpsUrl", "LastKnown", "OnFault"]

HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)]
"""An address without a query."""


class LastKnown(Section):
    """Go on with the decider's last answer to the same question, if that was a yes."""

    max_age: Annotated[Duration, Field(ge=1, le=86400)]
    """How old that yes may be. A no, a revocation or a reload has it forgotten."""


class OnFault(Section):
    """What counts where a decider cannot be asked. Exactly one of these; never a constant yes."""

    last_known: LastKnown | None = None
    rule: Name | None = None
    """Another rule, with `fallback: true`, must match instead."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.last_known is None) == (self.rule is None):
            raise ValueError("says either last_known or rule")
        return self


class Ask(Section):
    """Deciders that must say yes before a rule matches. A no means that the rule does not match."""

    all: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Every one of these (names under `deciders`)."""
    any: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """At least one of these."""
    veto: bool = False
    """A no refuses the login, whatever other rules say; so it is asked even where another rule allows the login."""
    on_fault: Literal["deny"] | OnFault | None = None
    """What counts where the deciders cannot be asked. Left out: what each decider says. `deny`: the rule does not
    match, and with `veto` the login is refused."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.all is None) == (self.any is None):
            raise ValueError("says either all or any, and whom")
        return self

    @property
    def deciders(self) -> tuple[str, ...]:
        """Whom it asks."""
        return self.all or self.any or ()


class Breaker(Section):
    """When a decider that does not answer is left alone for a while; only faults count, never a no."""

    failures: Annotated[int, Field(ge=2, le=1000)] = 5
    """Faults in a row. One person's questions count for at most half of them."""
    open_for: Annotated[Duration, Field(ge=1, le=3600)] = 10
    """How long it is not asked; then one question tries."""


class DeciderSection(Section):
    """What every kind of decider has."""

    url: HttpsUrl
    """Where it is asked: https, without a query."""
    ca_file: AbsolutePath | None = None
    """Certificates (PEM) that its TLS is checked with, in place of the system's."""
    client_cert_file: AbsolutePath | None = None
    """Our certificate (PEM), where it asks for one; with `client_key_file`."""
    client_key_file: AbsolutePath | None = None
    """The key of our certificate (PEM)."""
    timeout: Annotated[Duration, Field(ge=1, le=30)] = 2
    """For one whole question. `limits.asking` bounds all questions of a login together."""
    max_bytes: Annotated[int, Field(ge=256, le=1024 * 1024)] = 65536
    """The longest answer, in bytes."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Questions at a time; more wait their turn, as long as `limits.asking` leaves the decider its `timeout`, and are
    refused then."""
    breaker: Breaker = Breaker()
    cache: Annotated[Duration, Field(le=300)] = 0
    """How long an answer to the same question is used again. 0s: not at all."""
    on_fault: Literal["deny"] | OnFault = "deny"
    """What counts where it cannot be asked, for rules that do not say it themselves."""
