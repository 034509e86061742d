"""`provenance serve`, `demo`, `doctor`, `openapi`: the service itself."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import local_settings
from provenance.cli.output import JsonOption, print_json, print_line, say
from provenance.cli.service import open_listener
from provenance.errors import ConflictError, FieldError, MalformedError, SettingsError, UnavailableError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [8000].")] = None,
    workers: Annotated[int, typer.Option(help="Server processes; this version runs one.")] = 1,
) -> None:
    """Run the service and its dashboard until it is stopped."""
    if workers != 1:
        raise SettingsError(
            "--workers: this version serves with one process, whose threads share one writer; expected 1",
            FieldError("workers", workers, "1"),
        )
    settings = local_settings()
    from provenance.settings import prepare_data_dir

    prepare_data_dir(settings.data_dir)
    address = (host or settings.host, settings.port if port is None else port)
    with _listen(*address) as listener:
        _serve(settings, listener)


def _serve(settings: Any, listener: socket.socket) -> None:
    import uvicorn

    from provenance.api.app import create_app
    from provenance.cli.service import SERVE, hold
    from provenance.runtime import open_runtime

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    held = hold(settings.data_dir, "serve")
    try:
        name, port = listener.getsockname()[:2]
        url = f"http://{f'[{name}]' if ':' in name else name}:{port}"
        app = create_app(open_runtime(settings))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=10)
        server = _Announcing(config, lambda: held.announce(SERVE, url), url, settings.data_dir)
        server.run(sockets=[listener])
        if not server.started:
            raise UnavailableError("the service could not start; the reason stands above")
    except KeyboardInterrupt:
        say("stopped")
    finally:
        held.release()


def _Announcing(config: Any, announce: Callable[[], None], url: str, data_dir: Path) -> Any:  # noqa: N802 - makes one
    import uvicorn

    class Announcing(uvicorn.Server):
        """Says where it answers, once it does."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()
                say(f"Provenance answers on {url} (data in {data_dir}). Stop it with Ctrl-C.")
                say("A token for pipelines: provenance token create --name NAME --role collector")

    return Announcing(config)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return open_listener(host, port, family)
    except (OSError, OverflowError) as exc:
        number = getattr(exc, "errno", None)
        if number == errno.EADDRINUSE:
            expected = "a free port; --port or PROVENANCE_PORT names another, 0 takes any"
            raise ConflictError(
                f"port {port} on {host} is in use; expected {expected}", FieldError("port", port, expected)
            ) from exc
        if number == errno.EACCES:
            expected = "a port that this user may open, 1024 or greater"
            raise MalformedError(
                f"port {port} on {host} is not permitted; expected {expected}", FieldError("port", port, expected)
            ) from exc
        expected = "an address of this machine and a port of 0 to 65535"
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({exc}); expected {expected}", FieldError("host", host, expected)
        ) from exc


def demo() -> None:
    """Walk the whole way once, for real: teacher, gateway, decision, release, training, report."""
    local_settings()
    try:
        from provenance.demo.run import main
    except ImportError as exc:
        raise UnavailableError(
            f"the demo needs {exc.name}: pip install 'provenance-ledger[server,train,demo]', or `make demo` in a checkout"
        ) from exc
    sys.exit(main())


def openapi() -> None:
    """Print the OpenAPI description of the HTTP interface."""
    local_settings()
    from provenance.api.app import create_app

    print_json(create_app(None).openapi())  # type: ignore[arg-type]  # routes are described, none is called


def doctor(as_json: JsonOption = False) -> None:
    """Check what this machine has and lacks for Provenance."""
    from provenance.cli.checks import FAIL, run_checks

    results = run_checks()
    if as_json:
        print_json({"ok": all(item.state != FAIL for item in results), "checks": [vars(item) for item in results]})
    else:
        for item in results:
            print_line(f"{item.state:<5} {item.name:<16} {item.said}")
    if any(item.state == FAIL for item in results):
        raise typer.Exit(1)
