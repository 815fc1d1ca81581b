"""Every way in which an issuer's metadata and keys can be wrong, and what the service says of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.issuer import ABSENT, Issuer, SigningKey

__all__ = ["FAULTS", "NEVER", "Fault"]


def _named(change: Callable[[str], Any], issuer: Issuer) -> None:
    issuer.wrong_issuer(change(issuer.url))


def _moved(change: Callable[[str], Any], issuer: Issuer) -> None:
    issuer.keys_elsewhere(change(issuer.jwks_uri))


Fault = Callable[[Issuer], None]

NEVER: Final = "no complete answer within"
"""What is said of an issuer that does not answer, however long it is waited for."""

FAULTS: Final[dict[str, tuple[Fault, str]]] = {
    "down": (Issuer.down, "cannot connect"),
    "hangs": (Issuer.hang, NEVER),
    "trickles": (lambda issuer: issuer.trickle(), NEVER),
    "500": (lambda issuer: issuer.status(500), "answered 500"),
    "403": (lambda issuer: issuer.status(403), "answered 403"),
    "404": (lambda issuer: issuer.status(404), "answered 404"),
    "204": (lambda issuer: issuer.status(204), "answered 204|broke off"),
    "redirects": (lambda issuer: issuer.redirect(), "redirects are not followed"),
    "redirects to itself": (lambda issuer: issuer.redirect(issuer.jwks_uri), "redirects are not followed"),
    "names another issuer": (lambda issuer: issuer.wrong_issuer(), "names another issuer"),
    "names itself with a slash": (lambda issuer: issuer.wrong_issuer(issuer.url + "/"), "names another issuer"),
    "has its keys elsewhere": (lambda issuer: issuer.keys_elsewhere("https://evil.example/keys"), "issuer's origin"),
    "has its keys on another port": (
        lambda issuer: issuer.keys_elsewhere(f"https://127.0.0.1:{issuer.port + 1}/keys"),
        "issuer's origin",
    ),
    "has its keys at another name": (
        lambda issuer: issuer.keys_elsewhere(f"https://localhost:{issuer.port}/keys"),
        "issuer's origin",
    ),
    "has its keys without TLS": (
        lambda issuer: issuer.keys_elsewhere(f"http://127.0.0.1:{issuer.port}/keys"),
        "issuer's origin",
    ),
    "has its keys in a file": (lambda issuer: issuer.keys_elsewhere("file:///etc/passwd"), "issuer's origin"),
    "has its keys at no URL": (lambda issuer: issuer.keys_elsewhere("https://[::"), "issuer's origin"),
    "names no keys": (lambda issuer: issuer.keys_elsewhere(ABSENT), "names no jwks_uri"),
    "answers for ever": (lambda issuer: issuer.huge_body(), "more than 262144 bytes"),
    "sends a gzip bomb": (Issuer.gzip_bomb, "compressed"),
    "sends a page": (Issuer.html, "text/html instead of JSON"),
    "sends a page as JSON": (lambda issuer: issuer.body(b"<html>"), "not JSON"),
    "sends nothing": (lambda issuer: issuer.body(b""), "not JSON"),
    "sends a list": (lambda issuer: issuer.body(b"[]"), "not a JSON object"),
    "sends a member twice": (lambda issuer: issuer.body(b'{"keys": [], "keys": []}'), "a member occurs twice"),
    "sends deep nesting": (lambda issuer: issuer.body(b'{"keys": ' + b"[" * 2000), "nested"),
    "cuts its answer": (Issuer.cut, "broke off"),
    **{
        f"redirects with {code}": (partial(Issuer.redirect, to="https://evil.example/keys", code=code), "not followed")
        for code in (301, 303, 307, 308)
    },
    "redirects to no TLS": (lambda issuer: issuer.redirect("http://127.0.0.1/keys"), "redirects are not followed"),
    "redirects to a file": (lambda issuer: issuer.redirect("file:///etc/passwd"), "redirects are not followed"),
    **{
        f"names {name} as itself": (partial(_named, change), "names another issuer")
        for name, change in {
            "nothing": lambda _url: None,
            "itself without TLS": lambda url: url.replace("https", "http"),
            "another realm": lambda url: url.replace("demo", "master"),
            "itself in capitals": str.upper,
            "itself in a list": lambda url: [url],
            "a template": lambda _url: "https://login.example/{tenantid}/v2.0",
        }.items()
    },
    **{
        f"has its keys at {name}": (partial(_moved, change), why)
        for name, change, why in (
            ("a user of another host", lambda place: place.replace("https://", "https://evil.example@"), "with a user"),
            ("a fragment", lambda place: place + "#keys", "a fragment"),
            ("another host of its name", lambda place: place.replace("127.0.0.1:", "127.0.0.1@evil:"), "origin|jwks"),
            ("a host that begins so", lambda place: place.replace("127.0.0.1", "127.0.0.1.evil.example"), "origin"),
            ("a path alone", lambda _place: "/realms/demo/certs", "origin"),
            ("no scheme", lambda place: place.replace("https:", ""), "origin"),
            ("data", lambda _place: "data:application/json,{}", "origin"),
            ("another scheme", lambda place: place.replace("https", "ftp"), "origin"),
            ("nothing", lambda _place: "", "origin"),
            ("a list", lambda place: [place], "names no jwks_uri"),
            ("a number", lambda _place: 1, "names no jwks_uri"),
        )
    },
    "sends 50 MB": (lambda issuer: issuer.huge_body(50_000_000), "more than 262144 bytes"),
    "sends a key of 50 MB": (lambda issuer: issuer.change_keys(padding="x" * 50_000_000), "more than 262144 bytes"),
    "sends a million small keys": (lambda issuer: issuer.publish({"keys": [{}] * 1_000_000}), "more than 262144"),
    "says br": (lambda issuer: issuer.encoded("br"), "compressed"),
    "says gzip, and it is not": (lambda issuer: issuer.encoded("gzip"), "compressed"),
    "says identity and gzip": (lambda issuer: issuer.encoded("identity, gzip"), "compressed"),
    "sends a signed document": (
        lambda issuer: issuer.body(b"{}", "application/jwt"),
        "application/jwt instead of JSON",
    ),
    "sends no type": (lambda issuer: issuer.body(b"{}", ""), "instead of JSON"),
    "sends UTF-16": (lambda issuer: issuer.body('{"keys": []}'.encode("utf-16")), "not JSON"),
    "sends a byte order mark": (lambda issuer: issuer.body(b'\xef\xbb\xbf{"keys": []}'), "not JSON"),
    "sends two documents": (lambda issuer: issuer.body(b"{}{}"), "not JSON"),
    "sends NaN": (lambda issuer: issuer.body(b'{"keys": NaN}'), "NaN"),
    "publishes a list": (lambda issuer: issuer.publish([SigningKey("key-1").jwk()]), "not a JSON object"),
    "publishes one key": (lambda issuer: issuer.publish(SigningKey("key-1").jwk()), "no list of keys"),
    "publishes keys by name": (lambda issuer: issuer.publish({"keys": {"key-1": {}}}), "no list of keys"),
    "publishes keys as text": (lambda issuer: issuer.publish({"keys": ["key-1"]}), "no list of keys"),
    "publishes null": (lambda issuer: issuer.publish({"keys": None}), "no list of keys"),
    "publishes 65 keys": (lambda issuer: issuer.publish({"keys": [{}] * 65}), "more than 64 keys"),
}
"""What breaks the issuer, and a part of the error: of several, separated by "|", one."""
