"""Keycloak's admin API, as the administrator of the realm ``master``."""

import ssl
from typing import Any

import httpx

from tests.parts.keycloak import ADMIN, Keycloak

__all__ = ["ask_admin"]


def ask_admin(keycloak: Keycloak, password: str, realm: str, method: str, path: str, **more: Any) -> Any:
    """What it answers to a request below a realm (``/NAME``), None if that is nothing; `more` is what httpx takes."""
    with httpx.Client(verify=ssl.create_default_context(cafile=str(keycloak.ca_file)), timeout=30) as http:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": password}
        reply = http.post(f"{keycloak.url}/realms/master/protocol/openid-connect/token", data=form)
        bearer = {"Authorization": f"Bearer {reply.raise_for_status().json()['access_token']}"}
        reply = http.request(method, f"{keycloak.url}/admin/realms{realm}{path}", headers=bearer, **more)
        assert reply.is_success, (path, reply.status_code, reply.text[:500])
        return reply.json() if reply.content else None
