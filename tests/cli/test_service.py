"""A command that finds another command's service: that one waits for its visitors. The socket that services listen on."""

from __future__ import annotations

import socket
import threading
import urllib.request
from pathlib import Path

import pytest

from provenance.cli import service
from provenance.settings import Settings


def answers(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as response:
        return bool(response.status == 200)


def test_a_command_does_not_end_under_its_visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WAIT_FOR_COMMAND_SECONDS", 0.0)
    settings = Settings(data_dir=tmp_path / "data")
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def command() -> None:
        with service.local_service(settings):
            started.set()
            may_end.wait(60)
        ended.set()

    thread = threading.Thread(target=command)
    thread.start()
    try:
        assert started.wait(60)
        with service.local_service(settings) as (url, _):
            may_end.set()
            assert not ended.wait(0.5)
            assert service.read_holder(settings.data_dir)["url"] is None  # nobody else comes in
            assert answers(url)
        assert ended.wait(60)
    finally:
        may_end.set()
        thread.join()
    with service.local_service(settings) as (url, _):  # nothing is left behind
        assert answers(url)


def test_a_connection_sends_each_answer_at_once() -> None:
    with service.open_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
