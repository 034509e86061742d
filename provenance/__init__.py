"""Provenance: signed records, licence policy and audit reports for model distillation.

Importing this package stays light: torch, FastAPI and the database are loaded by the parts that use them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from provenance.errors import ProvenanceError

if TYPE_CHECKING:
    from provenance.client.client import Client
    from provenance.client.release import load_release
    from provenance.verify import verify

__version__ = "0.1.0"
__all__ = ["Client", "ProvenanceError", "__version__", "load_release", "verify"]

_LAZY = {
    "Client": "provenance.client.client",
    "load_release": "provenance.client.release",
    "verify": "provenance.verify",
}


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that `import provenance` costs next to nothing."""
    if name not in _LAZY:
        msg = f"module 'provenance' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
