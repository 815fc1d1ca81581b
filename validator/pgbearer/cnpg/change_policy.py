"""What a spec changes in pgbearer.yaml: issuers, rules, and the server that asks."""

import copy
from collections.abc import Iterator
from typing import Any, Final

import yaml

from pgbearer.cnpg.access import CORP, accesses
from pgbearer.cnpg.spec import Authority, Spec
from pgbearer.cnpg.written import written

__all__ = ["authorities", "changed_policy"]

_MOUNTED: Final = "/etc/pgbearer/config"
"""Where the settings are in the service's container."""


def authorities(spec: Spec) -> Iterator[tuple[str, Authority, str]]:
    """Issuers with an authority of their own: their name, the ConfigMap, and the file that lies beside the settings."""
    said = [(CORP, spec.issuer_ca), *((name, each.ca) for name, each in spec.other_issuers.items())]
    for name, authority in said:
        if authority is not None:
            yield name, authority, f"{name}-ca.crt"


def changed_policy(text: str, spec: Spec) -> str:
    """The settings file as the spec wants it."""
    settings: dict[str, Any] = yaml.safe_load(text)
    (server,) = settings["servers"].values()
    settings["servers"] = {spec.name: server}
    settings["issuers"] = _issuers(settings["issuers"], spec)
    settings["rules"] = [dict(rule) for each in accesses(spec) for rule in each.rules]
    return written(settings)


def _issuers(shipped: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """Of those that come with the components, with what the spec says."""
    audience = {"audience": spec.audience}
    corp = shipped[CORP] | {"issuer": spec.issuer, **audience, "clients": list(spec.clients)}
    made = {CORP: corp}
    for name, other in spec.other_issuers.items():
        its = {"issuer": other.issuer, "clients": list(other.clients), "identity": f"{name}:{{sub}}"}
        made[name] = copy.deepcopy(corp) | its  # YAML would write what is shared as an alias
    for name, _, file in authorities(spec):
        made[name] = made[name] | {"ca_file": f"{_MOUNTED}/{file}"}
    if spec.workloads:
        made["cluster"] = shipped["cluster"] | {"issuer": spec.workloads.issuer, **audience}
    if spec.spire:
        made["prod"] = shipped["prod"] | {"issuer": f"spiffe://{spec.spire.trust_domain}", **audience}
        made["prod"]["spiffe"]["iss"] = spec.spire.jwt_issuer
        if spec.spire.federated:
            made["partner"] = shipped["partner"] | {
                "issuer": f"spiffe://{spec.spire.federated.trust_domain}",
                **audience,
            }
            made["partner"]["behind"] = {"prod": [spec.database]}
    return made
