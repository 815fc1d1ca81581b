"""``pgbearer login``: a person logs in at the authorization server."""

import time

from pgbearer.cli import asking, show

__all__ = ["login"]


def login(
    *,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    device: asking.Device = True,
    qr: asking.Qr = False,
    no_browser: asking.NoBrowser = False,
    ca_file: asking.CaFile = None,
    json: asking.Json = False,
) -> None:
    """Log in by device code and say who you are and until when.

    An address and a code are shown on standard error; open the address in any browser, on any machine, and enter the
    code. Nothing is kept yet: `pgbearer connect` logs in for itself.

    \b
    Example:
      pgbearer login --issuer https://sso.example.org/realms/corp
      pgbearer login --issuer https://sso.example.org/realms/corp --scope "openid db:demo" --qr --no-browser

    \b
    Exit codes: 0 logged in, 1 refused or expired, 2 wrong usage, 3 the issuer cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client import plain

    source = asking.person_source(issuer, client_id, scope, ca_file=ca_file, qr=qr, no_browser=no_browser)
    token = source.token()
    known = show.facts(token)
    if json:
        show.as_json({"issuer": source.issuer, **known})
        return
    show.pairs(
        {
            "logged in as": plain(str(known["user"] or "(the token does not say)")),
            "at": source.issuer,
            "token for": plain(", ".join(known["audience"]) or "(the token does not say)"),
            "token expires": show.until(token.expires_at, time.time()),
            "token_ref": token.ref,
        }
    )
