"""The files shown in docs/profiles are good ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.profile_pages import block
from tests.unit.test_config_settings import found, write

__all__ = ["write"]


@pytest.mark.parametrize("page", ["kubernetes"])
def test_settings_on_the_page_are_good(page: str, write: Callable[[str], Path], tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.touch(mode=0o600)
    text = block(page, "pgbearer.yaml").replace("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", str(ca_file))
    assert found(write(text)) == []
