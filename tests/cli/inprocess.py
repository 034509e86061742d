"""Commands run in this process: the same entry point and exit codes, without starting an interpreter each time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from provenance.cli.app import main
from tests.client.processes import make_environment


def run_command(*arguments: str, data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`provenance ARGUMENTS`, to its end."""
    output, errors = _Output(), _Output()
    code: Any = 0
    with _as_process(arguments, make_environment(data_dir, environment), output, errors):
        try:
            main()
        except SystemExit as exc:
            code = exc.code or 0
    return subprocess.CompletedProcess(arguments, code, output.text(), errors.text())


def run_json(*arguments: str, data_dir: Path, **environment: str) -> Any:
    """The JSON that a command prints; it must end with 0."""
    done = run_command(*arguments, "--json", data_dir=data_dir, **environment)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


class _Output(io.TextIOWrapper):
    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def text(self) -> str:
        return self._bytes.getvalue().decode()


@contextlib.contextmanager
def _as_process(arguments: tuple[str, ...], environment: dict[str, str], output: Any, errors: Any) -> Iterator[None]:
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["provenance", *arguments]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        yield
