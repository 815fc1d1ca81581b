"""A check on whose image the service is, in pods of its own or not: it decides every login, whatever it is called.

A manifest does not know which images are ours. It does know where the module's image comes from, which runs within
PostgreSQL: whoever pushes there decides who gets in already. What comes from elsewhere must be named by who asks.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.beside import beside
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.patch import ANNOTATION, operations
from pgbearer.cnpg.pods import TEMPLATES, at, containers, is_ours, serves
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["services_are_ours"]

_TAG: Final = re.compile(r":[^/:]*$")
_CATALOGS: Final = ("ImageCatalog", "ClusterImageCatalog")


def services_are_ours(manifests: Sequence[Manifest], images: Collection[str]) -> Iterator[tuple[Manifest, Found]]:
    """What is like our service is excused from what others may not, so it must come from where the module does.

    Args:
        manifests: all that is given together.
        images: what the service's image may be besides: an image, or its repository, with a digest or without.
    """
    clusters = list(filter(is_cluster, manifests))
    for each in manifests:
        asking = [each] if is_cluster(each) else clusters
        trusted = {_folder(image) for cluster in asking for image in _modules(manifests, cluster)}
        for path, name, image in _services(each) if asking else ():
            if _folder(image) in trusted or not _called(image).isdisjoint(images):
                continue
            known = f"from {', '.join(sorted(trusted))[:200]}" if trusted else "from where nobody says here"
            message = f"{name} runs {image[:200]}, and decides who gets in; the module comes {known}"
            hint = "push it to where the module is, or name it if it is yours: --image REPOSITORY"
            yield each, Found("image_elsewhere", path, message, hint)


def _services(manifest: Manifest) -> Iterator[tuple[KeyPath, str, str]]:
    """What is like our service in a Cluster's patch, or in pods of its own: where, its name, its image."""
    for operation in operations(manifest):
        for name, container in operation.containers():
            if is_ours(container):
                yield ANNOTATION, name, text(container.get("image"))
    template = TEMPLATES.get(manifest.kind)
    if template is not None:
        for place, container in containers(at(manifest, template)):
            if serves(container):
                name = text(container.get("name"))[:63] or "a container"
                yield (*template, *place, "image"), name, text(container.get("image"))


def _modules(manifests: Sequence[Manifest], cluster: Manifest) -> Iterator[str]:
    """Images that the module is in: the server's, an extension's, or an extension's of the catalog."""
    spec = at(cluster, ("spec",))
    if "pgbearer" in (image := text(spec.get("imageName"))):
        yield image
    lists = [at(cluster, ("spec", "postgresql")).get("extensions")]
    asked = mapping(spec.get("imageCatalogRef"))
    for each in manifests:
        if each.group != operator.GROUP or each.kind not in _CATALOGS or each.kind != asked.get("kind"):
            continue
        if each.metadata.get("name") == asked.get("name") and (each.kind != "ImageCatalog" or beside(each, cluster)):
            lists += [mapping(image).get("extensions") for image in listing(at(each, ("spec",)).get("images"))]
    for extension in (mapping(each) for extensions in lists for each in listing(extensions)):
        if "pgbearer" in text(extension.get("name")) and (
            image := text(mapping(extension.get("image")).get("reference"))
        ):
            yield image


def _repository(image: str) -> str:
    return _TAG.sub("", image.partition("@")[0])


def _folder(image: str) -> str:
    """Where the repository is: a registry, or a path of one."""
    return _repository(image).rpartition("/")[0]


def _called(image: str) -> set[str]:
    """As which it may be named: whole, without its tag, or without its digest too."""
    repository, (_, at_sign, digest) = _repository(image), image.partition("@")
    return {image, repository, f"{repository}{at_sign}{digest}"}
