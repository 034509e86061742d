"""`provenance serve`, `demo`, `doctor`, `openapi`: the service itself."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from provenance.cli.connect import local_settings
from provenance.cli.output import JsonOption, print_json, print_line, say
from provenance.cli.service import open_listener
from provenance.errors import ConflictError, FieldError, MalformedError, SettingsError, UnavailableError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [8000].")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes; beside more than one stands one that writes the log [1].")
    ] = None,
) -> None:
    """Run the service and its dashboard until it is stopped."""
    settings = local_settings()
    from provenance.settings import MAX_WORKERS, prepare_data_dir

    workers = settings.workers if workers is None else workers
    if not 1 <= workers <= MAX_WORKERS:
        expected = f"1 to {MAX_WORKERS}"
        raise SettingsError(f"--workers: expected {expected}", FieldError("workers", workers, expected))
    prepare_data_dir(settings.data_dir)
    address = (host or settings.host, settings.port if port is None else port)
    with listen(*address) as listener:
        _serve(settings, listener, workers)


def _serve(settings: Any, listener: socket.socket, workers: int) -> None:
    from provenance.cli.service import SERVE, hold

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    held = hold(settings.data_dir, "serve")
    held.announce(SERVE, None)  # so that the next one knows whose children hold the lock, should this process be killed
    name, port = listener.getsockname()[:2]
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def announce() -> None:
        held.announce(SERVE, url)
        say(f"Provenance answers on {url} (data in {settings.data_dir}). Stop it with Ctrl-C.")
        say("A token for pipelines: provenance token create --name NAME --role collector")

    try:
        if workers == 1:
            _serve_alone(settings, listener, announce)
        else:
            from provenance.cli.workers import serve_with_workers

            code = serve_with_workers(settings, workers, listener, announce)
            if code:
                raise typer.Exit(code)
            say("stopped")
    except KeyboardInterrupt:
        say("stopped")
    finally:
        held.release()


def _serve_alone(settings: Any, listener: socket.socket, announce: Callable[[], None]) -> None:
    from provenance.api.app import create_app
    from provenance.cli.server import make_server
    from provenance.runtime import open_runtime

    server = make_server(create_app(open_runtime(settings)), announce)
    server.run(sockets=[listener])
    if not server.started:
        raise UnavailableError("the service could not start; the reason stands above")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; 0 takes a free port.

    Raises:
        ConflictError, MalformedError, SettingsError: it cannot; the message says why.
    """
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
