"""Every kind of token that a Keycloak signs for the same person and client, made by a real one.

The realm ``kinds`` is the demo's, and its client may do whatever yields another kind of token. It is made through the
admin API, because mail and back-channel logout come to ports of the test's own.
"""

import json
import re
import socketserver
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from tests.issuer import SigningKey
from tests.parts.authority import Certificate
from tests.parts.device_pages import Person, approve
from tests.parts.keycloak import ADMIN, Keycloak

__all__ = ["BOUND_CLIENT", "INTROSPECTION_SECRET", "KINDS", "Kinds", "kinds"]

REALM: Final = "kinds"
_SOURCE: Final = Path(__file__).parents[2] / "keycloak-realm" / "demo-realm.json"
_CLIENT: Final = {"client_id": "pgbearer-cli", "client_secret": "of-the-realm-kinds"}
BOUND_CLIENT: Final = "pgbearer-bound"
"""A client like pgbearer-cli, whose every token is bound to the certificate that it showed (RFC 8705 section 3)."""
_POSTGRES: Final = "demo-secret-postgres-never-in-production"
INTROSPECTION_SECRET: Final = "of-the-audience: db:demo"
"""Of the client ``db:demo``, which is what tokens are for, and so may ask about them."""
_REDIRECT: Final = "https://app.example/callback"
_GRANTS: Final = "urn:ietf:params:oauth:grant-type"
_PATIENCE: Final = 30.0


