"""The options of pg_hba.conf's methods, and what PostgreSQL refuses of them (parse_hba_auth_opt of hba.c).

Options of a method are checked as the server does; of LDAP's, only their names and the port, for a URL is read by the
LDAP library that the server was built with.
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["METHODS", "needed", "refused"]

METHODS = (
    *("trust", "reject", "scram-sha-256", "md5", "password", "gss", "sspi", "ident", "peer", "ldap", "radius", "cert"),
    *("pam", "bsd", "oauth"),
)
"""Every method of PostgreSQL 18; a build may lack some."""

_MAPPED = ("ident", "peer", "gss", "sspi", "cert", "oauth")
_LDAP = (
    *("ldapurl", "ldaptls", "ldapscheme", "ldapserver", "ldapport", "ldapbinddn", "ldapbindpasswd"),
    *("ldapsearchattribute", "ldapsearchfilter", "ldapbasedn", "ldapprefix", "ldapsuffix"),
)
_METHODS_OF: Mapping[str, tuple[str, ...]] = {
    "map": _MAPPED,
    "pamservice": ("pam",),
    "pam_use_hostname": ("pam",),
    **dict.fromkeys(_LDAP, ("ldap",)),
    "krb_realm": ("gss", "sspi"),
    "include_realm": ("gss", "sspi"),
    "compat_realm": ("sspi",),
    "upn_username": ("sspi",),
    **dict.fromkeys(("radiusservers", "radiusports", "radiussecrets", "radiusidentifiers"), ("radius",)),
    **dict.fromkeys(("issuer", "scope", "validator", "delegate_ident_mapping"), ("oauth",)),
}
_BIND = frozenset({"ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter"})
_LEADING_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?0*[1-9]")  # what atoi() does not read as 0


def refused(name: str, value: str, *, line_type: str, method: str) -> str | None:
    """Why the server does not take ``name=value`` on a line of this type and method; None if it does."""
    if name in ("clientcert", "clientname"):
        return _of_certificates(name, value, line_type, method)
    if name not in _METHODS_OF:
        return f'unrecognized authentication option name: "{name}"'
    if method not in (methods := _METHODS_OF[name]):
        return f'authentication option "{name}" is only valid for authentication methods {", ".join(methods)}'
    if name == "ldapscheme" and value not in ("ldap", "ldaps"):
        return f'invalid ldapscheme value: "{value}"'
    if name == "ldapport" and not _LEADING_NUMBER.match(value):
        return f'invalid LDAP port number: "{value}"'
    return None


def needed(method: str, options: Mapping[str, str], libraries: Sequence[str] | None) -> str | None:
    """What the options of a line lack or contradict, after each has been taken; None if nothing.

    Args:
        method: the line's.
        options: of the line.
        libraries: what oauth_validator_libraries lists; None if that is not known.
    """
    if method == "oauth":
        return _of_oauth(options, libraries)
    if method == "ldap":
        return _of_ldap(options)
    if method == "radius":
        for name in ("radiusservers", "radiussecrets"):
            if not options.get(name):
                return f'authentication method "radius" requires argument "{name}" to be set'
    return None


def _of_certificates(name: str, value: str, line_type: str, method: str) -> str | None:
    if line_type != "hostssl":
        return f'{name} can only be configured for "hostssl" rows'
    if name == "clientname":
        return None if value in ("CN", "DN") else f'invalid value for clientname: "{value}"'
    if value == "verify-ca" and method == "cert":
        return 'clientcert only accepts "verify-full" when using "cert" authentication'
    return None if value in ("verify-full", "verify-ca") else f'invalid value for clientcert: "{value}"'


def _of_oauth(options: Mapping[str, str], libraries: Sequence[str] | None) -> str | None:
    for name in ("scope", "issuer"):
        if name not in options:
            return f'authentication method "oauth" requires argument "{name}" to be set'
    if libraries is not None and (said := _of_validator(options.get("validator"), libraries)):
        return said
    if options.get("delegate_ident_mapping") == "1" and "map" in options:
        return "map cannot be used in combination with delegate_ident_mapping"
    return None


def _of_validator(validator: str | None, libraries: Sequence[str]) -> str | None:
    if not libraries:
        return "oauth_validator_libraries must be set for authentication method oauth"
    if validator is None and len(libraries) > 1:
        return (
            'authentication method "oauth" requires argument "validator" to be set when oauth_validator_libraries '
            "contains multiple options"
        )
    if validator is not None and validator not in libraries:
        return f'validator "{validator}" is not permitted by oauth_validator_libraries'
    return None


def _of_ldap(options: Mapping[str, str]) -> str | None:
    if "ldapurl" in options:
        return None  # it may bring any of the others
    if {"ldapprefix", "ldapsuffix"} & options.keys():
        return "cannot mix options for simple bind and search+bind modes" if _BIND & options.keys() else None
    if "ldapbasedn" not in options:
        return 'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set'
    if {"ldapsearchattribute", "ldapsearchfilter"} <= options.keys():
        return "cannot use ldapsearchattribute together with ldapsearchfilter"
    return None
