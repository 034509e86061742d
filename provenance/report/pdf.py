"""Typesetting: HTML to a tagged PDF whose bytes repeat. Loads nothing but the two fonts of `web/static/fonts`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import pikepdf
from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher, URLFetcherResponse

from provenance.resources import find_resource

FONTS = {"report:ahn.woff2": "ahn.woff2", "report:ahm.woff2": "ahm.woff2"}

_ONE_AT_A_TIME = Lock()


class _FontFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint carries no types
    """Gives the fonts and refuses everything else: a report's text cannot make the typesetter reach out."""

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:  # noqa: ARG002 - its signature
        """The font of this name."""
        if url not in FONTS:
            raise ValueError(f"a report loads only its fonts, not {url[:80]!r}")
        path = find_resource("web", "static", "fonts", FONTS[url])
        return URLFetcherResponse(url, body=path.read_bytes(), headers={"Content-Type": "font/woff2"})


def typeset(html: str, styles: list[str], identifier: bytes) -> bytes:
    """The PDF/UA-1 tagged pages of `html` under `styles`; `identifier` is the file's own, 16 bytes."""
    fonts = FontConfiguration()
    fetcher = _FontFetcher()
    sheets = [CSS(string=style, base_url="report:", url_fetcher=fetcher, font_config=fonts) for style in styles]
    with _no_clock():
        drawn = HTML(string=html, base_url="report:", url_fetcher=fetcher).write_pdf(
            stylesheets=sheets, font_config=fonts, pdf_variant="pdf/ua-1", pdf_identifier=identifier
        )
    return _set_header_scope(drawn)


@contextmanager
def _no_clock() -> Iterator[None]:
    """Keep the time of day out of the embedded fonts: their writer stamps them with `SOURCE_DATE_EPOCH` where it is set.

    The environment is the process's own, so only one report is typeset at a time.
    """
    with _ONE_AT_A_TIME:
        before = os.environ.get("SOURCE_DATE_EPOCH")
        os.environ["SOURCE_DATE_EPOCH"] = "0"
        try:
            yield
        finally:
            if before is None:
                del os.environ["SOURCE_DATE_EPOCH"]
            else:
                os.environ["SOURCE_DATE_EPOCH"] = before


def _set_header_scope(data: bytes) -> bytes:
    """Say of every header cell that it heads a column, which the typesetter leaves out and PDF/UA asks for."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        for item in pdf.objects:
            if isinstance(item, pikepdf.Dictionary) and item.get("/S") == pikepdf.Name.TH:
                item.A = pikepdf.Dictionary(O=pikepdf.Name.Table, Scope=pikepdf.Name.Column)
        buffer = io.BytesIO()
        pdf.save(buffer, deterministic_id=True)
    return buffer.getvalue()
