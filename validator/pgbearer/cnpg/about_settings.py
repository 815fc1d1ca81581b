"""Checks on the settings of the server and of the module."""

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.force import Force, libraries
from pgbearer.config import KeyPath, did_you_mean

__all__ = ["CHECKS", "NETWORK", "SETTINGS", "is_of_the_public"]

_MODULE: Final = "pgbearer"
SETTINGS: Final = tuple(
    f"pgbearer.{name}"
    for name in (
        *("endpoints", "connect_timeout", "timeout", "max_token_size", "service_user", "instance", "forbid_passwords"),
        *("tls_certificate_file", "tls_key_file", "tls_ca_file"),
    )
)
"""The module's own (validator/pgmodule/pgbearer.c)."""
_DEFAULT: Final = "unix:/run/pgbearer/login/login.sock"
_TLS: Final = ("pgbearer.tls_ca_file", "pgbearer.tls_certificate_file", "pgbearer.tls_key_file")
_PRELOADS: Final = frozenset({"session_preload_libraries", "local_preload_libraries"})
_PUBLIC: Final = re.compile(
    r"//?(?:etc/(?:ssl/(?:certs/|cert\.pem|ca-bundle\.pem)|pki/(?:tls|ca-trust)/|ca-certificates/)"
    r"|usr/(?:local/)?(?:share/(?:ca-certificates|pki)|lib/ssl)/).*"
)
"""Where distributions have the authorities that browsers believe."""
_SOCKET_PATH: Final = 107
"""Bytes (unix(7))."""
NETWORK: Final = re.compile(
    r"tcp://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253}):(?P<port>[0-9]{1,5})"
    r"\?(?:hostname=(?P<hostname>[0-9A-Za-z._-]{1,253})"
    r"|spiffe=(?P<spiffe>spiffe://[0-9a-z._-]{1,255}/[0-9A-Za-z/._-]{1,255}))"
)
"""An endpoint that is asked over the network."""


def module_is_the_validator(force: Force) -> Iterator[Found]:
    """PostgreSQL asks only libraries of this list."""
    listed = libraries(force.parameters.get("oauth_validator_libraries", ""))
    if _MODULE not in listed:
        path = (*force.parameters_path, "oauth_validator_libraries")
        message = f"pgbearer is not among them ({', '.join(listed) or 'empty'})"
        yield Found("library_missing", path, message, "write oauth_validator_libraries: pgbearer")


def module_is_preloaded(force: Force) -> Iterator[Found]:
    """check_password_hook, the worker that resolves names, and what is remembered of endpoints need it."""
    if _MODULE not in force.preloaded:
        message = "pgbearer is not preloaded: forbid_passwords is not enforced, and no host is looked up by name"
        yield Found("preload_missing", force.preload_path, message, "add pgbearer to shared_preload_libraries")


def settings_are_known(force: Force) -> Iterator[Found]:
    """A name of the module's that it does not know is dropped by PostgreSQL with a warning in the log."""
    for name in force.parameters:
        if name.lower().startswith("pgbearer.") and name not in SETTINGS:
            hint = did_you_mean(name, SETTINGS) or "docs/settings.md lists them"
            yield Found("setting_unknown", (*force.parameters_path, name), f"no setting {name[:100]!r}", hint)


def service_is_found(force: Force) -> Iterator[Found]:
    """The default is a Unix socket, which only a sidecar can serve."""
    value = force.parameters.get("pgbearer.endpoints")
    path = (*force.parameters_path, "pgbearer.endpoints")
    endpoints = [_DEFAULT] if value is None else [part.strip() for part in value.split(",")]
    if not force.endpoint_beside and all(endpoint.startswith("unix:/") for endpoint in endpoints):
        unset = "not set, and no sidecar serves the default, a Unix socket"
        message = unset if value is None else "Unix sockets alone, and no sidecar serves them"
        hint = "write tcp://pgbearer.NAMESPACE.svc:8443?hostname=NAME, or add the sidecar by cnpg.io/podPatch"
        yield Found("endpoints_missing", path, message, hint)
    if value is None:
        return
    for endpoint in endpoints:
        if said := _wrong(endpoint):
            yield Found("endpoint_invalid", path, f"{endpoint[:200]!r}: {said}", "docs/settings.md has the forms")
    if any(endpoint.startswith("tcp://") for endpoint in endpoints):
        missing = [name for name in _TLS if not force.parameters.get(name)]
        if missing:
            message = f"the service is reached over the network without {', '.join(missing)}"
            hint = "mount them by projectedVolumeTemplate, from an authority for this alone, and name the files"
            yield Found("ca_missing", path, message, hint)


