"""Notices reach a real web server and a real mail server, and outlive both being down."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from provenance.jobs.courier import Courier, empty_outbox
from provenance.jobs.engine import engine
from provenance.jobs.outbox import FIRST_WAIT, LONGEST_WAIT, wait_after
from provenance.jobs.start import adopt_recalls
from provenance.recall.addresses import check_addresses
from provenance.recall.open import open_recall
from tests.recall.conftest import House
from tests.recall.test_recalls import LLAMA, URL

SECRET = "a webhook's secret"


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is told, and answers as it was set to."""

    got: list[tuple[dict[str, str], bytes]]
    status: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(type(self).status)
        self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def listen(handler: Any, server: Any = HTTPServer) -> Iterator[int]:
    with server(("127.0.0.1", 0), handler) as opened:
        thread = threading.Thread(target=opened.serve_forever, daemon=True)
        thread.start()
        yield opened.server_address[1]
        opened.shutdown()
        thread.join()


@pytest.fixture
def hook() -> type[Hook]:
    return type("Fresh", (Hook,), {"got": [], "status": 204})


def set_up(house: House, **settings: Any) -> None:
    house.service.runtime.settings = house.service.runtime.settings.model_copy(update=settings)


def set_clock(house: House, now: datetime) -> None:
    house.service.runtime.clock = lambda: now


def notices(house: House, identifier: str) -> list[dict[str, Any]]:
    return list(house.service.get(f"{URL}/{identifier}")["notices"])


def test_a_webhook_is_told_once_signed_and_it_is_logged(house: House, hook: type[Hook]) -> None:
    set_up(house, webhook_secret=SecretStr(SECRET))
    with listen(hook) as port:
        address = f"http://127.0.0.1:{port}/recalls"
        said = house.open(LLAMA, notify=[address])
        empty_outbox(house.service.runtime)
        empty_outbox(house.service.runtime)
    ((headers, body),) = hook.got
    told = json.loads(body)
    assert (told["id"], told["reach_digest"], told["source"]) == (said["id"], said["reach_digest"], LLAMA)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert [item["state"] for item in notices(house, said["id"])] == ["sent"]
    act = next(item for item in house.service.get(f"{URL}/{said['id']}")["acts"] if item["kind"] == "notify")
    assert (act["state"], act["actor"], act["note"]) == ("done", "service", "answered 204")


@pytest.mark.parametrize("status", [500, 302, 404])
def test_what_did_not_arrive_waits_and_is_told_again(house: House, hook: type[Hook], status: int) -> None:
    hook.status = status
    runtime = house.service.runtime
    with listen(hook) as port:
        said = house.open(LLAMA, notify=[f"http://127.0.0.1:{port}/"])
        empty_outbox(runtime)
        (waiting,) = notices(house, said["id"])
        assert (waiting["state"], waiting["attempts"]) == ("waiting", 1)
        assert str(status) in waiting["last_error"]
        assert empty_outbox(runtime) == 0  # not due yet
        hook.status = 200
        set_clock(house, datetime.now(UTC) + timedelta(minutes=2))
        assert empty_outbox(runtime) == 1
    assert len(hook.got) == 2
    assert hook.got[0][0]["webhook-id"] == hook.got[1][0]["webhook-id"]


def test_a_webhook_that_is_down_for_a_day_is_told_when_it_is_back(house: House, hook: type[Hook]) -> None:
    runtime, start = house.service.runtime, datetime.now(UTC)
    with listen(hook) as port:
        pass
    said = house.open(LLAMA, notify=[f"http://127.0.0.1:{port}/"])
    for hours in range(1, 25):
        set_clock(house, start + timedelta(hours=hours, minutes=hours))
        assert empty_outbox(runtime) == 0
    (waiting,) = notices(house, said["id"])
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 24)
    set_clock(house, start + timedelta(hours=26))
    server = type("Reused", (HTTPServer,), {"allow_reuse_address": True})
    with server(("127.0.0.1", port), hook) as opened:
        thread = threading.Thread(target=opened.handle_request)
        thread.start()
        assert empty_outbox(runtime) == 1
        thread.join()
    assert [item["state"] for item in notices(house, said["id"])] == ["sent"]


