"""The template file: ids and tags as they were written, and a bad file is a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provenance.errors import MalformedError, NotFoundError
from provenance.report.templates import get_template, load_templates

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "report_templates.yaml"


def test_the_template_asks_the_three_questions_in_six_sections() -> None:
    template = get_template("ownership-and-legality")
    assert len(template.questions) == 3
    assert [section.id for section in template.sections] == ["1", "2", "3", "4", "5", "6"]
    assert {field.verified for section in template.sections for field in section.fields} == {"T-P", "T-S", "F"}
    assert next(item.value for item in template.thresholds if item.id == "EU-GL/1") == 1e23


def test_the_template_says_what_the_reference_says() -> None:
    if not REFERENCE.exists():
        pytest.skip(f"the reference templates are not beside the project: {REFERENCE.name}")
    reference = next(
        report
        for report in yaml.safe_load(REFERENCE.read_text())["reports"]
        if report["id"] == "ownership-and-legality"
    )
    ours = [
        (field.id, field.label, field.type, field.required, field.derivation, field.verified)
        for section in get_template("ownership-and-legality").sections
        for field in section.fields
    ]
    theirs = [
        tuple(field[name] for name in ("id", "label", "type", "required", "derivation", "verified"))
        for section in reference["sections"]
        for field in section["fields"]
    ]
    assert ours == theirs


def test_an_unknown_kind_names_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match="ownership-and-legality"):
        get_template("no-such-report")


@pytest.mark.parametrize("text", ["", "reports: [", "reports: [{id: a}]", "[]"])
def test_a_file_that_is_no_template_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(text)
    with pytest.raises(MalformedError, match=r"templates\.yaml"):
        load_templates(path)
