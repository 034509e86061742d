"""Reads the source tree for `test_tree.py`: files, modules, what each module imports and when."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "provenance"
SILENCERS = re.compile(
    r"#\s*(type:\s*ignore(\[[\w\-, ]+\])?|noqa(:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)?)\s*(?P<reason>.*)"
)
NOT_OURS = {".git", ".venv", ".hypothesis", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Module:
    """One module of the package; names are relative to it (`ledger.merkle`), and a package is its `__init__`."""

    name: str
    path: Path
    docstring: str | None
    is_bare_package: bool
    imports: tuple[str, ...]
    imports_at_all: tuple[str, ...]
    foreign_at_import: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def top(self) -> str:
        """The stage or root module that it belongs to."""
        return top_of(self.name)


@dataclass(frozen=True)
class Silenced:
    """A comment that silences a check, and the reason that stands behind it."""

    line: int
    comment: str
    reason: str


def top_of(name: str) -> str:
    """`ledger.merkle` -> `ledger`."""
    return name.partition(".")[0]


def relative(path: Path) -> str:
    """A path as one reads it from the root."""
    return path.relative_to(ROOT).as_posix()


def where(path: Path, text: str, found: re.Match[str] | None) -> str:
    """File, line and words of a finding."""
    return f"{relative(path)}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}" if found else relative(path)


@functools.cache
def list_files(suffix: str = "") -> list[Path]:
    """Text files that belong to the project: those git does not ignore, or all where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not NOT_OURS & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in set(paths) if path.name.endswith(suffix) and path.is_file() and _is_text(path))


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(8192)


def read_modules() -> list[Module]:
    """Every module of the package, in order of its name."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)
    names = {_name(path) for path in paths}
    return [read_module(path, path.read_text(), names) for path in paths]


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_module(path: Path, source: str, names: set[str]) -> Module:
    """One module from its source; `names` are all modules of the package."""
    tree = ast.parse(source)
    name = _name(path)
    at_import = list(_list_imports(tree, at_import_only=True))
    at_all = list(_list_imports(tree, at_import_only=False))
    return Module(
        name=name,
        path=path,
        docstring=ast.get_docstring(tree),
        is_bare_package=path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in tree.body),
        imports=_ours(at_import, names, name),
        imports_at_all=_ours(at_all, names, name),
        foreign_at_import=_foreign(at_import),
        foreign=_foreign(at_all),
    )


def _list_imports(tree: ast.Module, *, at_import_only: bool) -> Iterator[str]:
    """Absolute names; `from a import b` gives `a.b`, as `b` may be a module."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif at_import_only and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(node)):
            continue
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _ours(imported: Sequence[str], names: set[str], importer: str) -> tuple[str, ...]:
    found = set()
    for name in imported:
        top, _, rest = name.partition(".")
        if top == PACKAGE.name:
            while rest and rest not in names:
                rest = rest.rpartition(".")[0]
            found.add(rest)
    return tuple(sorted(found - {"", importer}))


def _foreign(imported: Sequence[str]) -> tuple[str, ...]:
    tops = {top_of(name) for name in imported}
    return tuple(sorted(tops - sys.stdlib_module_names - {PACKAGE.name, "__future__"}))


def reach(modules: Sequence[Module], entry: str) -> list[Module]:
    """The modules that importing `entry` (a module, or a package with all that stands in it) loads, itself included."""
    by_name = {module.name: module for module in modules}
    waiting = [name for name in by_name if name == entry or name.startswith(f"{entry}.")]
    reached: dict[str, Module] = {}
    while waiting:
        name = waiting.pop()
        if name in reached or name not in by_name:
            continue
        reached[name] = by_name[name]
        parents = [name[: dot.start()] for dot in re.finditer(r"\.", name)]
        waiting += [*by_name[name].imports, *parents]
    return list(reached.values())


def find_circle(graph: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The modules of one import circle, or `None`."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in graph.get(name, ()):
            if circle := visit(other, [*path, name]):
                return circle
        done.add(name)
        return None

    return next((circle for name in graph if (circle := visit(name, []))), None)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def distributions_of(name: str) -> set[str]:
    """The installed distributions that bring an importable name, in canonical form."""
    return {re.sub(r"[-_.]+", "-", distribution).lower() for distribution in _distributions().get(name, [name])}


def list_silenced(text: str) -> Iterator[Silenced]:
    """Comments that silence a check; the reason follows in the comment, behind `#` or a dash."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := SILENCERS.search(token.string)):
            yield Silenced(token.start[0], token.string, found["reason"].strip(" #-:"))