class Kinds:
    """The realm and what it gives to bob."""

    def __init__(self, keycloak: Keycloak, admin_password: str, mails: "Queue[str]", logouts: "Queue[str]") -> None:
        self.issuer = keycloak.issuer(REALM)
        self.ca_file = keycloak.ca_file
        self._url = keycloak.url
        self._admin_password = admin_password
        self._mails = mails
        self._logouts = logouts
        self._http = httpx.Client(verify=ssl.create_default_context(cafile=str(keycloak.ca_file)), timeout=30)

    # ---- what a person's login gives

    def response(self, scope: str = "openid db:demo", **headers: str) -> dict[str, Any]:
        """The token response to bob's password."""
        return self._token(
            {"grant_type": "password", "username": "bob", "password": "demo-password-bob", "scope": scope}, **headers
        )

    def access(self) -> str:
        """The one kind that is right."""
        return str(self.response()["access_token"])

    def exchanged(self) -> str:
        """RFC 8693."""
        asked = {"grant_type": f"{_GRANTS}:token-exchange", "subject_token": self.access(), "scope": "openid db:demo"}
        return str(
            self._token({**asked, "subject_token_type": f"{_GRANTS[:-10]}token-type:access_token"})["access_token"]
        )

    def requesting_party(self) -> str:
        """UMA 2.0's, with permissions in it."""
        asked = {"grant_type": f"{_GRANTS}:uma-ticket", "audience": "postgres"}
        reply = self._http.post(
            f"{self._protocol}/token", data=asked, headers={"Authorization": f"Bearer {self.access()}"}
        )
        return str(reply.raise_for_status().json()["access_token"])

    def dpop_bound(self) -> str:
        """RFC 9449, to a key of ours."""
        key = SigningKey("dpop", "ES256")
        public = {name: key.jwk()[name] for name in ("kty", "crv", "x", "y")}
        claims = {"htm": "POST", "htu": f"{self._protocol}/token", "iat": int(time.time()), "jti": uuid.uuid4().hex}
        proof = jwt.encode(claims, key.private, "ES256", headers={"typ": "dpop+jwt", "jwk": public})
        return str(self.response(DPoP=proof)["access_token"])

    def of_device(self, certificate: Certificate | None = None) -> str:
        """An access token for a login on the device's pages, which has an ``auth_time``; a password grant's has none.

        With a certificate it is of the client `BOUND_CLIENT`, and for whoever holds the key of that certificate.
        """
        trust, client = ssl.create_default_context(cafile=str(self.ca_file)), _CLIENT
        if certificate is not None:
            trust.load_cert_chain(certificate.cert_file, certificate.key_file)
            client = {**_CLIENT, "client_id": BOUND_CLIENT}
        with httpx.Client(verify=trust, timeout=30) as holder:
            codes = holder.post(f"{self._protocol}/auth/device", data={**client, "scope": "openid db:demo"}).json()
            approve(codes["verification_uri_complete"], Person("bob", "demo-password-bob"), ca_file=self.ca_file)
            form = {"grant_type": f"{_GRANTS}:device_code", "device_code": codes["device_code"]}
            reply = holder.post(f"{self._protocol}/token", data={**client, **form})
        assert reply.is_success, (reply.status_code, reply.json().get("error_description"))
        return str(reply.json()["access_token"])

    def logout(self) -> str:
        """What the client is told over the back channel when the session ends."""
        while not self._logouts.empty():
            self._logouts.get()
        self.log_out(self.response())
        return self._logouts.get(timeout=_PATIENCE)

    def log_out(self, response: Mapping[str, Any]) -> None:
        """End the session of a token response (OpenID Connect RP-Initiated Logout, by the refresh token)."""
        form = {**_CLIENT, "refresh_token": response["refresh_token"]}
        self._http.post(f"{self._protocol}/logout", data=form).raise_for_status()

    def user_info(self) -> str:
        """Signed, as the client asks for it."""
        reply = self._http.get(f"{self._protocol}/userinfo", headers={"Authorization": f"Bearer {self.access()}"})
        return reply.raise_for_status().text

    def introspected(self, token: str) -> str:
        """The JWT that the answer about `token` holds, if the client may have one."""
        reply = self._http.post(
            f"{self._protocol}/token/introspect",
            data={**_CLIENT, "token": token},
            headers={"Accept": "application/jwt"},
        )
        return str(reply.raise_for_status().json()["jwt"])

    def without_scope(self) -> str:
        """An access token that is for no database."""
        return str(self.response("openid")["access_token"])

    def of_a_service(self) -> str:
        """An access token of the client ``postgres`` itself."""
        form = {"grant_type": "client_credentials", "client_id": "postgres", "client_secret": _POSTGRES}
        return str(self._token(form)["access_token"])

    def of_another_realm(self) -> str:
        """An access token of the administrator of the same server."""
        return self._as_admin()["Authorization"].partition(" ")[2]

    # ---- what an administrator can do

    def impersonated(self) -> str:
        """An access token of a session in which the administrator is bob."""
        answer = self._authorize(response_mode="query")
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": _REDIRECT}
        return str(self._token(form)["access_token"])

    def authorization_response(self) -> str:
        """JARM: the answer of the authorization endpoint as a JWT."""
        return self._authorize(response_mode="query.jwt")["response"]

    def registration(self) -> str:
        """With which a client changes itself."""
        client = self._admin("GET", "/clients", params={"clientId": "pgbearer-cli"}).json()[0]["id"]
        return str(
            self._admin("POST", f"/clients/{client}/registration-access-token").json()["registrationAccessToken"]
        )

    def initial_access(self) -> str:
        """With which a client is registered."""
        return str(self._admin("POST", "/clients-initial-access", json={"count": 1, "expiration": 60}).json()["token"])

    def action(self) -> str:
        """What stands in the link that is mailed to somebody who shall do something."""
        actions = ["UPDATE_PASSWORD"]
        self._admin("PUT", f"/users/{self._bob()}/execute-actions-email", json=actions)
        link = re.search(r"https://\S+key=([\w.-]+)", self._mails.get(timeout=_PATIENCE))
        assert link, "no link in the mail"
        return link[1]

    # ---- inside

    @property
    def _protocol(self) -> str:
        return f"{self.issuer}/protocol/openid-connect"

    def _token(self, form: dict[str, str], **headers: str) -> dict[str, Any]:
        reply = self._http.post(f"{self._protocol}/token", data={**_CLIENT, **form}, headers=headers)
        assert reply.is_success, (form["grant_type"], reply.status_code, reply.json().get("error_description"))
        answer: dict[str, Any] = reply.json()
        return answer

    def _authorize(self, **asked: str) -> dict[str, str]:
        """The authorization endpoint's answer to a browser in which the administrator impersonates bob."""
        with httpx.Client(verify=ssl.create_default_context(cafile=str(self.ca_file)), timeout=30) as browser:
            impersonate = f"{self._url}/admin/realms/{REALM}/users/{self._bob()}/impersonation"
            browser.post(impersonate, headers=self._as_admin()).raise_for_status()
            reply = browser.get(
                f"{self._protocol}/auth",
                params={
                    "client_id": "pgbearer-cli",
                    "response_type": "code",
                    "redirect_uri": _REDIRECT,
                    "scope": "openid db:demo",
                    "state": "s",
                    **asked,
                },
            )
        assert reply.is_redirect, f"{reply.status_code} instead of a redirect"
        return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}

    def _bob(self) -> str:
        return str(self._admin("GET", "/users", params={"username": "bob"}).json()[0]["id"])

    def _as_admin(self) -> dict[str, str]:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": self._admin_password}
        reply = self._http.post(f"{self._url}/realms/master/protocol/openid-connect/token", data=form)
        return {"Authorization": f"Bearer {reply.raise_for_status().json()['access_token']}"}

    def _admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        reply = self._http.request(method, f"{self._url}/admin/realms/{REALM}{path}", headers=self._as_admin(), **more)
        assert reply.is_success, (path, reply.status_code, reply.text[:300])
        return reply

    def enable(self, *, enabled: bool) -> None:
        """Let bob have an account, or not."""
        self._admin("PUT", f"/users/{self._bob()}", json={"enabled": enabled})

    def begin(self, mail_port: int, logout_port: int) -> None:
        """Make the realm."""
        realm = _realm(mail_port, logout_port)
        reply = self._http.post(f"{self._url}/admin/realms", headers=self._as_admin(), json=realm)
        assert reply.is_success, reply.text[:500]

    def end(self) -> None:
        """Delete it."""
        self._admin("DELETE", "")
        self._http.close()


