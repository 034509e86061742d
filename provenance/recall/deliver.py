"""Deliver one message: to a webhook, signed, to a mailbox, or an event to an OpenLineage endpoint. Whether it arrived is
the receiver's word, nothing else.

A webhook is sent JSON after the Standard Webhooks specification 1.0: `webhook-id` (the same at each try, so that a receiver
can tell), `webhook-timestamp`, and with a secret `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over
`id.timestamp.body`). Any answer 2xx is an arrival; redirects are not followed, as they would carry the message elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from provenance.errors import MalformedError, UnavailableError
from provenance.recall.addresses import is_mailbox

SECONDS = 15.0
NEVER = frozenset({400, 413, 415, 422})  # what the receiver says no to is no better at the next try


@dataclass(frozen=True)
class Post:
    """By which means messages go out."""

    webhook_secret: str | None = None
    smtp_url: str | None = None
    smtp_from: str | None = None
    openlineage_key: str | None = None


def deliver(post: Post, identifier: str, address: str, body: Mapping[str, Any], *, timestamp: int) -> str:
    """Send a message; the answer is what the receiver said.

    Raises:
        UnavailableError: it did not arrive; the message says why, and holds no secret.
    """
    if is_mailbox(address):
        return _send_mail(post, identifier, address.removeprefix("mailto:"), body)
    data = json.dumps(body, ensure_ascii=False, sort_keys=True).encode()
    answer = _post_json(address, data, sign_webhook(post.webhook_secret, identifier, timestamp, data))
    if not answer.is_success:
        raise UnavailableError(f"{address} answered {answer.status_code}")
    return f"answered {answer.status_code}"


def deliver_event(post: Post, address: str, body: Mapping[str, Any]) -> str:
    """Post an event of OpenLineage; the answer is what the receiver said.

    Raises:
        UnavailableError: it did not arrive, and may at another time.
        MalformedError: the receiver will not have this event, also not later.

    Source: the OpenLineage API, `POST /api/v1/lineage`; the key is sent as the official client sends it.
    """
    data = json.dumps(body, ensure_ascii=False, sort_keys=True).encode()
    answer = _post_json(
        address, data, {"authorization": f"Bearer {post.openlineage_key}"} if post.openlineage_key else {}
    )
    if answer.status_code in NEVER:
        raise MalformedError(f"{address} refused the event: {answer.status_code} {_one_line(answer.text)}")
    if not answer.is_success:
        raise UnavailableError(f"{address} answered {answer.status_code}")
    return f"answered {answer.status_code}"


def _post_json(address: str, data: bytes, headers: Mapping[str, str]) -> httpx.Response:
    try:
        with httpx.Client(timeout=SECONDS, follow_redirects=False) as client:
            return client.post(address, content=data, headers={"content-type": "application/json", **headers})
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise UnavailableError(f"{address} did not answer: {exc or type(exc).__name__}") from exc


def sign_webhook(secret: str | None, identifier: str, timestamp: int, data: bytes) -> dict[str, str]:
    """The headers that a receiver checks a message by.

    Source: Standard Webhooks 1.0, "Signature scheme".
    """
    headers = {"webhook-id": identifier, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        signed = hmac.digest(secret.encode(), f"{identifier}.{timestamp}.".encode() + data, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers


def _send_mail(post: Post, identifier: str, mailbox: str, body: Mapping[str, Any]) -> str:
    if post.smtp_url is None or post.smtp_from is None:
        raise UnavailableError("no mail server is set: PROVENANCE_SMTP_URL and PROVENANCE_SMTP_FROM")
    message = EmailMessage()
    message["From"], message["To"] = post.smtp_from, mailbox
    message["Subject"] = _one_line(body["title"])
    message["Message-ID"] = f"<{identifier}@provenance>"
    message.set_content(format_mail(body))
    parts = urlsplit(post.smtp_url)
    secure = parts.scheme == "smtps"
    kind, port = (smtplib.SMTP_SSL, 465) if secure else (smtplib.SMTP, 25)
    try:
        # Our name in the greeting is the sender's domain: asking the resolver for this host's may take long, and tell more.
        name = post.smtp_from.rpartition("@")[2]
        with kind(parts.hostname or "localhost", parts.port or port, name, timeout=SECONDS) as server:
            if not secure and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as exc:
        raise UnavailableError(f"{mailbox} was not reached by the mail server: {_one_line(str(exc))}") from exc
    return "taken by the mail server"


def format_mail(body: Mapping[str, Any]) -> str:
    """The message for a person."""
    reached = ", ".join(f"{count:,} {name}" for name, count in body["counts"].items())
    lines = [
        body["title"], "", f"Source: {body['source_text']}", f"Reason: {body['reason']}",
        f"Opened by {body['opened_by']} on {body['opened_at']}, at log size {body['log_size']:,}.",
        f"Reached: {reached}.", f"List of what was reached: {body['reach_digest']}", "",
        "Everything in the list is held back until the recall is closed by two people.", f"{body['url']}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
