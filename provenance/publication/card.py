"""The model card: a README.md with the hub's metadata, made of a description and nothing else.

Names, notices and sentences are other people's: none can end a line, a table or the front matter, or become markup. An address
that stands there in full may become a link to what it says, as the hub has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from provenance.prices import describe_cost
from provenance.report.text import mark_plain

HUB_LICENSES = frozenset(
    "apache-2.0 mit bsd-2-clause bsd-3-clause isc cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 unlicense gemma llama2 llama3 "
    "llama3.1 llama3.2 llama3.3 llama4".split()
)
"""Names that the hub knows, of those that occur here; any other is `other` with a name."""

DISCLAIMER = "This is what the record and the rules in it say. It is not legal advice."
NOT_RECORDED, NOT_STATED = "not recorded", "not stated"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def format_card(said: Mapping[str, Any]) -> str:
    """The card of a description (`describe_model`), as Markdown with front matter."""
    blocks = [
        ["---", yaml.safe_dump(_metadata(said), sort_keys=False, allow_unicode=True).strip(), "---"],
        [f"# {plain(said['published_as'])}"],
        [_first_words(said)],
        _list("Notices", said["notices"]) if said["notices"] else [],
        _origin(said),
        _conditions(said),
        _restrictions(said),
        _scorecard(said),
        _training(said),
        _check(),
        [DISCLAIMER],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _first_words(said: Mapping[str, Any]) -> str:
    model = said["model"]
    teachers = ", ".join(dict.fromkeys(plain(item["model"]) for item in said["teachers"])) or "no teacher on record"
    return (
        f"A student of {teachers}, trained by {plain(model['provider'])}. Registered as {code(model['id'])}, entry "
        f"{model['entry']} of its transparency log; weights {code(model['weights_digest'])}."
    )


def plain(value: Any) -> str:
    """Other people's words on one line, that mean nothing to Markdown or HTML."""
    if value is None:
        return NOT_RECORDED
    line = " ".join(mark_plain(str(value)).split())
    return _MARKUP.sub(r"\\\1", line).replace("\\&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")


def code(value: Any) -> str:
    """A name or digest in code style."""
    return (
        NOT_RECORDED
        if value is None
        else f"`{' '.join(mark_plain(str(value)).split()).replace('`', chr(0x2BB)).replace('|', '¦')}`"
    )


def _metadata(said: Mapping[str, Any]) -> dict[str, Any]:
    licence = said["model"]["license"]
    known = isinstance(licence, str) and licence.lower() in HUB_LICENSES
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if known:
        front["license"] = licence.lower()
    elif licence not in (None, "unknown"):
        front |= {"license": "other", "license_name": mark_plain(str(licence)), "license_link": "LICENSE"}
    if said["base_model"]:
        front["base_model"] = [mark_plain(said["base_model"])]
    return front | {
        "tags": ["distillation", "provenance", *(f"teacher:{mark_plain(i['model'])}" for i in said["teachers"])]
    }


def _origin(said: Mapping[str, Any]) -> list[str]:
    data = said["data"]
    source = (
        f"- Data: release {plain(data['name'])}@{data['version']} of data set {plain(data['dataset'])}, "
        f"{data['samples']:,} samples, manifest {code(data['manifest_digest'])}, entry {data['entry']}"
    )
    teachers = [
        (plain(i["model"]), plain(i["route"]), f"{i['samples']:,}", f"{i['tokens']:,}") for i in said["teachers"]
    ]
    documents = [
        (plain(i["title"]), code(i["id"]), plain(i["version"]), "yes" if i["verified"] else "no")
        for i in said["documents"]
    ]
    return [
        "## Where it comes from",
        "",
        f"- Base model: {plain(said['base_model']) if said['base_model'] else 'none, trained from scratch'}",
        source,
        f"- Licence: {plain(said['model']['license'])}",
        "",
        *_table(("Teacher", "Route", "Samples", "Tokens"), teachers, "No teacher is on record."),
        "",
        *_table(("Terms that bind", "Document", "Version", "Read by a person"), documents, "No document is on record."),
    ]


