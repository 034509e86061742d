"""The notice that goes with a release (`NOTICE.md`): whose documents reach its samples, and what each of them asks for.

Values in, values out. It repeats what the decision found; the words of the documents stand at their sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOTICE = "NOTICE.md"


def format_notice(manifest: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> str:
    """The notice of a release; `documents` are those that bind the released samples, as a decision names them."""
    lines = [
        f"# Notice for release {manifest['name']}@{manifest['version']}",
        "",
        "Pass this file on with the data, and with what is made of it as far as the conditions below say so.",
        "",
        "## Terms and licences that reach these samples",
        "",
        *(_document_line(document) for document in sorted(documents, key=lambda item: str(item["id"]))),
        *([] if documents else ["None on record."]),
        "",
        "## What they ask for",
        "",
        *(
            f"- {item['requirement']} ({item['document']}, {item['clause'] or 'no clause on record'}; "
            f"{item['type']}, {item['status']} by the student as declared)"
            for item in manifest["conditions"]
        ),
        *([] if manifest["conditions"] else ["Nothing on record."]),
        "",
        "This is what the recorded rules say, in our reading. It is not legal advice.",
        "",
    ]
    return "\n".join(lines)


def _document_line(document: Mapping[str, Any]) -> str:
    version = document["version"] or "unknown"
    return (
        f"- **{document['title']}**, version {version}, of {document['provider']} "
        f"(`{document['id']}`, our record of it has the digest `{document['digest']}`)"
    )
