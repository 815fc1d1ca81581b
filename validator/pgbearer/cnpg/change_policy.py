"""What a spec changes in pgbearer.yaml: issuers, rules, and the server that asks."""

import copy
from collections.abc import Iterator
from typing import Any, Final

import yaml

from pgbearer.cnpg.access import accesses
from pgbearer.cnpg.issuers import Issuer, issuers_of
from pgbearer.cnpg.spec import Authority, Spec
from pgbearer.cnpg.written import written

__all__ = ["authorities", "changed_policy"]

_MOUNTED: Final = "/etc/pgbearer/config"
"""Where the settings are in the service's container."""


def authorities(spec: Spec) -> Iterator[tuple[Authority, str]]:
    """Of issuers that have one of their own: the ConfigMap, and the file that lies beside the settings."""
    for each in issuers_of(spec):
        if each.authority is not None:
            yield each.authority, _file(each)


def changed_policy(text: str, spec: Spec) -> str:
    """The settings file as the spec wants it."""
    settings: dict[str, Any] = yaml.safe_load(text)
    (server,) = settings["servers"].values()
    settings["servers"] = {spec.name: server}
    settings["issuers"] = _issuers(settings["issuers"], spec)
    first, *_ = issuers_of(spec)
    settings["defaults"] = settings["defaults"] | {"session": dict(first.kind.session)}
    settings["rules"] = [dict(rule) for each in accesses(spec) for rule in each.rules]
    return written(settings)


def _issuers(shipped: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """Of those that come with the components, with what the spec says."""
    audience = {"audience": spec.audience}
    made = {each.name: _of_people(each) for each in issuers_of(spec)}
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


def _of_people(each: Issuer) -> dict[str, Any]:
    authority = {"ca_file": f"{_MOUNTED}/{_file(each)}"} if each.authority else {}
    return {
        "profile": each.profile,
        "issuer": each.address,
        "audience": each.audience,
        "clients": list(each.clients),
        "identity": f"{each.name}:{{{each.kind.identity}}}",
        **copy.deepcopy(dict(each.kind.says)),  # YAML would write what is shared as an alias
        **authority,
    }


def _file(each: Issuer) -> str:
    return f"{each.name}-ca.crt"
