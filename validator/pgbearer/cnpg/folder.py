"""What is rendered as a folder for kustomize, to be kept and changed: ours, the policy as a file, and the patches."""

import errno
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pgbearer.cnpg import shipped
from pgbearer.cnpg.called import SERVICE
from pgbearer.cnpg.policy_text import KEY
from pgbearer.cnpg.render import Rendered
from pgbearer.cnpg.written import written
from pgbearer.errors import UsageError

__all__ = ["write"]

_GENERATED: Final[Mapping[str, Any]] = {
    "name": SERVICE,
    "namespace": "databases",
    "behavior": "merge",
    "files": [KEY],
    "options": {"disableNameSuffixHash": True},
}
"""Called as the base calls it: patches come after what is generated, and they have the spec's names."""
_POLICY: Final = "/policy"
"""Components that bring a policy end so. They come after what is generated too, so the folder's own would be lost."""


def write(made: Rendered, folder: Path) -> None:
    """Write it: ours below ``cnpg/``, ``pgbearer.yaml``, and a kustomization.yaml with what else the spec changes.

    The folder is there whole, or not at all: it is made beside its place, and moved there.

    Raises:
        UsageError: the folder is there already and not empty, or cannot be written.
    """
    where = str(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pgbearer-") as beside:
            whole = Path(beside) / "made"
            _fill(whole, made)
            whole.rename(folder)  # over an empty folder too (rename(2)), over nothing else
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            hint = "Name a new one, or empty it."
            raise UsageError("the folder is not empty", where=where, hint=hint) from None
        raise UsageError(error.strerror or "cannot be written", where=where) from None


def _fill(folder: Path, made: Rendered) -> None:
    source = shipped.folder()
    for part in ("base", *(f"components/{name}" for name in made.components)):
        for each in sorted((source / part).rglob("*.yaml")):
            target = folder / "cnpg" / each.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(each.read_bytes())
    (folder / KEY).write_text(made.policy, encoding="utf-8")
    (folder / "kustomization.yaml").write_text(_kustomization(made), encoding="utf-8")


def _kustomization(made: Rendered) -> str:
    value = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["cnpg/base"],
        "components": [f"cnpg/components/{name}" for name in made.components if not name.endswith(_POLICY)],
        "configMapGenerator": [dict(_GENERATED)],
        "patches": list(made.patches),
    }
    return written(value)
