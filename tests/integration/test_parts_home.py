"""Tests leave whoever runs them alone: what they keep, they keep elsewhere, and they read none of theirs."""

import subprocess
import sys
from pathlib import Path

import platformdirs

PLACES = "import platformdirs as p; print(p.user_state_path('x'), p.user_config_path('x'))"


def test_nothing_is_kept_where_people_keep_theirs() -> None:
    places = [platformdirs.user_state_path("x"), platformdirs.user_config_path("x")]
    said = subprocess.run([sys.executable, "-c", PLACES], check=True, capture_output=True, text=True).stdout
    for place in [*places, *map(Path, said.split())]:
        assert not place.is_relative_to(Path.home()), place
