"""SPIFFE IDs, parsed as strictly as SPIFFE-ID.md section 2 writes them: the trust domain chooses the keys."""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.tokens.denied import Denied
from pgbearer.wire import Reason

__all__ = ["SPIFFE", "spiffe_claims", "trust_domain_of"]

SPIFFE: Final = "spiffe://"

_SPIFFE_ID: Final = re.compile(r"(spiffe://[a-z0-9._-]{1,255})(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+", re.ASCII)
"""Lower case only, no port, user, query, fragment, percent sign, empty or dotted segment, or slash at the end."""
_MOST_BYTES: Final = 2048


def trust_domain_of(subject: object) -> str | None:
    """The trust domain of a workload, as ``spiffe://NAME``; None if `subject` is no SPIFFE ID of a workload.

    The ID of a trust domain itself, without a path, is nobody's: no workload may have it (SPIFFE-ID.md section 2.2).
    """
    if not isinstance(subject, str) or len(subject) > _MOST_BYTES:
        return None
    found = _SPIFFE_ID.fullmatch(subject)
    return found[1] if found else None


def spiffe_claims(payload: Mapping[str, object]) -> dict[str, str]:
    """``trust_domain`` and ``path`` of the SPIFFE ID, names by which an issuer's ``claims`` may declare them.

    Raises:
        Denied: subject_invalid.
    """
    subject = str(payload["sub"])
    domain = trust_domain_of(subject)
    if domain is None:
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} is no SPIFFE ID of a workload")
    return {"trust_domain": domain.removeprefix(SPIFFE), "path": subject.removeprefix(domain)}
