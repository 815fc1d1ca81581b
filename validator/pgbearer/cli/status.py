"""``pgbearer status``: which logins there are, whose, and until when."""

import time
from typing import TYPE_CHECKING, Any

from pgbearer.cli import asking, show

if TYPE_CHECKING:
    from pgbearer.client import PersonSource

__all__ = ["status"]


def status(
    *,
    profile: asking.ProfileName = None,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    json: asking.Json = False,
) -> int:
    """Show who is logged in, until when, and with which roles.

    Without options, of every profile and of every other login that is kept. Asks nobody, renews nothing and sends
    nothing: what is shown of the token is what it says of itself, and the database decides what that is worth.

    \b
    Example:
      pgbearer status
      pgbearer status --profile corp --json

    \b
    Exit codes: 0 somebody is logged in, 1 nobody is, 2 wrong usage.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.cli.kept import logins_by_name

    if any((profile, issuer, client_id, scope)):
        asked = asking.ask(profile, issuer, client_id, scope, None)
        logins = [(asked.name, asked.login())]
    else:
        logins = [one for one in logins_by_name() if one[0] is not None or one[1].kept() is not None]
    found = [_facts(name, source) for name, source in logins]
    if json:
        show.as_json(found)
    else:
        _tell(found)
    return 0 if any(one["logged_in"] for one in found) else 1


def _facts(name: str | None, source: "PersonSource") -> dict[str, Any]:
    from pgbearer.client import roles_in

    grant, now = source.kept(), time.time()
    facts: dict[str, Any] = {"profile": name, "issuer": source.issuer, "logged_in": False}
    if grant is None:
        return facts
    renewable = grant.refresh is not None and (grant.refresh_expires_at is None or now < grant.refresh_expires_at)
    return {
        **facts,
        "logged_in": renewable or not grant.access.expired(now),
        **show.facts(grant.access),
        "client_id": grant.client_id,
        "login_expires_at": grant.refresh_expires_at and round(grant.refresh_expires_at),
        "renewable": renewable,
        "roles": list(roles_in(grant.access)),
        "kept_in": source.where,
    }


def _tell(found: list[dict[str, Any]]) -> None:
    now = time.time()
    if not found:
        show.line("nobody is logged in; log in with: pgbearer login --issuer URL, or --profile NAME")
    for index, one in enumerate(found):
        if index:
            show.line("")
        show.pairs({name: show.plain(value) for name, value in _lines(one, now).items() if value})


def _lines(one: dict[str, Any], now: float) -> dict[str, str | None]:
    head = {"profile": one["profile"], "issuer": one["issuer"]}
    if "token_ref" not in one:
        return {**head, "logged in": "no"}
    login_ends = show.until(one["login_expires_at"], now) if one["renewable"] else "cannot be renewed"
    return {
        **head,
        "logged in as": (one["user"] or "(the token does not say)") + ("" if one["logged_in"] else "  (ended)"),
        "token expires": show.until(one["expires_at"], now),
        "login expires": login_ends,
        "token for": ", ".join(one["audience"]),
        "roles": ", ".join(one["roles"]) or "(the token names none)",
        "kept in": one["kept_in"],
        "token_ref": one["token_ref"],
    }