KINDS: Final[dict[str, Callable[[Kinds], str]]] = {
    "ID": lambda kinds: str(kinds.response()["id_token"]),
    "refresh": lambda kinds: str(kinds.response()["refresh_token"]),
    "offline": lambda kinds: str(kinds.response("openid db:demo offline_access")["refresh_token"]),
    "access of an offline session": lambda kinds: str(kinds.response("openid db:demo offline_access")["access_token"]),
    "exchanged": Kinds.exchanged,
    "requesting party": Kinds.requesting_party,
    "DPoP-bound": Kinds.dpop_bound,
    "logout": Kinds.logout,
    "UserInfo": Kinds.user_info,
    "introspection of an ID token": lambda kinds: kinds.introspected(kinds.response()["id_token"]),
    "introspection of a refresh token": lambda kinds: kinds.introspected(kinds.response()["refresh_token"]),
    "introspection of an exchanged token": lambda kinds: kinds.introspected(kinds.exchanged()),
    "introspection of a DPoP-bound token": lambda kinds: kinds.introspected(kinds.dpop_bound()),
    "access without the scope": Kinds.without_scope,
    "access of a service": Kinds.of_a_service,
    "access of another realm": Kinds.of_another_realm,
    "impersonated": Kinds.impersonated,
    "authorization response": Kinds.authorization_response,
    "registration": Kinds.registration,
    "initial access": Kinds.initial_access,
    "action": Kinds.action,
}


