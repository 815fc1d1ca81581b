"""Specs for `pgbearer cnpg render`, and what comes of them."""

import json
from typing import Any

import pytest

from pgbearer.cnpg.draft import Draft, decode_spec
from pgbearer.cnpg.render import Rendered, render
from pgbearer.config import ConfigError

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "orders",
    "namespace": "shop",
    "issuer": "https://sso.example.org/realms/corp",
    "audience": "db:orders",
    "database": "orders",
    "roles": [{"name": "orders_reader", "inherits": ["pg_read_all_data"], "given_by": ["readers", "writers"]}],
}
OAUTH = (
    'oauth issuer="https://sso.example.org/realms/corp" scope="openid db:orders" delegate_ident_mapping=1 '
    "validator=pgbearer"
)
PASSWORD = "hostssl orders reporting all scram-sha-256"


def spec(**change: Any) -> Draft:
    return decode_spec(
        json.dumps({name: value for name, value in (SPEC | change).items() if value is not ...}), "s.yaml"
    )


def made(**change: Any) -> Rendered:
    return render(spec(**change))


def refused(**change: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        made(**change)
    return [str(problem) for problem in caught.value.problems]


def one(rendered: Rendered, kind: str) -> dict[str, Any]:
    (found,) = (each for each in rendered.objects if each["kind"] == kind)
    return found


WORKLOADS: dict[str, Any] = {
    "workloads": {"roles": [{"name": "orders", "inherits": ["pg_read_all_data"], "service_account": "eshop/orders"}]}
}
SPIRE: dict[str, Any] = {
    "trust_domain": "prod.example.org",
    "jwt_issuer": "https://oidc.example.org",
    "roles": [{"name": "orders", "path": "/ns/eshop/sa/orders"}],
}
PARTNER: dict[str, Any] = {
    "trust_domain": "other.example.org",
    "bundle_endpoint": "https://spire.other.example.org:8443",
    "roles": [{"name": "nightly", "path": "/ns/x/sa/nightly"}],
}
CA: dict[str, Any] = {"issuer_ca": {"config_map": "sso-ca"}}
TWO: dict[str, Any] = {
    "other_issuers": {
        "vendors": {
            "issuer": "https://vendors.example.org:8443/realms/v",
            "clients": ["v"],
            "ca": {"config_map": "v", "key": "v.pem"},
        }
    },
    "roles": [*SPEC["roles"], {"name": "vendor", "issuer": "vendors"}],
}
TENANT = "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0"
ENTRA: dict[str, Any] = {
    "issuer": TENANT,
    "profile": "entra",
    "audience": "44445555-eeee-6666-ffff-7777aaaa8888",
    "scope": "db.orders",
    "clients": ["00001111-aaaa-2222-bbbb-3333cccc4444"],
}
OKTA: dict[str, Any] = {
    "issuer": "https://example.okta.com/oauth2/default",
    "profile": "okta",
    "scope": "orders",
    "clients": ["nmdP1fcyvdVO11AL7ECm"],
}
RFC9068: dict[str, Any] = {"issuer": "https://auth.example.org", "profile": "rfc9068", "clients": ["nightly"]}
NAMED_FOR_PEOPLE = 'Data: "readers" & \u00c9lite {EU} #1'
"""As groups of Okta's and Entra's may be called."""
BOTH: dict[str, Any] = {
    "other_issuers": {"staff": {**ENTRA, "go_by": "groups"}},
    "roles": [
        *SPEC["roles"],
        {"name": "staff", "inherits": ["pg_monitor"], "issuer": "staff", "given_by": [NAMED_FOR_PEOPLE]},
    ],
}
"""Keycloak's and Entra's."""
MODES: list[dict[str, Any]] = [
    {"mode": "service"},
    {"mode": "sidecar"},
    {"certificates": "secret", "monitoring": True, "alerts_page": "https://docs.example.org/alerts"},
    {"certificates": "external", "external": {"store": "s", "path": "a/b"}, "storage_class": "fast"},
    {"mode": "sidecar", "monitoring": True, "resources": {"cpu": "500m", "memory": "2Gi"}, **CA},
    {"mesh": "istio", "mesh_clients": ["eshop/web"]},
    {"mesh": "linkerd", "monitoring": True, **WORKLOADS},
    {"trust_config_map": True, "mesh": "linkerd", **CA},
    {"mesh": "istio", **WORKLOADS},
    {"spire": SPIRE, **CA},
    {"spire": {**SPIRE, "federated": PARTNER}, "mesh": "linkerd"},
    TWO,
    {**TWO, **WORKLOADS, "mode": "service"},
    {"namespace_exists": True},
    ENTRA,
    {**OKTA, "trust_config_map": True, "roles": [{"name": "orders_reader", "given_by": [NAMED_FOR_PEOPLE]}], **CA},
    {**RFC9068, "mode": "sidecar"},
    {**BOTH, "trust_config_map": True, "certificates": "external", **WORKLOADS},
]
"""Specs that have all that there is to be said."""


def path_of(line: str) -> str:
    """Without the place in the file."""
    words = line.split(" ")
    return (words[1] if words[0].startswith("s.yaml:") else words[0]).rstrip(":")
