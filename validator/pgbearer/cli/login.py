"""``pgbearer login``: a person logs in at the authorization server."""

import time

from pgbearer.cli import asking, show

__all__ = ["login"]


def login(
    *,
    profile: asking.ProfileName = None,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    device: asking.Device = False,
    qr: asking.Qr = False,
    no_browser: asking.NoBrowser = False,
    ca_file: asking.CaFile = None,
    json: asking.Json = False,
) -> None:
    """Log in once; other commands use that login and renew it.

    With a browser where one can be opened, else by device code: an address and a code are shown on standard error; open
    the address in any browser, on any machine, and enter the code. The login is kept in the system's keyring, or where
    there is none in a file that only you can read, and renewed for as long as it lasts; other commands use it.

    \b
    Example:
      pgbearer login --profile corp
      pgbearer login --issuer https://sso.example.org/realms/corp --scope "openid db:demo" --device --qr

    \b
    Exit codes: 0 logged in, 1 refused or expired, 2 wrong usage, 3 the issuer cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client import plain

    manner = asking.manner(device=device, qr=qr, no_browser=no_browser, always=True)
    asked = asking.ask(profile, issuer, client_id, scope, ca_file, manner)
    source = asked.login()
    grant = source.log_in()
    known = show.facts(grant.access)
    if json:
        show.as_json({"profile": asked.name, "issuer": source.issuer, "kept_in": source.where, **known})
        return
    show.pairs(
        {
            "logged in as": plain(str(known["user"] or "(the token does not say)")),
            "at": source.issuer,
            "token for": plain(", ".join(known["audience"]) or "(the token does not say)"),
            "token expires": show.until(grant.access.expires_at, time.time()),
            "login expires": show.until(grant.refresh_expires_at, time.time()),
            "kept in": plain(source.where),
            "token_ref": grant.access.ref,
        }
    )