def _realm(mail_port: int, logout_port: int) -> dict[str, Any]:
    realm: dict[str, Any] = json.loads(_SOURCE.read_text()) | {"realm": REALM}
    # bob logs in many times a second, and Keycloak may take the next for one beside the last: user_temporarily_disabled
    realm["bruteForceProtected"] = False
    realm["smtpServer"] = {"host": "127.0.0.1", "port": str(mail_port), "from": "keycloak@demo.example"}
    realm["clientScopes"].append(
        {"name": "offline_access", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
    )
    realm["roles"]["realm"] = [{"name": "offline_access"}]
    realm["scopeMappings"] = [{"clientScope": "offline_access", "roles": ["offline_access"]}]
    (bob,) = (user for user in realm["users"] if user["username"] == "bob")
    bob["realmRoles"] = ["offline_access"]
    (client,) = (client for client in realm["clients"] if client["clientId"] == "pgbearer-cli")
    client |= {
        "publicClient": False,
        "secret": _CLIENT["client_secret"],
        "directAccessGrantsEnabled": True,
        "redirectUris": [_REDIRECT],
        "optionalClientScopes": ["db:demo", "offline_access"],
    }
    del client["attributes"]["pkce.code.challenge.method"]
    client["attributes"] |= {
        "oauth2.device.authorization.grant.enabled": "true",
        "standard.token.exchange.enabled": "true",
        "user.info.response.signature.alg": "RS256",
        "authorization.signed.response.alg": "RS256",
        "client.introspection.response.allow.jwt.claim.enabled": "true",
        "backchannel.logout.url": f"http://127.0.0.1:{logout_port}/logout",
        "backchannel.logout.session.required": "true",
    }
    realm["clients"].append(
        {"clientId": "db:demo", "publicClient": False, "secret": INTROSPECTION_SECRET, "standardFlowEnabled": False}
    )
    bound = {
        **client,
        "clientId": BOUND_CLIENT,
        "attributes": client["attributes"] | {"tls.client.certificate.bound.access.tokens": "true"},
    }
    (mapping,) = (each for each in realm["clientScopeMappings"]["postgres"] if each["client"] == "pgbearer-cli")
    realm["clientScopeMappings"]["postgres"].append(mapping | {"client": BOUND_CLIENT})
    realm["clients"] = [client, bound, *(other for other in realm["clients"] if other["clientId"] != "pgbearer-cli")]
    return realm


@pytest.fixture(scope="module")
def kinds(keycloak: Keycloak, admin_password: str) -> Iterator[Kinds]:
    """The realm, while the tests of a file run."""
    mails: Queue[str] = Queue()
    logouts: Queue[str] = Queue()
    with _serving(_Mail, mails) as mail_port, _serving(_Logout, logouts) as logout_port:
        made = Kinds(keycloak, admin_password, mails, logouts)
        made.begin(mail_port, logout_port)
        yield made
        made.end()


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler], kept: "Queue[str]") -> Iterator[int]:
    """A server on the loopback; its port. What comes is put into `kept`."""
    bound = type(handler.__name__, (handler,), {"kept": kept})
    kind: Any = ThreadingHTTPServer if issubclass(handler, BaseHTTPRequestHandler) else socketserver.ThreadingTCPServer
    with kind(("127.0.0.1", 0), bound) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class _Logout(BaseHTTPRequestHandler):
    """OpenID Connect Back-Channel Logout 1.0 section 2.5."""

    kept: "Queue[str]"

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.kept.put(form["logout_token"][0])
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as takes one mail."""

    kept: "Queue[str]"

    def handle(self) -> None:
        self._say("220 mail.demo.example")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self._say("354 go on")
                    self._take()
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _take(self) -> None:
        lines: list[bytes] = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line)
        for part in message_from_bytes(b"".join(lines)).walk():
            body = part.get_payload(decode=True)
            if part.get_content_type() == "text/plain" and isinstance(body, bytes):
                self.kept.put(body.decode())
        self._say("250 taken")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
