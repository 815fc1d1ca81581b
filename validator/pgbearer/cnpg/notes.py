"""What is to be known of a spec that can be rendered: no error of its, and yet what somebody would look for long."""

import re
from collections.abc import Iterator
from typing import Final

from pgbearer.cnpg.about_images import EXAMPLE
from pgbearer.cnpg.called import service_of, trust_of
from pgbearer.cnpg.issuers import hosts
from pgbearer.cnpg.spec import Spec
from pgbearer.config import KeyPath, Problem

__all__ = ["notes"]

_IN_PODS: Final = re.compile(r"[^.:]+|.*\.svc|.*\.cluster\.local")
"""Names that are known inside of Kubernetes alone."""
_OF_PODS_OF_ITS_OWN: Final = ("certificates", "external", "replicas")
"""Keys that mean nothing to a sidecar."""


def notes(spec: Spec) -> Iterator[Problem]:
    """All of them, as notices. Pure."""
    yield from _of_elsewhere(spec)
    yield from _of_images(spec)
    yield from _of_alerts(spec)
    if spec.mode == "sidecar":
        for key in _OF_PODS_OF_ITS_OWN:
            if key in spec.model_fields_set:
                yield _notice((key,), "has no effect in mode sidecar", "take it out")


def _of_elsewhere(spec: Spec) -> Iterator[Problem]:
    """What must be there beside what is rendered."""
    for path, host in hosts(spec):
        if _IN_PODS.fullmatch(host):
            yield _notice(path, "a pod needs a NetworkPolicy more", "docs/cloudnativepg.md, 4, has an example")
    if spec.trust_config_map:
        message = f"no instance starts before the ConfigMap {trust_of(service_of(spec.name))} is there"
        yield _notice(("trust_config_map",), message, "docs/runbooks/certificates.md has how it is made")


def _of_images(spec: Spec) -> Iterator[Problem]:
    for name in ("service", "module", "postgres"):
        image: str = getattr(spec.images, name)
        if image.startswith(EXAMPLE):
            message = f"{image[:200]} is an example, which nobody has published"
            yield _notice(("images", name), message, "build it (cnpg/image), and name your registry")


def _of_alerts(spec: Spec) -> Iterator[Problem]:
    if spec.monitoring and spec.alerts_page is None:
        hint = "put up docs/alerts.md where your people read, and say its address"
        yield _notice(("alerts_page",), "alerts lead to an example", hint)
    if spec.alerts_page is not None and not spec.monitoring:
        yield _notice(("alerts_page",), "has no effect without monitoring", "say monitoring: true, or take it out")


def _notice(path: KeyPath, message: str, hint: str) -> Problem:
    return Problem(path=path, message=message, hint=hint, severity="notice")
