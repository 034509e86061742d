"""Is the service alive; is it ready."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from provenance import __version__
from provenance.api.deps import RuntimeDep, SessionDep
from provenance.errors import UnavailableError
from provenance.store.log import get_head

router = APIRouter(tags=["health"])


@router.get("/healthz")
def show_health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz")
def show_readiness(runtime: RuntimeDep, session: SessionDep) -> dict[str, Any]:
    """Database and writer answer, and publication works. Held by witnesses, it is ready all the same: appends go on."""
    failure = runtime.publication_failure()
    if failure is not None:
        raise UnavailableError(f"the log cannot be published: {failure}")
    answer = {"status": "ok", "tree_size": get_head(session).size}
    if runtime.quorum is not None:
        account = runtime.account()
        answer["publication"] = {"held": account.hold, "published_size": account.published_size}
    if (mirror := runtime.mirror_state()) is not None:
        answer["mirror"] = asdict(mirror)
    return answer
