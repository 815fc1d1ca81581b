"""A folder of somebody's own over those of cnpg/, as docs/cloudnativepg.md says: their issuer, and one instance."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cnpg.manifests import CNPG, Json, Rendered, with_components

__all__ = ["AUDIENCE", "ISSUER_CA", "Site", "own"]

ISSUER_CA: Final = "issuer-ca.crt"
"""Beside pgbearer.yaml in the ConfigMap, and so in the folder that the service has it in."""
AUDIENCE: Final = "db:demo"
"""What keycloak-realm/demo-realm.json has in place of the manifests' ``db:pg``."""
_SHIPPED: Final = "https://sso.example.com/realms/corp"
_NO_SUFFIX: Final = {"disableNameSuffixHash": True}


@dataclass(frozen=True, slots=True)
class Site:
    """What is somebody's own: their issuer, and the authority of its certificate."""

    issuer: str
    ca_file: Path


def own(
    folder: Path,
    site: Site,
    resources: Sequence[str],
    components: Sequence[str] = (),
    *,
    policy: str,
    edit: Callable[[str], str] = lambda text: text,
    patches: Sequence[Json] = (),
    namespace: str | None = "databases",
) -> Rendered:
    """What is applied in the end.

    Args:
        folder: empty; the kustomization goes there.
        site: whose it is.
        resources: below cnpg/, as in `with_components`; `components` likewise.
        policy: below cnpg/: the pgbearer.yaml that theirs begins as a copy of.
        edit: what else they change in it.
        patches: of theirs, after those for one instance and the issuer.
        namespace: of all that is below it; None where the resources say it themselves, as overlays do.
    """
    (folder / "pgbearer.yaml").write_text(edit(_policy((CNPG / policy).read_text(), site.issuer)))
    shutil.copy(site.ca_file, folder / ISSUER_CA)
    settings: dict[str, Any] = {
        "name": "pgbearer",
        "namespace": "databases",
        "behavior": "merge",
        "options": _NO_SUFFIX,
    }
    settings["files"] = ["pgbearer.yaml", ISSUER_CA]
    ours: dict[str, Any] = {"configMapGenerator": [settings], "patches": [_cluster(site.issuer), *patches]}
    if namespace is not None:
        ours["namespace"] = namespace
    return with_components(folder, resources, components, **ours)


def _policy(shipped: str, issuer: str) -> str:
    line = f"    issuer: {_SHIPPED}\n"
    assert shipped.count(line) == 1, shipped
    ours = f"    issuer: {issuer}\n    ca_file: /etc/pgbearer/config/{ISSUER_CA}\n"
    return shipped.replace(line, ours).replace("audience: db:pg ", f"audience: {AUDIENCE} ")


def _cluster(issuer: str) -> Json:
    """A patch over the Cluster: small, and with the line for people that the manifests have, but for the issuer."""
    (line,) = (each for each in (CNPG / "base/cluster.yaml").read_text().splitlines() if _SHIPPED in each)
    ours = line.strip().removeprefix("- ").replace(_SHIPPED, issuer).replace("db:pg", AUDIENCE)
    patch = [
        {"op": "replace", "path": "/spec/instances", "value": 1},
        {"op": "replace", "path": "/spec/storage/size", "value": "1Gi"},
        {"op": "replace", "path": "/spec/postgresql/pg_hba/1", "value": ours},
    ]
    return {"target": {"kind": "Cluster", "name": "pg"}, "patch": yaml.safe_dump(patch)}
