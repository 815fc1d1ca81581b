"""Checks on lines of pg_hba.conf: who gets in beside OAuth, and who does not get in at all."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.force import Force, Placed
from pgbearer.config import KeyPath
from pgbearer.hba import Line, reach, shadowed
from pgbearer.hba.reach import EVERYTHING, fits_all, overlaps

__all__ = ["CHECKS", "asks_for_passwords"]

_OPERATORS_ROLE: Final = "streaming_replica"
_DECIDES_NOBODY: Final = frozenset({"reject"})
_BY_PASSWORD: Final = frozenset({"password", "md5", "scram-sha-256"})
"""What looks into pg_authid.rolpassword (CheckPasswordAuth and CheckPWChallengeAuth of auth.c)."""


def oauth_is_asked_for(force: Force) -> Iterator[Found]:
    """There is a line for OAuth, or pgbearer is never asked."""
    if not any(placed.line.method == "oauth" for placed in force.lines):
        yield Found(
            "hba_no_oauth",
            force.lines_path,
            "no line has the method oauth",
            'add: hostssl all +people all oauth issuer="https://..." scope="openid ..." delegate_ident_mapping=1 '
            "validator=pgbearer",
        )


def lines_are_reached(force: Force) -> Iterator[Found]:
    """The first line that fits decides, alone: one that is below a wider one is for nobody."""
    lines = [placed.line for placed in force.lines]
    for index, placed in enumerate(force.lines):
        if placed.path is None or (other := shadowed(placed.line, lines[:index])) is None:
            continue
        code = "oauth_unreachable" if placed.line.method == "oauth" else "line_unreachable"
        above = force.lines[lines.index(other)]
        named = "one of the operator's own" if above.path is None else f"the {_ordinal(force, above)} of yours"
        message = (
            f"a line above, {named} ({_shown(other)}), fits all that this one does, and the first that fits decides"
        )
        hint = "move this line above it, or take it out"
        if above.path is None or _is_made_of_ldap(placed.path):
            hint = "take it out"  # the operator's own stay where they are
        yield Found(code, placed.path, message, hint)


def nobody_is_trusted(force: Force) -> Iterator[Found]:
    """``trust`` asks for nothing."""
    for path, line in _reached(force):
        if line.method == "trust":
            yield Found("hba_trust", path, f"trust lets in whoever says a name ({_shown(line)})", "use cert, or reject")


def proofs_are_under_tls(force: Force) -> Iterator[Found]:
    """THREATS: a token, or a password, is never shown without TLS; neither the server nor libpq enforces it."""
    for path, line in _of_yours(force):
        if line.type in ("local", "hostssl") or line.method in ("reject", "trust") or _is_made_of_ldap(path):
            continue
        if line.method == "oauth":
            yield Found("oauth_plaintext", path, f'a "{line.type}" line takes tokens without TLS', "write hostssl")
        else:
            yield Found("hba_plaintext", path, f'a "{line.type}" line takes {line.method} without TLS', "write hostssl")


def operators_last_line_is_not_reached(force: Force) -> Iterator[Found]:
    """CloudNativePG ends every pg_hba.conf with ``host all all all scram-sha-256``."""
    left = EVERYTHING - reach(placed.line for placed in force.written)
    last = force.lines[-1] if force.lines else None
    if not left or last is None or last.path is not None or last.line.method in _DECIDES_NOBODY:
        return
    ways = ", ".join(sorted({transport for transport, _ in left}))
    message = f'whoever fits none of your lines ({ways}) comes to the operator\'s "{_shown(last.line)}"'
    yield Found("operator_line_reached", force.lines_path, message, "end your lines with: host all all all reject")


def nobody_is_let_in_beside_oauth(force: Force) -> Iterator[Found]:
    """A password, or anything else, in the place of a token is a second door; break-glass is one that is named."""
    oauth = [placed.line for placed in force.lines if placed.line.method == "oauth"]
    for path, line in _reached(force):
        if line.method in ("oauth", "reject", "trust") or _is_replication(line):
            continue
        broad = fits_all(line.users) or any(token.text.startswith(("+", "/")) for token in line.users)
        if broad and (not oauth or line.type == "local" or any(overlaps(line, other) for other in oauth)):
            whom = "whom the oauth lines are for" if oauth else "all that the line is for"
            message = f"{line.method} lets in without a token {whom} ({_shown(line)})"
            hint = "name the roles that must have a way of their own, or reject"
            if _is_made_of_ldap(path):
                hint = "take it out: the operator makes the line of it, below all of yours"
            yield Found("beside_oauth", path, message, hint)
        elif line.method != "cert" and line.type != "local":
            names = ", ".join(token.text for token in line.users)
            message = f"{line.method} lets {names} in without a token"
            yield Found(
                "named_beside_oauth", path, message, "give break-glass a certificate: hostssl all ROLE all cert"
            )


def replication_is_the_operators(force: Force) -> Iterator[Found]:
    """Who may replicate reads every database; ``all`` does not stand for ``replication``: a line says it itself."""
    for path, line in _of_yours(force):
        if not _is_replication(line) or line.method in ("reject", "trust"):
            continue
        others = [token.text for token in line.users if token.text != _OPERATORS_ROLE]
        if others:
            message = f"{line.method} lets {', '.join(others)} replicate, which reads every database"
            yield Found(
                "replication", path, message, "take replication out of the line; the operator has its own lines"
            )


def issuers_are_https(force: Force) -> Iterator[Found]:
    """Only https is taken by libpq, and what it fetches from the issuer decides where people log in."""
    for path, line in _oauth(force):
        try:
            url = urlsplit(line.options["issuer"])
            good = url.scheme == "https" and bool(url.hostname) and not url.query and not url.fragment
        except ValueError:
            good = False
        if not good or "@" in url.netloc:
            message = f"the issuer {line.options['issuer'][:200]!r} is no https address"
            yield Found("issuer_not_https", path, message, 'write issuer="https://HOST/..." as the issuer itself does')


def scopes_are_asked_for(force: Force) -> Iterator[Found]:
    """With an empty scope, any token of the issuer for any purpose comes as far as the validator."""
    for path, line in _oauth(force):
        if not line.options["scope"].split():
            yield Found(
                "scope_empty",
                path,
                "the scope is empty",
                'where people log in, write scope="openid ..." with one of this database',
            )


def options_are_on(force: Force) -> Iterator[Found]:
    """PostgreSQL takes 1 for on and everything else, true and yes too, for off (parse_hba_auth_opt of hba.c)."""
    for path, line in _of_yours(force):
        for name in ("delegate_ident_mapping", "pam_use_hostname", "ldaptls", "include_realm"):
            value = line.options.get(name)
            if value is not None and value not in ("0", "1"):
                yield Found("option_off", path, f"{name}={value[:50]} turns it off", f"write {name}=1, or leave it out")


def delegates_are_named(force: Force) -> Iterator[Found]:
    """Where the validator decides the role, a second library in the list must not become the one that does."""
    for path, line in _oauth(force):
        if line.options.get("delegate_ident_mapping") == "1" and "validator" not in line.options:
            message = "delegate_ident_mapping without a validator: whichever library is listed decides the role"
            yield Found("delegate_without_validator", path, message, "write validator=pgbearer")


def nobody_else_decides(force: Force) -> Iterator[Found]:
    """PostgreSQL asks the library that the line names, which may let in whom it likes."""
    for path, line in _oauth(force):
        if line.options.get("validator", "pgbearer") != "pgbearer":
            message = f"{line.options['validator'][:63]} decides who gets in by this line, not pgbearer"
            yield Found("validator_other", path, message, "write validator=pgbearer")


def maps_exist(force: Force) -> Iterator[Found]:
    """A map without a line in pg_ident maps nobody."""
    for path, line in _of_yours(force):
        name = line.options.get("map")
        if name and force.maps is not None and name not in force.maps:
            yield Found(
                "map_missing", path, f"pg_ident has no map {name[:100]!r}", "add it to spec.postgresql.pg_ident"
            )


def identities_are_mapped(force: Force) -> Iterator[Found]:
    """Else PostgreSQL wants the identity to be the role's name (check_usermap of hba.c), as ``corp:4f7c`` is not."""
    for path, line in _oauth(force):
        if line.options.get("validator", "pgbearer") != "pgbearer" or line.options.get("map"):
            continue
        if line.options.get("delegate_ident_mapping", "0") == "0":  # `options_are_on` tells of the rest
            message = (
                "with neither delegate_ident_mapping=1 nor a map, only an identity that is the role's name gets in"
            )
            yield Found("mapping_missing", path, message, "write delegate_ident_mapping=1: the policy decides the role")


