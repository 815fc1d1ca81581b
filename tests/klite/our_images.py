"""Our own images under the names that the manifests have for them, with exactly the files that the Dockerfiles copy."""

from typing import Final

from tests.klite.images import Images
from tests.parts import image

__all__ = ["MODULE", "SERVICE", "register"]

MODULE: Final = "registry.example/pgbearer-module:0.1.0-18-trixie"
"""As in cnpg/base/cluster.yaml."""
SERVICE: Final = "registry.example/pgbearer:0.1.0"
"""As in cnpg/components/sidecar/cluster.yaml and cnpg/base/service/deployment.yaml."""


def register(images: Images) -> None:
    """Make both known to `images`; the module is for the PostgreSQL 18 of `instances.images`.

    Raises:
        MissingError: not root, or no debootstrap.
        DebianError, ImageError: one could not be made.
    """
    images.register(MODULE, image.module(18))
    images.register(SERVICE, image.service(), image.base())
