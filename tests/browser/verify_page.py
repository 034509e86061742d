"""A page in a real browser that loads `verify.js` and calls its functions: served under the service's strict policy, or from disk."""

from __future__ import annotations

import base64
import functools
import http.server
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.evidence_factory import encode

STATIC = Path(__file__).parents[2] / "web" / "static"
POLICY = "default-src 'none'; script-src 'self'; require-trusted-types-for 'script'"

PAGE = '<!doctype html><meta charset="utf-8"><title>checks</title><script src="./verify.js"></script>'

RUN = """async ({name, cases}) => {
  const module = globalThis.verifier;
  const bytes = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));
  const calls = {
    inclusion: ({index, size, leaf, path, root}) => module.verifyInclusion(index, size, bytes(leaf), path.map(bytes), bytes(root)),
    consistency: ({old, size, path, oldRoot, root}) => module.verifyConsistency(old, size, path.map(bytes), bytes(oldRoot), bytes(root)),
    canonical: ({text}) => module.canonicalJson(JSON.parse(text)),
    note: ({text}) => module.parseNote(text).size,
    vkey: async ({text}) => (await module.parseVkey(text)).name,
    signedNote: async ({text, vkeys}) => {
      const {signedBy, unchecked} = await module.verifyNote(module.parseSignedNote(text), await Promise.all(vkeys.map(module.parseVkey)));
      if (signedBy.length === 0) throw new Error("no line is by a known key");
      return {signedBy: signedBy.map(vkey => vkey.name), unchecked: unchecked.map(vkey => vkey.name)};
    },
    leaf: async ({entry}) => module.hex(await module.leafHash(bytes(entry))),
    pae: ({type, payload}) => btoa(String.fromCharCode(...module.pae(type, bytes(payload)))),
    ed25519: async ({spki, signature, message}) => await module.verifyEd25519("spki", bytes(spki), bytes(signature), bytes(message)),
    p256: async ({spki, signature, message}) => await module.verifyP256(bytes(spki), bytes(signature), bytes(message)),
    proof: ({text}) => module.parseTlogProof(text).index,
    envelope: async ({data, keys}) => (await module.verifyEnvelope(bytes(data), keys)).signedBy,
    evidence: async ({evidence, pinnedVkeys}) => {
      const steps = {}, notes = {};
      const all = await module.verifyEvidence(evidence, {pinnedVkeys}, (id, state, note) => { steps[id] = state; notes[id] = note; });
      return {all, steps, notes};
    },
  };
  const answers = [];
  for (const item of cases) {
    try { answers.push({value: await calls[name](item) ?? null}); } catch (error) { answers.push({error: error.message}); }
  }
  return answers;
}"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the static files under the strict policy that the service sends."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def do_GET(self) -> None:
        if self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())
        else:
            super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:  # the base class's name
        return


def serve_verify_page(chromium_path: str) -> Iterator[Callable[..., list[Any]]]:
    """Yields `call(name, cases)`: one answer a case, `{value}` or `{error}`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(STATIC)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield from open_verify_page(chromium_path, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()


def save_verify_page(folder: Path) -> str:
    """The same page on disk; its address."""
    shutil.copy(STATIC / "verify.js", folder)
    (folder / "page.html").write_text(PAGE)
    return (folder / "page.html").as_uri()


def open_verify_page(chromium_path: str, url: str) -> Iterator[Callable[..., list[Any]]]:
    """As `serve_verify_page`, wherever the page is."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)

        def call(name: str, cases: list[Any]) -> list[Any]:
            answers = page.evaluate(RUN, {"name": name, "cases": cases})
            assert len(answers) == len(cases)
            return list(answers)

        yield call
        browser.close()


def seeded(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311  # what to bend is no secret


def flip(text: str, rng: random.Random) -> str:
    """Base64 of the same bytes with one bit flipped."""
    raw = bytearray(base64.b64decode(text))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return encode(bytes(raw))
