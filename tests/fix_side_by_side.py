"""Which tests run one after the other in one process, when the suite runs in several (pytest -n).

Those of a file, since they share what their fixtures start; and all that need Kubernetes, since there is one operator
here, and its pods have the ports that they have.
"""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

__all__ = ["pytest_xdist_make_scheduler"]

_KUBERNETES = (
    "test_cnpg_",
    "test_kubernetes",
    "test_operator",
    "test_proxy_workloads",
    "test_runbooks",
    "test_sources_workloads",
    "test_spiffe",
)
"""How the files begin in tests/e2e that need its API server, or SPIRE, which takes as long to start."""


class _ByWhatTheyShare(LoadScopeScheduling):  # type: ignore[misc] # xdist brings no types
    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(nodeid.partition("::")[0])
        return "kubernetes" if file.parent.name == "e2e" and file.name.startswith(_KUBERNETES) else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give out the tests so; xdist's own ways know only files, or marks, which pytest 9.2 no longer lets it read."""
    return _ByWhatTheyShare(config, log)
