"""The files shown in docs/profiles are good ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.profile_pages import block
from tests.unit.fix_settings import found

ELSEWHERE = {
    "kubernetes": ("/etc/pgbearer/cluster-ca.crt",),
    "spiffe": ("/etc/pgbearer/partner-ca.crt", "/run/spire/agent/public/api.sock"),
}
"""Files that must be there for a file to be good."""


@pytest.mark.parametrize("page", ELSEWHERE)
def test_settings_on_the_page_are_good(page: str, write: Callable[[str], Path], tmp_path: Path) -> None:
    text = block(page, "pgbearer.yaml")
    for place in ELSEWHERE[page]:
        assert place in text
        here = tmp_path / Path(place).name
        here.touch(mode=0o600)
        text = text.replace(place, str(here))
    assert found(write(text)) == []
