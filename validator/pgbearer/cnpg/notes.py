"""What is to be known of a spec that can be rendered: no error of its, and yet what somebody would look for long."""

import re
from collections.abc import Iterator
from typing import Final

from pgbearer.cnpg.about_images import EXAMPLE
from pgbearer.cnpg.issuers import hosts
from pgbearer.cnpg.spec import Spec
from pgbearer.config import Problem

__all__ = ["notes"]

_IN_PODS: Final = re.compile(r"[^.:]+|.*\.svc|.*\.cluster\.local")
"""Names that are known inside of Kubernetes alone."""
_OF_PODS_OF_ITS_OWN: Final = ("certificates", "external", "replicas")
"""Keys that mean nothing to a sidecar."""


def notes(spec: Spec) -> Iterator[Problem]:
    """All of them, as notices. Pure."""
    for path, host in hosts(spec):
        if _IN_PODS.fullmatch(host):
            hint = "docs/cloudnativepg.md, 4, has an example"
            yield Problem(path=path, message="a pod needs a NetworkPolicy more", hint=hint, severity="notice")
    for name in ("service", "module", "postgres"):
        image: str = getattr(spec.images, name)
        if image.startswith(EXAMPLE):
            message = f"{image[:200]} is an example, which nobody has published"
            hint = "build it (cnpg/image), and name your registry"
            yield Problem(path=("images", name), message=message, hint=hint, severity="notice")
    if spec.monitoring and spec.alerts_page is None:
        hint = "put up docs/alerts.md where your people read, and say its address"
        yield Problem(path=("alerts_page",), message="alerts lead to an example", hint=hint, severity="notice")
    if spec.alerts_page is not None and not spec.monitoring:
        hint = "say monitoring: true, or take it out"
        yield Problem(path=("alerts_page",), message="has no effect without monitoring", hint=hint, severity="notice")
    if spec.mode == "sidecar":
        for key in _OF_PODS_OF_ITS_OWN:
            if key in spec.model_fields_set:
                yield Problem(
                    path=(key,), message="has no effect in mode sidecar", hint="take it out", severity="notice"
                )
