"""The rules that the source tree keeps: who may import whom, what stands in a file, what the README owes its reader.

- A stage imports earlier stages only; the ground (`attestation`, `ledger`, `store`) imports no stage.
- What an auditor or a pipeline imports (`provenance`, `provenance.verify`, `provenance.client`) stays light.
- `pyproject.toml` names what is imported, `requirements.lock` pins what it names.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import source_tree
from tests.source_tree import PACKAGE, ROOT, Module

MODULES = source_tree.read_modules()
MAX_LINES = 350

# A module may import what stands in its own line and in the lines above it.
LAYERS = (
    {"errors"},
    {"canonical", "prices", "resources", "settings"},
    {"attestation"},
    {"ledger", "store"},  # told apart below: the ledger's nouns know no database
    {"verify"},
    {"terms"},
    {"capture"},
    {"lineage"},  # before policy: what a teacher of our own carries is what its students are judged by
    {"policy"},
    {"runtime", "processes"},  # what the verbs from here on take: engine, keys, writer, catalogue, pack
    {"govern"},
    {"release"},
    {"training"},
    {"export"},
    {"recall"},
    {"report"},
    {"publication"},
    {"client"},
    {"jobs"},
    {"api"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
PURE = {"errors", "canonical", "resources", "attestation"}
NOUNS = ("checkpoint", "edge", "equivocation", "keys", "merkle", "note", "policy", "proof", "tiles")
LEDGER_NOUNS = {"ledger", *(f"ledger.{noun}" for noun in NOUNS)}
BUNDLE_NOUNS = {"release", "release.bundle", "release.card", "release.manifest"}
DATABASE = {"alembic", "sqlalchemy", "sqlmodel"}
WEB = {"fastapi", "jinja2", "starlette", "uvicorn"}
SERVER_ONLY = DATABASE | WEB | {"cedarpy", "dbos", "pydantic", "pydantic_settings"}
HEAVY = SERVER_ONLY | {"datasets", "numpy", "pyarrow", "torch", "transformers", "trl", "weasyprint"}


def _layer(name: str) -> int:
    top = source_tree.top_of(name)
    assert top in LAYER_OF, f"{top} has no place in the layers of tests/test_tree.py"
    return LAYER_OF[top]


def _names(modules: list[Module]) -> list[str]:
    return [module.name for module in modules]


@pytest.mark.parametrize("module", MODULES[1:], ids=_names(MODULES[1:]))  # the first is provenance/__init__.py
def test_imports_run_one_way(module: Module) -> None:
    later = {name for name in module.imports_at_all if _layer(name) > _layer(module.name)}
    if module.name == "verify":  # beside the ground, so that every stage may call it; of a release it knows the nouns
        later -= BUNDLE_NOUNS
    assert not later, f"{module.name} imports later stages: {later}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module.name: module.imports for module in MODULES}
    assert source_tree.find_circle(graph) is None


def test_the_nouns_of_the_ledger_know_no_database() -> None:
    for module in (module for module in MODULES if module.top == "attestation" or module.name in LEDGER_NOUNS):
        assert not {source_tree.top_of(name) for name in module.imports_at_all} & {"store", "settings"}, module.name
        assert not set(module.foreign) & (SERVER_ONLY | {"httpx"}), f"{module.name} imports {module.foreign}"


def test_the_store_knows_of_the_ledger_only_its_nouns() -> None:
    for module in (module for module in MODULES if module.top == "store"):
        verbs = {name for name in module.imports_at_all if source_tree.top_of(name) == "ledger"} - LEDGER_NOUNS
        assert not verbs, f"{module.name} imports {verbs}"


def test_an_auditor_can_read_the_verifier_alone() -> None:
    verifier = next(module for module in MODULES if module.name == "verify")
    others = [name for name in verifier.imports_at_all if source_tree.top_of(name) not in PURE]
    assert set(others) <= LEDGER_NOUNS | BUNDLE_NOUNS


@pytest.mark.parametrize("entry", ["verify", "client"])
def test_what_an_auditor_or_a_pipeline_loads_is_no_server_code(entry: str) -> None:
    reached = source_tree.reach(MODULES, entry)
    assert reached, f"provenance/{entry} was not found"
    for module in reached:
        assert module.top in PURE | {"ledger", "release", "verify", entry}, f"{entry} loads {module.name}"
        assert not set(module.foreign_at_import) & HEAVY, f"{entry} loads {module.name}: {module.foreign_at_import}"


def test_importing_provenance_is_light() -> None:
    program = (
        "import sys, time; start = time.perf_counter(); import provenance; "
        "print(f'{time.perf_counter() - start:.3f} s', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    seconds, _unit, *loaded = done.stdout.split()
    print(f"import provenance: {seconds} s")
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("module", MODULES, ids=_names(MODULES))
def test_a_module_says_what_stands_in_it(module: Module) -> None:
    assert module.docstring or module.is_bare_package, f"{module.path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("path", source_tree.list_files(".py"), ids=source_tree.relative)
def test_a_file_holds_one_thing(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= MAX_LINES, f"{lines} lines: split it by sub-noun or by verb"


def _one_of(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


# Written so that this file does not match itself.
OF_ONE_MACHINE = _one_of(r"[/](work|farm|root)[/]", r"[.]library\b", r"[/]opt[/](pypi|wheels)")
OF_ONE_REGISTRY = _one_of(r"index[-]url", r"find[-]links", r"pypi[.]org", r"pythonhosted[.]org", r"npmjs[.](org|com)")
LEFT_UNDONE = _one_of(r"\bTO[D]O\b", r"\bFIX[M]E\b", r"\bX[X]X\b", r"\bx[f]ail\b", r"raise NotImplemented[E]rror")


@pytest.mark.parametrize("path", source_tree.list_files(), ids=source_tree.relative)
def test_nothing_of_one_machine_or_one_registry_is_committed(path: Path) -> None:
    text = path.read_text(errors="replace")
    for pattern in (OF_ONE_MACHINE, OF_ONE_REGISTRY):
        found = pattern.search(text)
        assert not found, f"{source_tree.where(path, text, found)}"


@pytest.mark.parametrize("path", source_tree.list_files(".py"), ids=source_tree.relative)
def test_nothing_is_left_undone_and_no_check_is_silenced_without_a_reason(path: Path) -> None:
    text = path.read_text()
    undone = LEFT_UNDONE.search(text)
    assert not undone, source_tree.where(path, text, undone)
    for silenced in source_tree.list_silenced(text):
        assert silenced.reason, f"{source_tree.relative(path)}:{silenced.line}: {silenced.comment!r} gives no reason"


def test_what_is_imported_is_declared() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in _requirements()}
    for module in MODULES:
        for name in module.foreign:
            assert source_tree.distributions_of(name) & declared, f"{module.name} imports {name}: declare it"


def test_the_lock_pins_all_that_is_declared_and_names_no_source() -> None:
    pins = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines())
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[0-9][0-9a-z.]*", pins[name]) for name in pins)
    for requirement in _requirements():
        pinned = pins.get(canonicalize_name(requirement.name))
        assert pinned, f"{requirement} is not in requirements.lock: make lock"
        assert pinned in requirement.specifier, f"{requirement} is pinned to {pinned}: make lock"


def _requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    return [Requirement(line) for lines in lists for line in lines]


def test_each_setting_stands_in_the_readme_and_the_readme_invents_none() -> None:
    from provenance.settings import Settings

    read_by_the_client = {"PROVENANCE_URL", "PROVENANCE_TOKEN"}
    settings = {f"PROVENANCE_{name.upper()}" for name in Settings.model_fields} | read_by_the_client
    rows = re.findall(r"^\| `(PROVENANCE_[A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(settings)


def test_each_code_that_a_command_may_end_with_stands_in_the_readme() -> None:
    from provenance import errors

    rows = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    codes = {kind.exit_code for kind in classes if issubclass(kind, errors.ProvenanceError)}
    assert codes <= {int(row) for row in rows}


def test_the_package_has_one_version() -> None:
    import provenance

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert provenance.__version__ == project["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_make_help_names_each_target_of_the_contract() -> None:
    done = subprocess.run(["make", "help"], check=True, capture_output=True, text=True, cwd=ROOT)
    for target in ("demo", "test", "check", "serve", "bench", "help"):
        assert re.search(rf"^  {target} ", done.stdout, re.MULTILINE)


def test_the_package_is_where_the_layers_say() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found - {"__init__", "__main__"} <= set(LAYER_OF)


@pytest.mark.parametrize("document", ["README.md", "DECISIONS.md", "CHANGELOG.md"])
def test_what_a_document_points_to_is_there(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text())
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_the_rules_above_see_what_they_look_for() -> None:
    assert source_tree.find_circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert source_tree.find_circle({"a": ["b", "c"], "b": ["c"], "c": []}) is None
    silenced = source_tree.list_silenced("a = 1  # type: ignore[misc]\nb = 2  # noqa: E741  # the paper's letter\n")
    assert [found.reason for found in silenced] == ["", "the paper's letter"]
    assert OF_ONE_MACHINE.search("/" + "work/main")
    assert OF_ONE_REGISTRY.search("--index" + "-url")
    assert LEFT_UNDONE.search("# TO" + "DO: later")


def test_the_reader_of_modules_tells_imports_apart() -> None:
    path = PACKAGE / "ledger" / "made_up.py"
    module = source_tree.read_module(
        path,
        "import torch\nfrom typing import TYPE_CHECKING\nfrom provenance.ledger import merkle\n"
        "if TYPE_CHECKING:\n    from provenance.store.tables import Entry\n"
        "def f():\n    import numpy\n    from provenance.ledger.note import open_note\n",
        {"ledger.merkle", "ledger.note", "store.tables"},
    )
    assert module.name == "ledger.made_up"
    assert module.imports == ("ledger.merkle",)
    assert module.imports_at_all == ("ledger.merkle", "ledger.note", "store.tables")
    assert (module.foreign_at_import, module.foreign) == (("torch",), ("numpy", "torch"))
    assert not module.docstring
