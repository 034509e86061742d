"""Which chart a page's values become: one function a figure, each a filter of the templates."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from provenance.api.charts import Bar, DotRow, Interval, draw_bars, draw_dots, draw_line, draw_proof
from provenance.api.status import describe_status
from provenance.api.views.common import Proof
from provenance.api.views.decisions import VerdictCount
from provenance.api.views.log import GrowthRow
from provenance.api.views.releases import Composition
from provenance.api.views.runs import RunPage
from provenance.training.comparisons import Comparison, Measure


def draw_verdicts(counts: Sequence[VerdictCount]) -> Markup:
    """Samples by verdict."""
    bars = [Bar(describe_status(count.verdict).word, count.samples, f"{count.samples:,}") for count in counts]
    return draw_bars("Samples by latest verdict", bars)


def draw_composition(composition: Sequence[Composition]) -> Markup:
    """Tokens by teacher, with each one's share."""
    total = sum(item.tokens for item in composition) or 1
    bars = [
        Bar(item.teacher, item.tokens, f"{item.tokens:,} tokens, {100 * item.tokens / total:.1f}%")
        for item in composition
    ]
    return draw_bars("Released tokens by teacher", bars)


def draw_loss(page: RunPage) -> Markup:
    """The training loss so far; the x axis ends at the last planned step."""
    points = [(float(point.step), point.loss) for point in page.losses]
    title = f"Training loss by step, {page.step:,} of {page.total_steps or 0:,}"
    return draw_line(title, points, last_x=float(page.total_steps or page.step), x_label="step; loss in nats per token")


def draw_comparisons(comparisons: Sequence[Comparison]) -> Markup:
    """Student beside teacher, for the tasks that both were measured on."""
    rows = [
        DotRow(item.task, _interval(item.teacher), _interval(item.student))
        for item in comparisons
        if item.teacher is not None and item.student is not None
    ]
    return draw_dots("Student and teacher by task", rows) if rows else Markup("")


def draw_growth(growth: Sequence[GrowthRow]) -> Markup:
    """The log's size by append."""
    points = [(float(number), float(row.size)) for number, row in enumerate(growth, 1)]
    return draw_line("Log size by append", points, last_x=float(len(points)), x_label="append; size in entries")


def draw_inclusion(proof: Proof) -> Markup:
    """The inclusion proof as a path to the signed root."""
    return draw_proof(proof.index, proof.size, [(sibling.side, sibling.digest) for sibling in proof.siblings])


def _interval(of: Measure) -> Interval:
    return Interval(of.value, of.low, of.high)
