"""Where the data that travels with the package lies: `policies/`, `web/`, `migrations/`.

In a wheel they stand inside the package under `_data/`; in a checkout they stand beside it.
"""

from __future__ import annotations

from pathlib import Path

from provenance.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent
_ROOTS = (_PACKAGE / "_data", _PACKAGE.parent)


def find_resource(*parts: str) -> Path:
    """The path of a data file or folder, for example `find_resource("policies", "terms")`.

    Raises:
        NotFoundError: neither the wheel nor a checkout holds it.
    """
    for root in _ROOTS:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise NotFoundError(
        f"{'/'.join(parts)} was not found in {_ROOTS[0]} or {_ROOTS[1]}; the installation is incomplete"
    )