def _conditions(said: Mapping[str, Any]) -> list[str]:
    rows = [
        (plain(i["type"]), plain(i["status"]), plain(i["requirement"]), f"{plain(i['document'])}, {plain(i['clause'])}")
        for i in said["conditions"]
    ]
    blocked = _list("It may not be published yet", said["blocking"], level=3) if said["blocking"] else []
    return [
        "## Conditions",
        "",
        f"Judged for publishing by policy {code(said['policy']['digest'])}: **{plain(said['verdict'])}**.",
        "",
        *_table(("Condition", "Status", "What it asks", "Where"), rows, "None is triggered."),
        *(["", *blocked] if blocked else []),
    ]


def _restrictions(said: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            plain(i["type"]), plain(i["status"]), plain(i["text"]), f"{plain(i['document'])}, {plain(i['clause'])}",
            f"{'direct' if i['direct'] else 'inherited'}: {plain(' → '.join(i['path_text']))}",
        )
        for i in said["restrictions"]
    ]  # fmt: skip
    lifted = [
        f"Exception {item['exception']}, {'in force' if item['in_force'] else 'no longer in force'}, until {item['expires_on']}"
        for item in said["exceptions"]
    ]
    return [
        "## Restrictions that reached it",
        "",
        *_table(("What", "Status", "Text", "Where", "Way"), rows, "None is on record."),
        *(["", *_list("Exceptions used", lifted, level=3)] if lifted else []),
    ]


def _scorecard(said: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            plain(row["task"]), plain(row["unit"]) if row["unit"] else "", f"{row['n']:,}" if row["n"] is not None else "",
            *(_measure(row[side]) for side in ("teacher", "before", "student")),
        )
        for row in said["scorecard"]
    ]  # fmt: skip
    return [
        "## Scorecard",
        "",
        *_table(("Task", "Unit", "n", "Teacher", "Before training", "This model"), rows, "Nothing was measured."),
        *(["", "In brackets: 95 % intervals, where one was computed."] if rows else []),
        "",
        *_list("Limits", said["limits"] or ["What it cannot do was not recorded."], level=3),
    ]


def _measure(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return "–"
    interval = "" if measure["low"] is None else f" \\[{measure['low']:.4g}, {measure['high']:.4g}\\]"
    return f"{measure['value']:.4g}{interval}"


def _training(said: Mapping[str, Any]) -> list[str]:
    done = said["training"]
    flops, energy = done["flops"] or {}, done["energy_kwh"] or {}
    count = said["model"]["parameters_count"]
    rows = [
        ("Run", code(done["run"])),
        ("Recipe", f"{plain(done['recipe'])}, seed {plain(done['seed'])}"),
        ("Steps, tokens", f"{_number(done['steps'])}, {_number(done['tokens'])}"),
        ("Parameters", _number(count)),
        ("Size", f"{said['model']['size_bytes'] / 2**20:.1f} MiB"),
        ("Device", f"{plain(done['device'])}, sandbox level {plain(done['isolation'])}"),
        ("Time", f"{done['wall_seconds']:,.0f} s" if done["wall_seconds"] is not None else NOT_RECORDED),
        ("Compute", f"{flops['value']:.3g} FLOP, estimated ({plain(flops.get('method'))})" if flops else NOT_RECORDED),
        ("Energy", _energy(energy)),
        ("Cost", plain(describe_cost(done["cost"]) or NOT_STATED)),
        ("Samples in order", code(done["sample_ids_digest"])),
    ]
    return ["## Training", "", *_table(("", ""), rows, "")]


def _energy(energy: Mapping[str, Any]) -> str:
    if energy.get("value") is None:
        return NOT_RECORDED
    return f"{energy['value']:.3g} kWh, {plain(energy['method'])}: {plain(energy.get('note'))}"


def _check() -> list[str]:
    return [
        "## How to check it",
        "",
        "```sh",
        "python -m model_signing verify key --signature model.sig --public_key model.pem .   # every file, OpenSSF's own command",
        "provenance verify evidence.zip                                                       # where it comes from, offline",
        "```",
        "",
        "Get the public key from whom you trust and not from this folder.",
    ]


def _number(value: int | None) -> str:
    return NOT_RECORDED if value is None else f"{value:,}"


def _list(title: str, items: Sequence[str], *, level: int = 2) -> list[str]:
    return [f"{'#' * level} {title}", "", *(f"- {plain(item)}" for item in items)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> list[str]:
    if not rows:
        return [empty]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
