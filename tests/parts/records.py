"""Decision records for tests, well formed unless a test changes something."""

from typing import Any

from pgbearer.audit import DecisionRecord
from pgbearer.wire import Reason

__all__ = ["allowed_record", "refused_record"]

_ASKED: dict[str, Any] = {
    "policy": "f" * 12,
    "server": "local",
    "peer_uid": 26,
    "request_id": "a" * 32,
    "role": "app_readonly",
    "database": "appdb",
    "replication": "none",
    "client_address": "192.0.2.7",
    "client_port": 50_000,
    "unverified": {"application_name": "psql"},
}


def allowed_record(**changes: Any) -> DecisionRecord:
    """An allowed login of a verified identity."""
    members = {
        "decision_id": "d1",
        "at": 1_767_225_600_000,
        "reason": Reason.ALLOWED,
        "rules": ("readers",),
        "verified": True,
        "token_ref": "0123456789ab",
        "issuer": "corp",
        "identity": "corp:u1",
        "display": "alice",
        "ends_at": 1_767_229_200_000,
    }
    return DecisionRecord(**(_ASKED | members | changes))


def refused_record(**changes: Any) -> DecisionRecord:
    """A login refused before anything about its token was known to be true."""
    members = {"decision_id": "d2", "at": 1_767_225_600_000, "reason": Reason.SIGNATURE_INVALID}
    return DecisionRecord(**(_ASKED | members | changes))
