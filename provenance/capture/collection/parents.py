"""What a data set derives from: parents' names resolved by the alias table, to data sets of the collection where it has them.

- `known`: the table or the collection knows the name. `address`: it is an address, which says which data set is meant.
- `unknown`: kept under its name, and counted. A name that fits several data sets resolves to all of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provenance.capture.collection.names import Names, fold
from provenance.capture.collection.summary import Summary
from provenance.errors import FieldError, MalformedError

KNOWN, ADDRESS, UNKNOWN = "known", "address", "unknown"
MAX_LINKS = 200_000  # the real collection has some thousands; a name that everything bears would make their square
_ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9.-]+\.[a-z]{2,}/\S*)", re.IGNORECASE)


@dataclass(frozen=True)
class Parent:
    """One parent: the name as written, what it is taken for, and the data sets of this collection that it may be."""

    name: str
    state: str
    ref: str | None
    datasets: tuple[str, ...]


def resolve_parents(summaries: Sequence[Summary], names: Names) -> dict[str, tuple[Parent, ...]]:
    """The parents of every data set, by its id.

    Raises:
        MalformedError: their names lead to too many data sets.
    """
    index = _index_names(summaries, names)
    found: dict[str, tuple[Parent, ...]] = {}
    links = 0
    for item in summaries:
        found[item.id] = tuple(_resolve(name, item.id, index, names) for name in item.parents)
        links += sum(len(parent.datasets) for parent in found[item.id])
        check_links(links, f"{item.part_of}.json: {item.id}.Derived from Datasets")
    return found


def check_links(links: int, place: str) -> None:
    """Refuse a collection whose parents' names lead to more data sets than any real one's."""
    if links > MAX_LINKS:
        expected = f"names that lead to at most {MAX_LINKS:,} data sets in all"
        raise MalformedError(f"{place}: expected {expected}", FieldError(place, f"{links:,} data sets", expected))


def _index_names(summaries: Sequence[Summary], names: Names) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for item in summaries:
        spellings = [item.id, item.name, item.part_of, *([item.hub_id] if item.hub_id else [])]
        for key in {_key(spelling, names) for spelling in spellings}:
            found[key][item.id] = None
        addresses = [item.urls[name] for name in item.urls]
        if item.hub_id:
            addresses.append(f"huggingface.co/datasets/{item.hub_id}")
        for address in filter(None, map(_address, addresses)):
            found[address][item.id] = None
    return {key: tuple(ids) for key, ids in found.items()}


def _key(name: str, names: Names) -> str:
    return fold(names.datasets.get(fold(name), name))


def _address(name: str) -> str | None:
    match = _ADDRESS.fullmatch(name.strip())
    return None if match is None else match[1].split("?")[0].split("#")[0].rstrip("/").lower()


def _resolve(name: str, child: str, index: Mapping[str, tuple[str, ...]], names: Names) -> Parent:
    address = _address(name)
    ref = names.datasets.get(fold(name))
    datasets = index.get(address, ()) if address else index.get(_key(name, names), ())
    others = tuple(item for item in datasets if item != child)
    datasets = others or datasets  # itself only where nothing else bears the name
    if address:
        return Parent(name, ADDRESS, address, datasets)
    if ref is not None or datasets:
        return Parent(name, KNOWN, ref or name, datasets)
    return Parent(name, UNKNOWN, None, ())


def trace_ancestors(child: str, parents: Mapping[str, Iterable[Parent]]) -> tuple[list[Parent], list[str]]:
    """Every parent upward of a data set, and the data sets of the collection among them; each once, circles or not."""
    seen_parents: dict[Parent, None] = {}
    seen: dict[str, None] = {}
    waiting = [child]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            seen_parents[parent] = None
            for item in parent.datasets:
                if item not in seen and item != child:
                    seen[item] = None
                    waiting.append(item)
    return list(seen_parents), list(seen)


def _cut_group(stack: list[str], node: str) -> list[str]:
    """Take everything from `node` upward off the stack."""
    group = [stack.pop()]
    while group[-1] != node:
        group.append(stack.pop())
    return group


def find_cycles(parents: Mapping[str, Iterable[Parent]]) -> list[tuple[str, ...]]:
    """The groups of data sets that derive from each other, or from themselves, each in the order of its ids.

    Tarjan's strongly connected components, without recursion: a chain may be as long as the collection.
    """
    graph = {child: sorted({i for parent in items for i in parent.datasets}) for child, items in parents.items()}
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()  # what is on the stack
    found: list[tuple[str, ...]] = []
    for root in graph:
        path: list[tuple[str, int]] = [(root, 0)] if root not in number else []
        while path:
            node, position = path.pop()
            if position == 0:
                number[node] = low[node] = len(number)
                stack.append(node)
                waiting.add(node)
            targets = graph.get(node, [])
            if position and targets[position - 1] in waiting:
                low[node] = min(low[node], low[targets[position - 1]])
            while position < len(targets) and targets[position] in number:
                if targets[position] in waiting:
                    low[node] = min(low[node], number[targets[position]])
                position += 1
            if position < len(targets):
                path += [(node, position + 1), (targets[position], 0)]
            elif low[node] == number[node]:
                group = _cut_group(stack, node)
                waiting.difference_update(group)
                if len(group) > 1 or node in targets:
                    found.append(tuple(sorted(group)))
    return sorted(found)
