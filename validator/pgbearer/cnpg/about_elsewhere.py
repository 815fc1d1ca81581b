"""Checks on what a Cluster gets from elsewhere, where no manifest says what it is, and on who reaches it from there."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_BOOTSTRAP: Final[KeyPath] = ("spec", "bootstrap")
_COPIES: Final = ("recovery", "pg_basebackup")
_OUTSIDE: Final = frozenset({"LoadBalancer", "NodePort"})


def roles_are_made_here(manifest: Manifest) -> Iterator[Found]:
    """A copy has the roles of what it is of, and an import those that it names, with their passwords (role.go)."""
    if not is_cluster(manifest):
        return
    hint = "look at the running one as well: pgbearer cnpg check --cluster NAME"
    for key in _COPIES:
        if key in at(manifest, _BOOTSTRAP):
            message = "roles come with the data, and with their passwords and powers, which no manifest shows"
            yield Found("roles_copied", (*_BOOTSTRAP, key), message, hint)
    if roles := [text(role) for role in listing(at(manifest, (*_BOOTSTRAP, "initdb", "import")).get("roles"))]:
        message = f"{', '.join(roles)[:200]} come with the passwords that they have there"
        yield Found("roles_copied", (*_BOOTSTRAP, "initdb", "import", "roles"), message, hint)


def plugins_are_known(manifest: Manifest) -> Iterator[Found]:
    """CNPG-I: a plugin answers how pods are to be, containers and volumes among it."""
    if is_cluster(manifest):
        for index, plugin in enumerate(map(mapping, listing(at(manifest, ("spec",)).get("plugins")))):
            if plugin.get("enabled") is not False:
                message = f"{text(plugin.get('name'))[:100]} may put containers into the pods, which no manifest shows"
                yield Found("plugin", ("spec", "plugins", index), message, "know whose it is, and pin its image")


def environment_is_written_here(manifest: Manifest) -> Iterator[Found]:
    """Whoever writes the ConfigMap or the Secret may name libraries for ld.so to load."""
    if is_cluster(manifest):
        for index, source in enumerate(map(mapping, listing(at(manifest, ("spec",)).get("envFrom")))):
            name = next((text(mapping(each).get("name")) for each in source.values() if mapping(each)), "")
            message = f"all that is in {name[:100]} becomes variables of PostgreSQL, LD_PRELOAD too"
            yield Found("environment_unseen", ("spec", "envFrom", index), message, "name the variables: env, valueFrom")


def what_holds_is_written_here(manifest: Manifest) -> Iterator[Found]:
    """What is set so lies in postgresql.auto.conf, which is read last."""
    if is_cluster(manifest) and at(manifest, ("spec", "postgresql")).get("enableAlterSystem") is True:
        message = "ALTER SYSTEM may set what the Cluster says otherwise, validators and libraries too"
        yield Found("alter_system", ("spec", "postgresql", "enableAlterSystem"), message, "take it out")


def passwords_are_in_secrets(manifest: Manifest) -> Iterator[Found]:
    """Of another server, by which this one copies it."""
    if not is_cluster(manifest):
        return
    for index, other in enumerate(map(mapping, listing(at(manifest, ("spec",)).get("externalClusters")))):
        if mapping(other.get("connectionParameters")).get("password") is not None:
            path: KeyPath = ("spec", "externalClusters", index, "connectionParameters", "password")
            message = "a password of another server stands here for all to read"
            yield Found("password_shown", path, message, "write it as password: {name: SECRET, key: KEY}")


def nobody_outside_reaches_it(manifest: Manifest) -> Iterator[Found]:
    """A NetworkPolicy sees the addresses of nodes where a load balancer hides those of clients."""
    for path, spec in _services(manifest):
        if text(spec.get("type")) in _OUTSIDE and not listing(spec.get("loadBalancerSourceRanges")):
            message = f"a {text(spec['type'])} brings whoever reaches it to PostgreSQL, from outside of Kubernetes"
            yield Found("service_exposed", path, message, "say who may, by loadBalancerSourceRanges")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    roles_are_made_here,
    plugins_are_known,
    environment_is_written_here,
    what_holds_is_written_here,
    passwords_are_in_secrets,
    nobody_outside_reaches_it,
)


def _services(manifest: Manifest) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Of a Cluster or a Pooler, those that the operator is to make; or one of your own for their pods."""
    if is_cluster(manifest):
        listed = listing(at(manifest, ("spec", "managed", "services")).get("additional"))
        for index, service in enumerate(listed):
            template = mapping(mapping(service).get("serviceTemplate"))
            yield ("spec", "managed", "services", "additional", index), mapping(template.get("spec"))
    elif manifest.kind == "Pooler" and manifest.group == operator.GROUP:
        yield ("spec", "serviceTemplate"), at(manifest, ("spec", "serviceTemplate", "spec"))
    elif manifest.kind == "Service" and not manifest.group:
        selected = at(manifest, ("spec", "selector"))
        if any(label.startswith("cnpg.io/") for label in selected):
            yield ("spec",), at(manifest, ("spec",))
