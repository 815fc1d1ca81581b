"""A Kubernetes API server, asked for its keys and, if wanted, whether a service account's token still holds."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pgbearer.config.settings import Issuer, Kubernetes
from pgbearer.errors import UnreachableError
from pgbearer.http import Pool, Reply
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["REVIEW_SECONDS", "ApiServer", "read_review"]

REVIEW_SECONDS: Final = 3.0
"""How long a login waits for a review: less than the module waits for us."""
_MOST_BYTES: Final = 512 * 1024
_CONNECTIONS: Final = 16
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""
_CREATED: Final = frozenset({200, 201})
"""A TokenReview is created, but nothing is kept (authentication.k8s.io/v1)."""


class ApiServer:
    """One API server, asked with this service's own token (``kubernetes.token_file``), if it has one.

    For one event loop. What it is asked goes to ``kubernetes.api_server`` only, so the token goes nowhere else.

    Args:
        issuer: settings whose `kubernetes` names an ``api_server``.

    Raises:
        UsageError: ``ca_file`` is not usable.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._cluster = issuer.kubernetes or Kubernetes()
        self._audience = issuer.audience
        self._address = (self._cluster.api_server or issuer.issuer).rstrip("/")
        self._pool = Pool(
            ca_file=issuer.ca_file, timeout=REVIEW_SECONDS, max_bytes=_MOST_BYTES, connections=_CONNECTIONS
        )

    @property
    def critical_only(self) -> bool:
        """Whether it is asked for the critical tier only."""
        return self._cluster.review == "critical"

    async def get(self, url: str) -> Reply:
        """GET `url`, which is of this server.

        Raises:
            FetchError: no usable reply came.
            UnreachableError: it is of another server, or our own token cannot be read.
        """
        return await self._pool.get(url, headers=await self._headers(url))

    async def confirm(self, token: str, verified: Verified) -> None:
        """The API server still takes `token` for what it was verified as: a TokenReview with our audience.

        Raises:
            Denied: token_inactive, if it says no; issuer_unavailable, if it says nothing that can be used.
        """
        url = f"{self._address}/apis/authentication.k8s.io/v1/tokenreviews"
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        body = json.dumps(review).encode()
        try:
            headers = await self._headers(url)
            reply = await self._pool.post(url, body, content_type="application/json", headers=headers)
        except UnreachableError as error:
            raise _silent(error.what) from None
        read_review(reply, audience=self._audience, subject=verified.subject)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _headers(self, url: str) -> Mapping[str, str]:
        if not url.startswith(f"{self._address}/"):
            raise UnreachableError("not an address of the API server", where=url)
        if self._cluster.token_file is None:
            return {}
        return {"authorization": f"Bearer {await asyncio.to_thread(_own_token, self._cluster.token_file)}"}


def read_review(reply: Reply, *, audience: str, subject: str) -> None:
    """Nothing, if the API server authenticated `subject`, for `audience` and nobody else's.

    Raises:
        Denied: token_inactive or issuer_unavailable, as `ApiServer.confirm`.
    """
    if reply.status not in _CREATED or not reply.is_json:
        raise _silent(f"a token review was answered {reply.status}")
    try:
        status = parse_object(reply.body).get("status")
    except NotStrictJsonError as error:
        raise _silent(f"a token review was answered with something that is {error}") from None
    match status:
        case {"authenticated": True, "user": {"username": str(who)}, "audiences": [*audiences]}:
            if who != subject or audiences != [audience]:
                raise _silent("a token review was answered about another account or audience")
        case {"authenticated": True, **_rest}:
            raise _silent("a token review was answered without user and audiences")
        case dict() if status.get("authenticated", False) is False:  # left out by Go where it is false
            raise Denied(Reason.TOKEN_INACTIVE, "the API server does not take it any more")
        case _:
            raise _silent("a token review was answered without a status")


def _own_token(file: Path) -> str:
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreachableError("this service's own token cannot be read", where=str(file)) from error
    if not _BEARER.fullmatch(text):
        raise UnreachableError("this service's own token is none", where=str(file))
    return text


def _silent(why: str) -> Denied:
    return Denied(Reason.ISSUER_UNAVAILABLE, why)
