"""Which objects of what was given belong together: those of one namespace, and the policy that is among them."""

from collections.abc import Sequence

from pgbearer.cnpg.policy_text import KEY, read_policy
from pgbearer.cnpg.stream import Manifest, mapping, text
from pgbearer.config import Settings

__all__ = ["beside", "is_policy", "settings_beside", "settings_of"]


def beside(one: Manifest, other: Manifest) -> bool:
    """Whether both are of one namespace."""
    return one.metadata.get("namespace") == other.metadata.get("namespace")


def is_policy(manifest: Manifest) -> bool:
    """Whether it is a ConfigMap with the service's settings."""
    return manifest.kind == "ConfigMap" and KEY in mapping(manifest.value.get("data"))


def settings_of(policy: Manifest) -> Settings | None:
    """Those in a ConfigMap; None if the service would refuse them."""
    return read_policy(text(mapping(policy.value.get("data")).get(KEY)))


def settings_beside(manifests: Sequence[Manifest], one: Manifest) -> list[Settings]:
    """Of every policy beside an object; empty if there is none, or if one would be refused, which is told elsewhere."""
    read = [settings_of(each) for each in manifests if is_policy(each) and beside(each, one)]
    good = [settings for settings in read if settings is not None]
    return good if len(good) == len(read) else []
