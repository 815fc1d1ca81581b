"""Checks on what our service is made of: its policy in a ConfigMap, and its pods."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.about_settings import is_of_the_public
from pgbearer.cnpg.beside import is_policy, settings_of
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.ours import unlike_ours
from pgbearer.cnpg.patch import small
from pgbearer.cnpg.pods import TEMPLATES, at, containers, serves
from pgbearer.cnpg.policy_text import KEY, judge_policy
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath, render_path

__all__ = ["CHECKS"]

_OF_THE_NODE: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
"""Members of a pod's spec by which it is not apart from the node, or its containers not from each other."""


def policy_is_taken(manifest: Manifest) -> Iterator[Found]:
    """A service that runs goes on with the policy before; one that starts, does not."""
    data = mapping(manifest.value.get("data"))
    if manifest.kind != "ConfigMap" or KEY not in data:
        return
    path: KeyPath = ("data", KEY)
    if not isinstance(data[KEY], str):
        yield Found("shape", path, "must be text", "write it as a block: |")
        return
    for problem in judge_policy(data[KEY])[1]:
        if problem.severity == "notice":
            continue
        where = render_path(problem.path)
        code = "policy_refused" if problem.is_error else "policy_warning"
        hint = problem.hint or "try it: pgbearer config check pgbearer.yaml"
        yield Found(code, path, f"{where}: {problem.message}" if where else problem.message, hint)


def callers_are_certified_for_this_alone(manifest: Manifest) -> Iterator[Found]:
    """Whoever gets a certificate with the name of a server asks as that; who certifies everybody may give it them."""
    settings = settings_of(manifest) if is_policy(manifest) else None
    if settings is None or settings.listen.tls is None:
        return
    file = str(settings.listen.tls.client_ca_file)
    if is_of_the_public(file):
        message = f"listen.tls.client_ca_file: {file[:200]!r} has the authorities of the public, who may certify others"
        hint = "mount one for this alone, and name that"
        yield Found("clients_public", ("data", KEY), message, hint)


def service_is_probed(manifest: Manifest) -> Iterator[Found]:
    """Started is not ready: without the keys of an issuer it decides nothing. A sidecar's instance must not wait."""
    for path, container in _services(manifest):
        if path[-2] == "containers" and not mapping(container.get("readinessProbe")):
            message = "no readiness probe: logins come to a service that can decide none yet"
            yield Found("service_not_probed", path, message, "ask /readyz of the port of http.address")


def service_is_confined(manifest: Manifest) -> Iterator[Found]:
    """It needs no root, nothing to write to but its volumes, and no rights."""
    pod = mapping(at(manifest, TEMPLATES.get(manifest.kind, ("spec",))).get("securityContext"))
    for path, container in _services(manifest):
        own = mapping(container.get("securityContext"))
        wanted = {
            "runAsNonRoot: true": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "allowPrivilegeEscalation: false": own.get("allowPrivilegeEscalation") is False,
            "readOnlyRootFilesystem: true": own.get("readOnlyRootFilesystem") is True,
        }
        if missing := [name for name, good in wanted.items() if not good]:
            message = f"the service runs with more than it needs: no {', no '.join(missing)}"
            yield Found("service_not_confined", path, message, "write it in the container's securityContext")


def service_is_as_it_ships(manifest: Manifest) -> Iterator[Found]:
    """Who says what runs in its pods decides who gets in, and so does what has its certificate or its processes."""
    path = TEMPLATES.get(manifest.kind)
    if path is None or not any(_services(manifest)):
        return
    pod = at(manifest, path)
    volumes = {text(mapping(volume).get("name")) for volume in listing(pod.get("volumes"))}
    hint = "leave it as cnpg/base has it, or give what you need a pod of its own"
    for member in _OF_THE_NODE:
        if pod.get(member) is True:
            yield Found(
                "service_changed",
                (*path, member),
                "the service's pods, or their containers, are not apart from others",
                hint,
            )
    for place, container in containers(pod):
        difference = unlike_ours(small(container), volumes) if serves(container) else "it is not the service's"
        if difference:
            message = f"a container of the service's pods is not as it ships: {difference}"
            yield Found("service_changed", (*path, *place), message, hint)


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    policy_is_taken,
    callers_are_certified_for_this_alone,
    service_is_probed,
    service_is_confined,
    service_is_as_it_ships,
)


def _services(manifest: Manifest) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    path = TEMPLATES.get(manifest.kind)
    if path is not None:
        for place, container in containers(at(manifest, path)):
            if serves(container):
                yield (*path, *place), container
