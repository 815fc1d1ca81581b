"""The kinds of decider, each with what its protocol needs to be told; what all share is in `deciders`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pgbearer.config.deciders import DeciderSection, HttpsUrl
from pgbearer.config.section import AbsolutePath, Name, Section

__all__ = [
    "AuthZenAction",
    "AuthZenDecider",
    "AuthZenEntity",
    "Basic",
    "ClientCredentials",
    "Decider",
    "KeycloakDecider",
    "Member",
    "OpaDecider",
]

Member = str | bool | int
"""A member of a question's JSON: a template, or a constant."""


class KeycloakDecider(DeciderSection):
    """Keycloak's authorization services, asked with the person's own token for one scope of one resource."""

    type: Literal["keycloak"]
    """The protocol that it speaks."""
    issuer: Name
    """The realm, by its name under `issuers`: it is sent tokens of this issuer, and nobody else's."""
    audience: Name
    """The client that the resources belong to (client id)."""
    permission: Name = "{database}#{role}"
    """Template of what is asked for: a resource, `#`, and one of its authorization scopes."""


class Basic(Section):
    """A user name and a password of ours (RFC 7617)."""

    user: Name
    """The user name."""
    password_file: AbsolutePath
    """A file with the password."""


class ClientCredentials(Section):
    """A client of ours at an authorization server: it gives us a token, which is renewed before it expires."""

    token_endpoint: HttpsUrl
    """Where the token is asked for (RFC 6749 section 4.4)."""
    client: Name
    """The client id."""
    secret_file: AbsolutePath
    """A file with the client's secret."""
    scope: Name | None = None
    """The scopes to ask for, with a space between."""


class _WithCredentials(DeciderSection):
    """Deciders to which we say who we are."""

    bearer_file: AbsolutePath | None = None
    """A file with a bearer token of ours; read anew when it changes."""
    basic: Basic | None = None
    client_credentials: ClientCredentials | None = None
    request_id: Literal["required", "checked"] = "required"
    """Whether the answer must name the question that it answers, or must only not name another."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.bearer_file, self.basic, self.client_credentials)) > 1:
            raise ValueError("takes one of bearer_file, basic and client_credentials")
        return self


class AuthZenEntity(Section):
    """A subject or a resource. What is left out is as in the preset."""

    type: Name | None = None
    """Template of its type."""
    id: Name | None = None
    """Template of its id. A field alone, such as `{identity}`, may have any value."""
    properties: dict[Name, Member] | None = None
    """Templates of its properties. A field alone keeps its type, so `{token.roles}` is a list; what a token lacks is
    left out."""


class AuthZenAction(Section):
    """An action. What is left out is as in the preset."""

    name: Name | None = None
    """Template of its name."""
    properties: dict[Name, Member] | None = None
    """Templates of its properties."""


class AuthZenDecider(_WithCredentials):
    """Anything that speaks the OpenID AuthZEN Authorization API 1.0."""

    type: Literal["authzen"]
    """The protocol that it speaks."""
    preset: Literal["default", "keycloak", "cerbos"] = "default"
    """Templates, and where it is asked, that suit a known server."""
    endpoint: HttpsUrl | None = None
    """Where evaluations are asked for. Left out: below `url`, where the preset says."""
    metadata: Literal["inserted", "appended"] | HttpsUrl | None = None
    """Take the endpoint from its metadata instead: at the address given, or with `/.well-known/authzen-configuration`
    between the host and the path of `url`, as the standard has it, or after them. It must be on the origin of `url`."""
    subject: AuthZenEntity = AuthZenEntity()
    """Who."""
    action: AuthZenAction = AuthZenAction()
    """Does what."""
    resource: AuthZenEntity = AuthZenEntity()
    """With what."""
    context: dict[Name, Member] | None = None
    """Templates of what else the decider is told. Left out: as in the preset."""


class OpaDecider(_WithCredentials):
    """Open Policy Agent: a document of its data API."""

    type: Literal["opa"]
    """The protocol that it speaks."""
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", max_length=256)] = "pgbearer/login"
    """The document, as in its data API: package and rule. It is an object with `allow`, `id` and perhaps `reason`; with
    `request_id: checked` a plain true or false is one too."""


Decider = Annotated[KeycloakDecider | AuthZenDecider | OpaDecider, Field(discriminator="type")]
