"""httpx without its command line, which would bring rich and pygments: 3 MiB and 70 ms in every process of ours."""

import sys

# None in sys.modules means "cannot be imported" (importlib's reference); httpx then goes without, as it is made to.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

__all__ = ["httpx"]
