"""What may go out goes out whole, signed and logged once; what may not leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from provenance.attestation.model_signature import open_model_signature
from provenance.client.client import Client
from provenance.errors import ConflictError, DeniedError, DigestMismatchError, MalformedError
from provenance.publication import publish as module
from provenance.publication.publish import find_file, publish_model
from provenance.training.files import list_files
from provenance.training.launch import model_folder
from provenance.verify import verify
from tests.finished import finish
from tests.publication.conftest import GEMMA
from tests.service import STUDENT, LocalService, make_samples

URL = "/api/v1/models"


def publish(shop: LocalService, model: str, **more: Any) -> dict[str, Any]:
    return publish_model(shop.runtime, model, actor="ann", **({"texts": {}} | more))


def gems(dataset: str) -> list[dict[str, Any]]:
    samples = make_samples(apache=4, openai=0, llama=0, dataset=dataset)
    return samples + [{**item, "teacher": GEMMA, "external_id": f"{item['external_id']}-gem"} for item in samples]


def gather(shop: LocalService, said: dict[str, Any], folder: Path) -> Path:
    """The files of a publication, as a client brings them together."""
    for item in (*said["files"], said["signature"]):
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shop.client.get(f"{URL}/{said['model']}/publications/{said['id']}/{item['path']}").content)
    return folder


def test_an_unmet_condition_blocks_and_names_what_would_help(shop: LocalService) -> None:
    size = shop.log_size()
    with pytest.raises(DeniedError) as caught:
        publish(shop, "mdl_llama")
    assert caught.value.code == "publication-not-allowed"
    assert 'unmet: Begin the model\'s name with "Llama"' in caught.value.detail
    assert 'what would help: Rename the student to "Llama-acme-tutor"' in caught.value.detail
    assert caught.value.decision is not None
    assert caught.value.decision["verdict"] == "deny"
    assert (shop.log_size(), list((shop.data_dir / "published").glob("pub_*"))) == (size, [])


def test_an_unknown_condition_blocks_too(shop: LocalService) -> None:
    shop.capture(gems("maybe"))
    student = shop.declare(name="acme-maybe", release_license="Gemma Terms of Use", notices="unknown")
    shop.release(student, "maybe", dataset="maybe")
    assert finish(shop.runtime, "run_maybe", release="maybe@1", student=student) == "mdl_maybe"
    with pytest.raises(DeniedError) as caught:
        publish(shop, "mdl_maybe")
    assert caught.value.decision is not None
    assert (caught.value.decision["verdict"], "unknown: " in caught.value.detail) == ("review", True)


def test_a_name_that_meets_the_condition_is_published_whole_and_once(shop: LocalService, target: Path) -> None:
    said = publish(shop, "mdl_llama", name="Llama-acme-tutor")
    folder = gather(shop, said, target)
    ring = shop.runtime.ring
    signed = open_model_signature((folder / "model.sig").read_bytes(), ring.signer("model").public_key)
    assert signed.files == {item["path"]: item["digest"] for item in said["files"]}
    assert {item["path"]: item["digest"] for item in list_files(folder)} == {
        **signed.files,
        "model.sig": said["signature"]["digest"],
    }
    assert signed.files.keys() == {
        "LICENSE", "NOTICE", "README.md", "config.json", "evidence.zip", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    assert verify(folder / "evidence.zip").ok
    size = shop.log_size()
    assert publish(shop, "mdl_llama", name="Llama-acme-tutor") == said | {"replayed": True}
    assert shop.log_size() == size
    entry = shop.get(f"/api/v1/log/lookup/publication/{said['id']}")
    assert entry["index"] == said["entry"]
    other = publish(shop, "mdl_llama", name="Llama-acme-tutor-2")
    assert other["id"] != said["id"]
    listed = shop.get(f"{URL}/mdl_llama/publications")["publications"]
    assert [item["name"] for item in listed] == ["Llama-acme-tutor-2", "Llama-acme-tutor"]


def test_a_crash_before_the_statement_leaves_nothing_that_counts(
    shop: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = shop.log_size()
    monkeypatch.setattr(module, "_predicate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        publish(shop, "mdl_free", name="acme-crash")
    monkeypatch.undo()
    assert shop.log_size() == size
    said = publish(shop, "mdl_free", name="acme-crash")
    assert (said["replayed"], shop.log_size()) == (False, size + 1)
    path = find_file(shop.runtime, said, "model.sig")
    assert open_model_signature(path.read_bytes(), shop.runtime.ring.signer("model").public_key).name == "acme-crash"


def test_a_publication_whose_papers_are_gone_says_so_and_is_not_signed_again(shop: LocalService) -> None:
    said = publish(shop, "mdl_free", name="acme-lost")
    (shop.data_dir / "published" / said["id"] / "NOTICE").unlink()
    with pytest.raises(ConflictError, match="not whole"):
        publish(shop, "mdl_free", name="acme-lost")


def test_weights_that_were_altered_do_not_go_out(shop: LocalService) -> None:
    path = model_folder(shop.runtime, "run_free") / "config.json"
    data = path.read_bytes()
    path.write_bytes(data + b" ")
    try:
        with pytest.raises(DigestMismatchError, match=r"config\.json"):
            publish(shop, "mdl_free", name="acme-altered")
    finally:
        path.write_bytes(data)


def test_a_paper_s_name_in_the_model_s_own_folder_is_no_paper(shop: LocalService) -> None:
    folder = model_folder(shop.runtime, "run_own")
    folder.mkdir(parents=True)
    (folder / "NOTICE").write_text("do as you like")
    assert finish(shop.runtime, "run_own", release="free@1") == "mdl_own"
    with pytest.raises(ConflictError, match="holds NOTICE"):
        publish(shop, "mdl_own")


def test_a_licence_that_asks_for_a_copy_gets_it_or_nothing_goes_out(shop: LocalService, target: Path) -> None:
    shop.capture(gems("gems"))
    student = shop.declare(name="acme-gem", release_license="Gemma Terms of Use")
    shop.release(student, "gems", dataset="gems")
    assert finish(shop.runtime, "run_gem", release="gems@1", student=student) == "mdl_gem"
    with pytest.raises(DeniedError) as caught:
        publish(shop, "mdl_gem")
    assert "licence" in caught.value.detail
    notices = ["Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"]
    with pytest.raises(MalformedError) as refused:
        publish(shop, "mdl_gem", notices=notices)
    (error,) = refused.value.errors
    assert (error.field.startswith("texts.google-gemma"), error.expected) == (
        True,
        "its text: a condition asks for a copy",
    )
    document = error.field.removeprefix("texts.")
    with pytest.raises(MalformedError, match=r"texts\.nobody"):
        publish(shop, "mdl_gem", notices=notices, texts={document: "Gemma Terms of Use", "nobody": "x"})
    said = publish(shop, "mdl_gem", notices=notices, texts={document: "Gemma Terms of Use\nthe whole of it\n"})
    folder = gather(shop, said, target)
    assert (folder / "licenses" / f"{document}.txt").read_text() == "Gemma Terms of Use\nthe whole of it\n"
    assert notices[0] in (folder / "NOTICE").read_text()


def test_what_is_asked_for_is_checked_before_anything_is_written(shop: LocalService) -> None:
    size = shop.log_size()
    bad: list[tuple[str, dict[str, Any]]] = [
        ("name", {"name": "a b"}),
        ("name", {"name": "../up"}),
        ("name", {"name": ""}),
        ("notices", {"notices": [" "]}),
        ("notices", {"notices": ["a\nb"]}),
        ("notices", {"notices": ["x"] * 33}),
        ("texts.LICENSE", {"texts": {"LICENSE": ""}}),
        ("texts.none", {"texts": {"none": "text"}}),
    ]
    for field, body in bad:
        problem = shop.post(f"{URL}/mdl_free/publish", body, expect=422)
        assert problem["errors"][0]["field"] == field
    registered = shop.post(URL, {"provider": "acme", "name": "elsewhere", "kind": "hosted"}, expect=201)["id"]
    assert shop.post(f"{URL}/{registered}/publish", {}, expect=422)["errors"][0]["field"] == "model"
    assert shop.post(f"{URL}/none/publish", {}, expect=404)["code"] == "not-found"
    assert shop.log_size() == size + 1


def test_the_route_answers_once_for_a_key_and_refuses_with_the_decision(shop: LocalService) -> None:
    headers = {"Idempotency-Key": "publish-1"}
    first = shop.post(f"{URL}/mdl_free/publish", {"name": "acme-key"}, expect=201, headers=headers)
    again = shop.post(f"{URL}/mdl_free/publish", {"name": "acme-key"}, expect=201, headers=headers)
    assert again == first | {"replayed": True}
    shop.post(f"{URL}/mdl_free/publish", {"name": "other"}, expect=409, headers=headers)
    problem = shop.post(f"{URL}/mdl_llama/publish", {}, expect=409)
    assert (problem["code"], problem["decision"]["verdict"]) == ("publication-not-allowed", "deny")
    reader = shop.as_role("auditor")
    assert shop.client.post(f"{URL}/mdl_free/publish", json={}, headers=reader).status_code == 403
    where = f"{URL}/mdl_free/publications/{first['id']}"
    for path in ("../../keys/keys.json", "%2e%2e/x", "none", "model.safetensors/x"):
        assert shop.client.get(f"{where}/{path}").status_code == 404
    assert shop.client.get(f"{URL}/mdl_llama/publications/{first['id']}/NOTICE").status_code == 404


def test_what_was_taken_back_does_not_go_out_and_what_went_out_is_not_handed_on(shop: LocalService) -> None:
    shop.capture(make_samples(apache=6, openai=0, llama=0, dataset="taken"))
    student = shop.declare(name="acme-taken")
    shop.release(student, "taken", dataset="taken")
    assert finish(shop.runtime, "run_taken", release="taken@1", student=student) == "mdl_taken"
    said = publish(shop, "mdl_taken")
    where = f"{URL}/mdl_taken/publications/{said['id']}/model.safetensors"
    assert shop.client.get(where).status_code == 200
    shop.post("/api/v1/releases/taken@1/withdraw", {"reason": "a mistake"}, expect=201)
    for name in ("acme-taken", "acme-taken-2"):
        with pytest.raises(DeniedError, match="withdrawn"):
            publish(shop, "mdl_taken", name=name)
    assert shop.client.get(where).status_code == 409
    body = {"source": {"kind": "model", "id": "mdl_free"}, "reason": "it copied a book"}
    recall = shop.client.post("/api/v1/recalls", json=body, headers=shop.as_role("compliance"))
    assert recall.status_code == 201, recall.text
    with pytest.raises(DeniedError, match=f"recall {recall.json()['id']}"):
        publish(shop, "mdl_free", name="acme-recalled")


def test_declared_facts_are_not_changed_by_a_publication(shop: LocalService) -> None:
    shop.capture(make_samples(apache=6, openai=0, llama=0, dataset="still"))
    student = shop.declare(name="acme-still")
    shop.release(student, "still", dataset="still")
    finish(shop.runtime, "run_still", release="still@1", student=student)
    publish(shop, "mdl_still", name="acme-other", notices=["Made by acme."])
    assert shop.get(f"/api/v1/students/{student}")["facts"] == STUDENT | {"name": "acme-still"}
    assert shop.get(f"{URL}/mdl_still")["name"] == "acme-still"


def test_the_client_brings_it_into_a_folder_and_leaves_what_is_there(shop: LocalService, target: Path) -> None:
    from provenance.client.model import check_target, fetch_publication

    said = shop.get(f"{URL}/mdl_llama/publications")["publications"][0]
    client = Client("http://127.0.0.1:1")
    client._http = shop.client
    for _ in range(2):
        check_target(target)
        fetch_publication(client, said, target)
    (target / "README.md").write_text("changed")
    fetch_publication(client, said, target)
    assert "changed" not in (target / "README.md").read_text()
    (target / "more.bin").write_bytes(b"x")
    with pytest.raises(ConflictError, match=r"more\.bin"):
        fetch_publication(client, said, target)
    full = target.parent / "full"
    shutil.copytree(target, full)
    (full / "model.sig").unlink()
    with pytest.raises(ConflictError):
        check_target(full)
    with pytest.raises(MalformedError, match="cannot be named"):
        fetch_publication(
            client, said | {"files": [{"path": "../up", "digest": "x", "size_bytes": 1}]}, target.parent / "new"
        )


def test_a_report_says_under_which_names_the_model_went_out_and_what_came_later_is_not_in_it(
    shop: LocalService,
) -> None:
    shop.capture(make_samples(apache=6, openai=0, llama=0, dataset="told"))
    student = shop.declare(name="acme-told")
    shop.release(student, "told", dataset="told")
    finish(shop.runtime, "run_told", release="told@1", student=student)
    publish(shop, "mdl_told", name="acme-first")
    size = shop.log_size()
    publish(shop, "mdl_told", name="acme-second")
    told = {}
    for at in (size, shop.log_size()):
        done = shop.report("told@1", at=at)
        assert done["state"] == "done"
        told[at] = shop.client.get(f"/api/v1/reports/{done['id']}.html").text
    assert all("was published from this record as acme-first" in text for text in told.values())
    assert ["acme-second" in told[at] for at in sorted(told)] == [False, True]
