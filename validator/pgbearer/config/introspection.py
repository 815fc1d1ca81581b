"""Settings of asking an issuer, at a login, whether a token is still good."""

from typing import Annotated, Literal

from pydantic import Field

from pgbearer.config.section import AbsolutePath, Duration, Name, Section

__all__ = ["Introspection"]


class Introspection(Section):
    """Ask the issuer at a login whether the token is still good (RFC 7662).

    What it says can only refuse. Each such login waits for the issuer, and is denied if that does not answer.
    """

    endpoint: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)]
    """The introspection_endpoint of the issuer's metadata. The token and our secret are sent there."""
    client_id: Name
    """The client that we are at the issuer. Keycloak answers only a client that the token's aud names."""
    client_secret_file: AbsolutePath
    """A file with its secret, on one line. Read anew for each question, so it can be exchanged at any time."""
    client_auth: Literal["basic", "post"] = "basic"
    """How it is sent: `basic` (client_secret_basic) or `post` (client_secret_post)."""
    when: Literal["always", "critical"] = "always"
    """`always`: at every login. `critical`: once a rule of the critical tier would let somebody in."""
    timeout: Annotated[Duration, Field(ge=1, le=10)] = 2
    """How long a login waits for the answer, all in all. Shorter than pgbearer.timeout of the database servers."""
    cache: Annotated[Duration, Field(le=60)] = 0
    """How long a yes is remembered for the same token. 0: never."""