def test_after_a_week_it_is_given_up_and_said_so(house: House) -> None:
    runtime = house.service.runtime
    said = house.open(LLAMA, notify=["http://127.0.0.1:1/"])
    set_clock(house, datetime.now(UTC) + timedelta(days=7))
    assert empty_outbox(runtime) == 0
    assert [item["state"] for item in notices(house, said["id"])] == ["given-up"]
    act = next(item for item in house.service.get(f"{URL}/{said['id']}")["acts"] if item["kind"] == "notify")
    assert act["state"] == "open"  # a person must see to it


class Mail(socketserver.StreamRequestHandler):
    """A mail server that takes one message, as RFC 5321 has it."""

    got: list[str]

    def handle(self) -> None:
        self.say("220 here")
        data: list[str] = []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            word = line.split()[0].upper()
            if word == "DATA":
                self.say("354 go on")
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    data.append(line)
                type(self).got.append("\n".join(data))
            if word == "QUIT":
                self.say("221 bye")
                return
            self.say("250 ok")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def test_a_mailbox_is_told_by_a_mail_server(house: House) -> None:
    Mail.got = []
    with listen(Mail, socketserver.TCPServer) as port:
        set_up(house, smtp_url=SecretStr(f"smtp://127.0.0.1:{port}"), smtp_from="provenance@acme.example")
        said = house.open(LLAMA, notify=["mailto:owner@acme.example"])
        assert empty_outbox(house.service.runtime) == 1
    (mail,) = Mail.got
    assert "To: owner@acme.example" in mail
    assert f"Subject: Recall {said['id']}: teacher meta/llama-3.1-8b-instruct" in mail
    assert said["reach_digest"] in mail.replace("=\n", "")


def test_without_a_mail_server_the_mail_waits_and_says_which_setting_is_missing(house: House) -> None:
    said = house.open(LLAMA, notify=["mailto:owner@acme.example"])
    assert empty_outbox(house.service.runtime) == 0
    (waiting,) = notices(house, said["id"])
    assert "PROVENANCE_SMTP_URL" in waiting["last_error"]


def test_the_service_empties_its_outbox_by_itself(house: House, hook: type[Hook]) -> None:
    with listen(hook) as port:
        house.open(LLAMA, notify=[f"http://127.0.0.1:{port}/"])
        courier = Courier(house.service.runtime, look_seconds=0.05)
        deadline = time.monotonic() + 30
        while not hook.got and time.monotonic() < deadline:
            time.sleep(0.02)
        courier.close()
    assert len(hook.got) == 1


def test_waits_grow_to_an_hour() -> None:
    waits = [wait_after(attempts) for attempts in range(1, 40)]
    assert (waits[0], waits[1], waits[-1]) == (FIRST_WAIT, 2 * FIRST_WAIT, LONGEST_WAIT)
    assert waits == sorted(waits)


def test_an_address_is_told_once() -> None:
    assert check_addresses(["mailto:a@b.example", "mailto:a@b.example"]) == ["mailto:a@b.example"]


def test_a_service_that_died_right_after_the_entry_does_what_the_recall_asks_when_it_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("provenance.recall.open.send_notices", die)
    with pytest.raises(KeyboardInterrupt):
        open_recall(
            house.service.runtime, "rec_died", LLAMA, reason="a book", actor="ann", notify=["http://127.0.0.1:1/"]
        )
    monkeypatch.undo()
    assert notices(house, "rec_died") == []
    adopt_recalls(house.service.runtime)
    engine.start("recall", "rec_died")
    deadline = time.monotonic() + 30
    while not notices(house, "rec_died"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
