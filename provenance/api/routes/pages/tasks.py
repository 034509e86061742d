"""What waits for a person: out of the newest releases, the decisions on them, and the jobs. The oldest stands first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provenance.api.pages import Asked
from provenance.api.routes.pages.decisions import stands_against
from provenance.api.routes.pages.filters import UNDECIDED
from provenance.api.routes.pages.releases import find_creation, list_classes
from provenance.api.views.common import Link
from provenance.api.views.overview import Task
from provenance.recall.show import summarise_recall
from provenance.report.formats import format_count
from provenance.store.approvals import AWAITING
from provenance.store.erasures import REQUESTED, list_erasures
from provenance.store.pages import list_failed_jobs
from provenance.store.recalls import list_recalls
from provenance.store.releases import TAKEN, list_releases
from provenance.store.runs import find_attempt, run_of_job
from provenance.store.tables import Job

JOB_PAGES = {"release": "releases", "run": "runs", "report": "reports", "erasure": "erasures", "recall": "recalls"}
Release = Mapping[str, Any]


def list_tasks(asked: Asked, undecided: int) -> list[Task]:
    """Everything that waits, the oldest first; what has no date comes last."""
    tasks = [
        task for release in newest_versions(list_releases(asked.session)) for task in _release_tasks(asked, release)
    ]
    tasks += [_job_task(job) for job in list_failed_jobs(asked.session) if _still_stands(asked, job)]
    tasks += [_erasure_task(item) for item in list_erasures(asked.session) if item["state"] == REQUESTED]
    tasks += [
        _recall_task(summarise_recall(item)) for item in list_recalls(asked.session) if item.recall.state == "open"
    ]
    tasks.sort(key=lambda task: str(task.since))
    if undecided:
        text = f"{format_count(undecided, 'sample')} without a decision"
        detail = "no decision covers their facts; a release makes one"
        tasks.append(Task(UNDECIDED, text, detail, None, Link("See them", f"/samples?verdict={UNDECIDED}")))
    return tasks


def newest_versions(releases: list[dict[str, Any]]) -> list[Release]:
    """The newest version of each release: an older one no longer waits for anybody."""
    newest: dict[str, Release] = {}
    for release in releases:
        before = newest.get(release["name"])
        if before is None or before["version"] < release["version"]:
            newest[release["name"]] = release
    return list(newest.values())


def _release_tasks(asked: Asked, release: Release) -> Iterator[Task]:
    if release["state"] in TAKEN:
        return  # nobody waits for what is not given out any more
    name, counts, since = f"{release['name']}@{release['version']}", release["counts"], find_creation(asked, release)
    classes = list_classes(asked, release)
    if release["state"] == "blocked":
        text, why = f"Release {name} is blocked", _first_reason(classes)
        yield Task("blocked", text, why, since, Link("See why", f"/decisions/{release['decision']['id']}"))
    approval = release["approval"]
    if approval and approval["state"] == AWAITING:
        why = "; ".join(rule["title"] for rule in approval["rules"])
        detail = f"asked for by {approval['requested_by']}: {why}; another person must approve it"
        yield Task(
            "awaiting", f"Release {name} awaits approval", detail, since, Link("Look at it", f"/releases/{name}")
        )
    if release["state"] != "blocked" and counts["quarantined"]:
        text = f"{format_count(counts['quarantined'], 'sample')} of {name} quarantined"
        act = Link("See what would unblock them", f"/decisions/{release['decision']['id']}")
        yield Task("quarantined", text, _first_reason(classes), since, act)
    unmet = [item for item in release["conditions"] if item["status"] == "unmet"]
    if unmet:
        text = f"{name} carries {format_count(len(unmet), 'unmet condition')}"
        asks = "; ".join(f"{item['requirement']} ({item['document']})" for item in unmet)
        detail = f"Bars publishing and serving, not training: {asks}"
        yield Task("unmet", text, detail, since, Link("See the conditions", f"/releases/{name}#conditions"))
    yield from _unread_terms(classes, name, since)


def _unread_terms(classes: list[dict[str, Any]], name: str, since: str) -> Iterator[Task]:
    documents = {
        item["id"]: item["title"] for each in classes for item in each["answer"]["documents"] if not item["verified"]
    }
    for identifier, title in documents.items():
        text = f"Nobody read the text of {title}"
        detail = f"it binds samples of {name}; a permission that was not read allows nothing"
        yield Task("not-verified", text, detail, since, Link("See what is on record", f"/terms/{identifier}"))


def _first_reason(classes: list[dict[str, Any]]) -> str:
    """The first rule that held samples back, whose text names document and clause."""
    held = (
        (item["facts"]["teacher"], reason)
        for item in classes
        for reason in item["answer"]["reasons"]
        if stands_against(reason)
    )
    for teacher, reason in held:
        return f"{teacher['provider']}/{teacher['model']}: {reason['text'].rstrip('.')}"
    return "no rule permits it"


def _still_stands(asked: Asked, job: Job) -> bool:
    """Not where it is an attempt of a run that was resumed since."""
    newest = find_attempt(asked.session, run_of_job(job.id)) if job.kind == "run" else None
    return newest is None or newest.id == job.id


def _job_task(job: Job) -> Task:
    detail = (job.error or {}).get("detail", "no reason was recorded")
    subject = job.request.get("erasure", run_of_job(job.id))  # an erasure and a run may take several jobs
    text = f"{job.kind.capitalize()} {subject} failed"
    return Task("failed", text, detail, job.updated_at, Link("Open it", f"/{JOB_PAGES[job.kind]}/{subject}"))


def _erasure_task(erasure: Mapping[str, Any]) -> Task:
    text = f"{format_count(erasure['count'], 'sample')} wait to be erased"
    detail = f"asked for by {erasure['requester']}: {erasure['reason']}; another person must approve it"
    return Task("requested", text, detail, erasure["requested_at"], Link("Look at it", f"/erasures/{erasure['id']}"))


def _recall_task(recall: Mapping[str, Any]) -> Task:
    text = f"Recall of {recall['source_text']} is open, {recall['acts_settled']} of {recall['acts_total']} acts settled"
    detail = f"opened by {recall['opened_by']}: {recall['reason'].rstrip('.')}; another person must close it"
    return Task("recall-open", text, detail, recall["opened_at"], Link("Continue", f"/recalls/{recall['id']}"))