def asks_for_passwords(force: Force) -> bool:
    """Whether somebody may come to a line, be it the operator's, that asks for the password of a role."""
    lines = [placed.line for placed in force.lines]
    return any(
        line.method in _BY_PASSWORD and shadowed(line, lines[:index]) is None for index, line in enumerate(lines)
    )


CHECKS: Final = (
    oauth_is_asked_for,
    lines_are_reached,
    nobody_is_trusted,
    proofs_are_under_tls,
    operators_last_line_is_not_reached,
    nobody_is_let_in_beside_oauth,
    replication_is_the_operators,
    issuers_are_https,
    scopes_are_asked_for,
    options_are_on,
    delegates_are_named,
    nobody_else_decides,
    maps_exist,
    identities_are_mapped,
)


def _is_made_of_ldap(path: KeyPath) -> bool:
    """Whether the line is one that the operator makes, of which its user says nothing more than that it is to be."""
    return path[-1:] == ("ldap",)


def _of_yours(force: Force) -> Iterator[tuple[tuple[str | int, ...], Line]]:
    for placed in force.lines:
        if placed.path is not None:
            yield placed.path, placed.line


def _reached(force: Force) -> Iterator[tuple[tuple[str | int, ...], Line]]:
    """Those that decide for somebody; `lines_are_reached` tells of the others."""
    lines = [placed.line for placed in force.lines]
    for index, placed in enumerate(force.lines):
        if placed.path is not None and shadowed(placed.line, lines[:index]) is None:
            yield placed.path, placed.line


def _oauth(force: Force) -> Iterator[tuple[tuple[str | int, ...], Line]]:
    return ((path, line) for path, line in _of_yours(force) if line.method == "oauth")


def _is_replication(line: Line) -> bool:
    return any(token.is_keyword("replication") for token in line.databases)


def _ordinal(force: Force, above: Placed) -> str:
    number = force.written.index(above) + 1
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number if number < 20 else number % 10, 'th') }"


def _shown(line: Line) -> str:
    """A line in short, without its options."""
    users = ",".join(token.text for token in line.users)
    databases = ",".join(token.text for token in line.databases)
    words = (line.type, databases[:60], users[:60], line.address or "", line.netmask or "", line.method)
    return " ".join(word for word in words if word)
