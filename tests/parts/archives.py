"""Unpack what was fetched."""

import tarfile
from pathlib import Path

__all__ = ["unpack"]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack `archive`, which holds one folder, so that what is in that stands in `folder`; the archive is removed.

    Whoever calls has checked the archive's hash.
    """
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4; Debian 12 has 3.11.2
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(folder)  # noqa: S202 - pinned by hash
        (top,) = {name.removeprefix("./").partition("/")[0] for name in packed.getnames()} - {"", "."}
    for entry in (folder / top).iterdir():
        entry.rename(folder / entry.name)
    (folder / top).rmdir()
    archive.unlink()
    return folder
