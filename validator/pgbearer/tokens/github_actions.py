"""What a token of a GitHub Actions job says of itself, and what of it must agree.

Source: "OpenID Connect reference" (docs.github.com/actions/reference/security/oidc). One issuer serves everybody on
GitHub, and a job chooses the audience of its token: only the claims tell whose job it is. ``sub`` is made of them, by a
template that organizations and repositories may change ("Customizing the token claims"), so where it names a repository
or an environment it must agree with the claims of those names, and elsewhere it is as opaque as any subject.
"""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.tokens.denied import Denied
from pgbearer.wire import Reason

__all__ = ["GITHUB_TEXTS", "github_claims_agree"]

GITHUB_TEXTS: Final = (
    *("repository", "repository_id", "repository_owner", "repository_owner_id"),
    *("ref", "event_name", "run_id"),
)
"""Claims that every job's token has, all of them text, ids too."""
_IDS: Final = ("repository_id", "repository_owner_id")
_DIGITS: Final = re.compile(r"[1-9][0-9]{0,18}")
_REPOSITORY: Final = re.compile(r"([A-Za-z0-9-]+)/([A-Za-z0-9._-]+)")
_SUBJECT: Final = re.compile(
    r"repo:(?P<owner>[^/@:]+)(?:@(?P<owner_id>[0-9]+))?/(?P<name>[^/@:]+)(?:@(?P<id>[0-9]+))?(?P<rest>(?::.*)?)"
)
"""Before and after 15 July 2026 ("Immutable subject claims")."""


def github_claims_agree(payload: Mapping[str, object], _issuer: str) -> None:
    """Ids are numbers, the repository is its owner's, and ``sub`` speaks of no other repository or environment.

    Raises:
        Denied: claim_type or subject_invalid.
    """
    for name in GITHUB_TEXTS:
        if not isinstance(payload[name], str):
            raise Denied(Reason.CLAIM_TYPE, f"claim {name!r} is not a string")
    for name in _IDS:
        if not _DIGITS.fullmatch(str(payload[name])):
            raise Denied(Reason.SUBJECT_INVALID, f"{name} {payload[name]!r} is no id")
    repository = _REPOSITORY.fullmatch(str(payload["repository"]))
    if repository is None or repository[1] != payload["repository_owner"]:
        raise Denied(Reason.SUBJECT_INVALID, f"repository {payload['repository']!r} is not its owner's")
    subject = str(payload["sub"])
    if subject.startswith("repo:"):
        _subject_agrees(subject, payload)


def _subject_agrees(subject: str, payload: Mapping[str, object]) -> None:
    named = _SUBJECT.fullmatch(subject)
    if named is None:
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} names no repository")
    if f"{named['owner']}/{named['name']}" != payload["repository"]:
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} names another repository")
    ids = (("owner_id", "repository_owner_id"), ("id", "repository_id"))
    if any(named[part] not in (None, payload[claim]) for part, claim in ids):
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} names the id of another")
    _, colon, environment = named["rest"].partition(":environment:")
    if colon and environment.split(":")[0] != str(payload.get("environment", "")).replace(":", "%3A"):
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} names another environment")
