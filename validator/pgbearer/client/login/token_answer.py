"""A token endpoint's answer, whatever the grant (RFC 6749 section 5), read into a `Grant`."""

from collections.abc import Mapping
from typing import Any

from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import MetadataError, json_object, refusal_in, seconds_in, secret_in, text_in
from pgbearer.client.login.refusal import COMMON, Refusals
from pgbearer.client.peek import expiry_in
from pgbearer.client.plain import plain
from pgbearer.client.token import AccessToken, TokenFormatError
from pgbearer.http import Reply

__all__ = ["grant_in"]


def grant_in(reply: Reply, endpoint: str, asked: float, client_id: str, words: Refusals = COMMON) -> Grant:
    """The grant that a token endpoint answered with.

    Args:
        reply: its answer.
        endpoint: the token endpoint, for messages.
        asked: seconds since the epoch just before the request: ends are counted from it, so never too late.
        client_id: the client that asked.
        words: what a refusal means to who asked.

    Raises:
        LoginRefusedError: the server said no; `error` says why.
        MetadataError: an answer that is none, or a token that is no bearer token.
    """
    if reply.status != 200:
        raise refusal_in(reply, endpoint, words)
    answer = json_object(reply, endpoint)
    return Grant(
        _access(answer, endpoint, asked),
        client_id,
        refresh=secret_in(answer, "refresh_token", endpoint),
        refresh_expires_at=_refresh_end(answer, endpoint, asked),
        id_token=secret_in(answer, "id_token", endpoint),
    )


def _access(answer: Mapping[str, Any], endpoint: str, asked: float) -> AccessToken:
    kind = text_in(answer, "token_type", endpoint)
    if kind.lower() != "bearer":
        raise MetadataError(f"gave a token of type {plain(kind)!r}, not Bearer", where=endpoint)
    lifetime = seconds_in(answer, "expires_in", endpoint) if "expires_in" in answer else None
    try:
        token = AccessToken(text_in(answer, "access_token", endpoint))
    except TokenFormatError as error:
        raise MetadataError(error.what, where=endpoint) from error
    ends = expiry_in(token) if lifetime is None else asked + lifetime  # its own word, if the server has none for it
    return AccessToken(token.reveal(), expires_at=ends, scope=_scope(answer, endpoint))


def _scope(answer: Mapping[str, Any], endpoint: str) -> str | None:
    said = answer.get("scope")
    return text_in(answer, "scope", endpoint) if said and isinstance(said, str) else None


def _refresh_end(answer: Mapping[str, Any], endpoint: str, asked: float) -> float | None:
    """Keycloak's own member (``refresh_expires_in``): 0 means that the refresh token has no end of its own."""
    lifetime = seconds_in(answer, "refresh_expires_in", endpoint, default=0.0)
    return asked + lifetime if lifetime else None
