"""Who somebody is, as one stable string: the template ``identity:`` and the subject it is made from."""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.config.settings import ClaimType
from pgbearer.config.template import TemplateError, parse_template
from pgbearer.errors import UsageError
from pgbearer.tokens.denied import Denied
from pgbearer.verified import ClaimValue
from pgbearer.wire import Reason

__all__ = ["MAX_IDENTITY_BYTES", "IdentityTemplate", "checked_subject"]

MAX_IDENTITY_BYTES: Final = 255
"""OpenID Connect Core 1.0 section 2 bounds sub so; PostgreSQL would take more."""

_SUBSTITUTED: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}")
"""What a value other than sub must look like to become part of a name: nothing that separates, quotes or hides."""
_RESERVED: Final = ("spiffe://", "system:serviceaccount:")
"""Namespaces of workload identities: a subject in one of them is believed of no issuer of people's tokens."""


class IdentityTemplate:
    """An issuer's ``identity:``, such as ``corp:{sub}``, ready to render.

    Args:
        text: literal text with ``{sub}``, ``{client}`` and the names of declared claims of type string.
        declared: the issuer's ``claims:``.
        namespace: of workload identities, that the issuer's subjects are in; None: none of them.

    Raises:
        UsageError: if it is no template, names nothing or something undeclared, or puts two values so close that they
            could not be told apart. (`pgbearer.config` finds the same with file and line.)
    """

    __slots__ = ("_namespace", "_template")

    def __init__(self, text: str, declared: Mapping[str, ClaimType], namespace: str | None = None) -> None:
        self._namespace = namespace
        try:
            self._template = parse_template(text)
        except TemplateError as error:
            raise UsageError(str(error), where="identity") from error
        fields = self._template.fields
        if not fields or not self._template.tells_apart:
            raise UsageError(f"{text!r} is no stable key", where="identity", hint="Use text of your own and {sub}.")
        for name in fields:
            if name not in ("sub", "client") and declared.get(name) != "string":
                raise UsageError(f"{{{name}}} is not a claim declared as string", where="identity")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityTemplate) and self._template == other._template

    def __hash__(self) -> int:
        return hash(self._template)

    def render(self, subject: str, client: str | None, claims: Mapping[str, ClaimValue]) -> str:
        """The identity of `subject`, which `checked_subject` has passed.

        Raises:
            Denied: claim_missing, name_not_expressible, or subject_invalid for the whole.
        """

        def value_of(field: str) -> str:
            if field == "sub":
                return subject
            return _expressible(field, client if field == "client" else claims.get(field))

        identity = self._template.render(value_of)
        if len(identity.encode()) > MAX_IDENTITY_BYTES:
            raise Denied(Reason.SUBJECT_INVALID, f"the identity is longer than {MAX_IDENTITY_BYTES} bytes")
        return _outside_workloads(identity, self._namespace)


def checked_subject(subject: str, namespace: str | None = None) -> str:
    """`subject`, if people and logs can read it for what it is: printable, no space at its ends, <= 255 bytes.

    It is opaque (RFC 7519 section 4.1.2) and may be any text, such as ``auth0|5f7c``; but no control character, NUL,
    newline, bidi mark or unassigned code point, and nothing in a namespace of workload identities but `namespace`.

    Raises:
        Denied: subject_invalid.
    """
    if not subject or subject != subject.strip() or not subject.isprintable():
        raise Denied(Reason.SUBJECT_INVALID, f"sub {subject!r} is empty or not printable")
    if len(subject.encode()) > MAX_IDENTITY_BYTES:
        raise Denied(Reason.SUBJECT_INVALID, f"sub is longer than {MAX_IDENTITY_BYTES} bytes")
    return _outside_workloads(subject, namespace)


def _outside_workloads(name: str, own: str | None) -> str:
    if name.startswith(_RESERVED) and not (own and name.startswith(own)):
        raise Denied(Reason.SUBJECT_INVALID, f"{name!r} is in a namespace of workloads")
    return name


def _expressible(field: str, value: ClaimValue | None) -> str:
    if value is None:
        raise Denied(Reason.CLAIM_MISSING, f"{field!r}, which the identity is made from")
    if not isinstance(value, str) or not _SUBSTITUTED.fullmatch(value):
        raise Denied(Reason.NAME_NOT_EXPRESSIBLE, f"{field!r} is {value!r}")
    return value
