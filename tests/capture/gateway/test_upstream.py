from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provenance.capture.upstream import load_upstreams
from provenance.errors import MalformedError
from tests.capture.gateway.parts import NOW, TEACHER, write_file


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_url": "file:///etc/passwd"}, "upstreams[0].base_url"),
        ({"base_url": "http://user:secret@host/v1"}, "upstreams[0].base_url"),
        ({"base_url": "http://host/v1?x=1"}, "upstreams[0].base_url"),
        ({"api_key": "sk-pasted-here"}, "upstreams[0].api_key"),
        ({"model": "two words"}, "upstreams[0].model"),
        ({"teacher": TEACHER | {"provider": "Small Co"}}, "upstreams[0].teacher.provider"),
        ({"teacher": TEACHER | {"route": "pigeon"}}, "upstreams[0].teacher.route"),
        ({"generated_in": "Utopia"}, "upstreams[0].generated_in"),
        ({"retries": 3}, "upstreams[0]"),
    ],
)  # fmt: skip
def test_a_bad_file_names_the_field(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    path = write_file(tmp_path, **({"base_url": "http://host/v1"} | fields))
    with pytest.raises(MalformedError) as caught:
        load_upstreams(path, now=NOW)
    assert caught.value.errors[0].field == field
    assert "sk-pasted" not in caught.value.detail
