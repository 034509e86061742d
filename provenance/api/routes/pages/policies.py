"""The pages of policies: the pack that decides, rule by rule, and each pack with what it would have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.policies import (
    FlipCount,
    FlipRow,
    Pack,
    PackStatement,
    PoliciesPage,
    PolicyPage,
    Rule,
    RuleChange,
)
from provenance.policy import pack as packs
from provenance.policy.cases import load_cases
from provenance.policy.recorded import find_pack_statement
from provenance.store.history import list_history
from provenance.store.log import find_content, get_statement
from provenance.store.pages import name_students
from provenance.store.tables import StatementRow

router = APIRouter()
SHOWN_FLIPS = 100
_RULE = re.compile(r'@id\("(?P<id>[^"]+)"\).*?;[ \t]*$', re.DOTALL | re.MULTILINE)


@add_page(router, "/policies", "json", "csv")
def index_policies(asked: PageDep) -> Response:
    """What is the rule."""
    return asked.answer(fill_policies(asked))


@add_page(router, "/policies/{identifier}", "json", "csv")
def show_policy(identifier: str, asked: PageDep) -> Response:
    """One pack: who wants it, what it changes, what it would have changed of the past."""
    return asked.answer(fill_policy(asked, get_statement(asked.session, "policy", identifier)))


def fill_policies(asked: Asked) -> PoliciesPage:
    """The pack in force, and the statements about packs, newest first."""
    pack, shipped = asked.runtime.pack, packs.load_pack()
    logged = find_pack_statement(asked.session)
    rows = reversed(list_history(asked.session, ["policy"]))
    return PoliciesPage(
        digest=pack.digest,
        packs=[_fill_pack(pack, name, digest) for name, digest in pack.packs.items()],
        cases=count_cases(),
        entry_index=logged.index if logged else None,
        shipped_id=None if shipped.digest == pack.digest else shipped.id,
        history=[_fill_statement(row, in_force=bool(logged and logged.index == row.index)) for row in rows],
    )


@cache
def count_cases() -> int:
    """How many worked cases the shipped rules are tested with."""
    return len(load_cases())


def fill_policy(asked: Asked, row: StatementRow) -> PolicyPage:
    """The page of a pack, by its newest statement."""
    said, content = row.predicate, find_content(asked.session, row.index) or {}
    replay, in_force = said.get("replay") or {}, find_pack_statement(asked.session)
    students = name_students(asked.session)
    return PolicyPage(
        id=said["id"],
        digest=said["digest"],
        state=said.get("state", "shipped"),
        in_force=bool(in_force and in_force.predicate["digest"] == said["digest"]),
        author=said["author"],
        proposed_by=said.get("proposed_by"),
        approver=said["approver"],
        recorded_at=said.get("recorded_at"),
        entry_index=row.index,
        cases=(said.get("cases") or {}).get("count"),
        decisions=replay.get("decisions"),
        replay_digest=replay.get("digest"),
        replay_size=replay.get("log_size"),
        not_replayed=replay.get("not_replayed", 0),
        totals=fill_totals(replay.get("totals") or {}),
        flips=fill_flips(content.get("flips", ()), students),
        changes=_fill_changes(asked, said, content),
        replaces=said.get("replaces"),
    )


def fill_totals(totals: Mapping[str, Mapping[str, int]]) -> list[FlipCount]:
    """The counts of flips by `before -> after`."""
    return [
        FlipCount(before, after, held["classes"], held["samples"], held["tokens"])
        for (before, after), held in ((name.split(" -> "), held) for name, held in totals.items())
    ]


def fill_flips(items: Sequence[Mapping[str, Any]], students: Mapping[str, str]) -> list[FlipRow]:
    """Flips with the names of their students; classes of one decision and teacher that flip alike share a row."""
    rows: dict[tuple[Any, ...], FlipRow] = {}
    names = ("decision", "dataset", "action", "teacher", "before", "after", "releases", "rules")
    for item in items:
        key = (item["decision"], item["teacher"], item["before"], item["after"], tuple(item["rules"]))
        held = rows.get(key)
        rows[key] = FlipRow(
            student=students.get(item["student"], item["student"]),
            classes=(held.classes if held else 0) + 1,
            samples=(held.samples if held else 0) + item["samples"],
            **{name: item[name] for name in names},
        )
    return list(rows.values())[:SHOWN_FLIPS]


def _fill_statement(row: StatementRow, *, in_force: bool) -> PackStatement:
    said = row.predicate
    totals = (said.get("replay") or {}).get("totals")
    return PackStatement(
        id=said["id"],
        state=said.get("state", "shipped"),
        author=said["author"],
        approver=said["approver"],
        recorded_at=said.get("recorded_at"),
        entry_index=row.index,
        flips=None if totals is None else sum(held["classes"] for held in totals.values()),
        in_force=in_force,
    )


def _fill_changes(asked: Asked, said: Mapping[str, Any], content: Mapping[str, Any]) -> list[RuleChange]:
    """Rules that differ from those of the pack that it replaces."""
    before = next(
        (row for row in list_history(asked.session, ["policy"]) if row.predicate["digest"] == said.get("replaces")),
        None,
    )
    held = find_content(asked.session, before.index) if before else None
    if held is None or "rules" not in content:
        return []
    old, new = (
        {name: text for file in value["rules"].values() for name, text in read_rules(file).items()}
        for value in (held, content)
    )
    return [
        RuleChange(
            name, "new" if name not in old else "gone" if name not in new else "changed", old.get(name), new.get(name)
        )
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _fill_pack(pack: packs.Pack, name: str, digest: str) -> Pack:
    texts = read_rules(pack.texts[name])
    rules = [rule for rule in (*pack.rules.values(), *pack.approvals.values()) if rule.pack == name]
    return Pack(name, digest, [Rule(rule.id, rule.effect, f"{rule.title}.", texts.get(rule.id, "")) for rule in rules])


def read_rules(text: str) -> dict[str, str]:
    """The text of each rule of a file by its id."""
    return {match["id"]: match[0] for match in _RULE.finditer(text)}