def authority_is_of_this_alone(force: Force) -> Iterator[Found]:
    """Who has a public certificate for the service's name would decide who gets in."""
    name = "pgbearer.tls_ca_file"
    file = force.parameters.get(name, "").strip()
    if is_of_the_public(file):
        message = f"{file[:200]!r} has the authorities of the public: one of them may certify another service"
        hint = "mount one for this alone by projectedVolumeTemplate, and name that"
        yield Found("authority_public", (*force.parameters_path, name), message, hint)


def passwords_are_forbidden(force: Force) -> Iterator[Found]:
    """THREATS: a role sets itself a password, and comes back by it when a line for passwords is reached."""
    name = "pgbearer.forbid_passwords"
    if _MODULE in force.preloaded and not force.parameters.get(name, "").strip():
        message = "empty: a role that logs in with tokens can give itself a password"
        yield Found("passwords_allowed", (*force.parameters_path, name), message, "name the people's roles, or +GROUP")


def groups_are_forbidden(force: Force) -> Iterator[Found]:
    """A group that nobody logs in by protects nobody: the list must have that of the line."""
    name = "pgbearer.forbid_passwords"
    forbidden = libraries(force.parameters.get(name, ""))
    groups = {token.text for placed in force.written if placed.line.method == "oauth" for token in placed.line.users}
    missing = sorted(group for group in groups if group.startswith("+") and group not in forbidden)
    if _MODULE in force.preloaded and forbidden and "*" not in forbidden and missing:
        message = f"an oauth line is for {', '.join(missing)[:200]}, whose members can give themselves passwords"
        yield Found("group_not_forbidden", (*force.parameters_path, name), message, f"add {missing[0][:64]}")


def libraries_are_the_servers(force: Force) -> Iterator[Found]:
    """PostgreSQL takes the first pgbearer.so of dynamic_library_path, and any file that a list names by its path."""
    for name, value in force.parameters.items():
        path: KeyPath = (*force.parameters_path, name)
        if name.lower() == "dynamic_library_path":
            if others := [folder for folder in value.split(":") if folder.strip() not in ("", "$libdir")]:
                message = f"the server looks for libraries in {others[0][:200]!r} too"
                yield Found("library_elsewhere", path, message, "take it out: the operator adds extensions' folders")
        elif name.lower() in _PRELOADS:
            for library in libraries(value):
                if "/" in library or library == _MODULE:
                    message = f"every session loads {library[:200]!r}, whichever it finds"
                    yield Found("library_elsewhere", path, message, "take it out")


CHECKS: Final = (
    module_is_the_validator,
    module_is_preloaded,
    settings_are_known,
    service_is_found,
    authority_is_of_this_alone,
    passwords_are_forbidden,
    groups_are_forbidden,
    libraries_are_the_servers,
)


def is_of_the_public(file: str) -> bool:
    """Whether an absolute path is of where distributions have the authorities that browsers believe."""
    return _PUBLIC.fullmatch(posixpath.normpath(file)) is not None


def _wrong(endpoint: str) -> str | None:
    """Why the module would not take it (validator/pgmodule); None if it would."""
    if endpoint.startswith("unix:"):
        fits = endpoint[5:].startswith("/") and len(endpoint[5:].encode()) <= _SOCKET_PATH
        return None if fits else f"not unix:/absolute/path of at most {_SOCKET_PATH} bytes"
    if not endpoint.startswith("tcp://"):
        return "neither unix:/absolute/path nor tcp://HOST:PORT?hostname=NAME"
    found = NETWORK.fullmatch(endpoint)
    if found is None or not 0 < int(found["port"]) < 65536:
        return "not tcp://HOST:PORT?hostname=NAME or tcp://HOST:PORT?spiffe=ID"
    return None
