"""The realm that the manifests import: the one of keycloak-realm/, without what makes it a demo."""

import json
from pathlib import Path
from typing import Any, Final

__all__ = ["production_realm"]

_DEMO: Final = Path(__file__).parents[2] / "keycloak-realm" / "demo-realm.json"


def production_realm() -> dict[str, Any]:
    """Without people and secrets, and named for the Cluster `pg` of `corp`.

    The client's authorization services go too: they are for the demo's decider. Who changes the schema has a role more,
    which a login with a device code does not get.
    """
    text = _DEMO.read_text().replace("db:demo", "db:pg").replace("the demo database", "the database")
    realm: dict[str, Any] = json.loads(text)
    realm |= {"realm": "corp", "displayName": "Corp"}
    del realm["users"]
    migrator = {"name": "app_migrator", "description": "May change the schema of the database", "clientRole": True}
    realm["roles"]["client"]["postgres"].append(migrator)
    realm["clientScopeMappings"]["postgres"][0]["roles"].append("app_migrator")
    for client in realm["clients"]:
        if client["clientId"] == "postgres":
            for key in ("secret", "clientAuthenticatorType", "authorizationSettings"):
                del client[key]
            client |= {"authorizationServicesEnabled": False, "serviceAccountsEnabled": False}
            client["description"] = "The database as a resource server: holds its roles"
    return realm
