"""Which workflow does which kind of job."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provenance.jobs.erasures import erase_text
from provenance.jobs.recalls import carry_out
from provenance.jobs.releases import build_release
from provenance.jobs.reports import build_report
from provenance.jobs.runs import train_student

WORKFLOWS: Mapping[str, Callable[[str], None]] = {
    "erasure": erase_text,
    "recall": carry_out,
    "release": build_release,
    "report": build_report,
    "run": train_student,
}
