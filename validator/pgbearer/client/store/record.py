"""How a login is written down: one versioned JSON object, read back strictly or not at all."""

from typing import Final, Literal

import msgspec

from pgbearer.client.grant import Grant
from pgbearer.client.secret import Secret
from pgbearer.client.store.store import TokenKey
from pgbearer.client.token import AccessToken, TokenFormatError

__all__ = ["MAX_RECORD_BYTES", "RecordError", "read_record", "write_record"]

MAX_RECORD_BYTES: Final = 1024 * 1024
"""Three tokens at their longest, and what JSON adds."""


class RecordError(Exception):
    """What is kept is not a login that this version wrote under this key. The message has nothing of it."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    issuer: str
    key_client_id: str
    key_scope: str | None
    access_token: str
    expires_at: float | None
    scope: str | None
    client_id: str
    refresh_token: str | None
    refresh_expires_at: float | None
    id_token: str | None

    def __repr__(self) -> str:
        return f"<record of a login, version {self.version}>"


def write_record(key: TokenKey, grant: Grant) -> bytes:
    """The record of `grant` under `key`; read_record gives it back. It holds the tokens in the clear."""
    return msgspec.json.encode(
        _Record(
            version=1,
            issuer=key.issuer,
            key_client_id=key.client_id,
            key_scope=key.scope,
            access_token=grant.access.reveal(),
            expires_at=grant.access.expires_at,
            scope=grant.access.scope,
            client_id=grant.client_id,
            refresh_token=None if grant.refresh is None else grant.refresh.reveal(),
            refresh_expires_at=grant.refresh_expires_at,
            id_token=None if grant.id_token is None else grant.id_token.reveal(),
        )
    )


def read_record(key: TokenKey, record: bytes) -> Grant:
    """The login in `record`.

    Raises:
        RecordError: cut, damaged, of another version or key, or with something in a token's place that is none.
    """
    try:
        kept = msgspec.json.decode(record, type=_Record)
        if (kept.issuer, kept.key_client_id, kept.key_scope) != key:
            raise RecordError("a login kept under another key")
        return Grant(
            access=AccessToken(kept.access_token, expires_at=kept.expires_at, scope=kept.scope),
            client_id=kept.client_id,
            refresh=_secret(kept.refresh_token),
            refresh_expires_at=kept.refresh_expires_at,
            id_token=_secret(kept.id_token),
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TokenFormatError, ValueError):
        raise RecordError("not a login that this version of pgbearer has written") from None
    finally:
        del record  # a traceback that shows locals would show it


def _secret(text: str | None) -> Secret | None:
    try:
        return None if text is None else Secret(text)
    finally:
        del text  # as above
