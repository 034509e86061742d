from __future__ import annotations

from typing import Any

import pytest

from provenance.errors import MalformedError
from provenance.training.recipe import (
    RECIPES,
    OnPolicyConfig,
    RecipeConfig,
    TeacherConfig,
    check_recipe,
    format_config,
    parse_config,
    settle_config,
)


def test_no_settings_are_the_defaults() -> None:
    assert parse_config(None) == parse_config({}) == RecipeConfig()


def test_a_written_configuration_reads_back_the_same() -> None:
    config = parse_config(
        {"layers": [0, 3, 5], "epochs": 2, "lora": {"rank": 4, "target_modules": ["q_proj"]}, "report_to": ["wandb"]}
    )
    assert parse_config(format_config(config)) == config
    assert config.layers == [0, 3, 5]
    assert config.epochs == 2.0


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("learnig_rate", {"learnig_rate": 1e-3}),
        ("lora.rang", {"lora": {"rang": 4}}),
        ("batch_size", {"batch_size": "8"}),
        ("report_to", {"report_to": ["tensorflow"]}),
        ("report_to", {"report_to": ["wandb", "wandb"]}),
        ("report_to", {"report_to": "wandb"}),
        ("batch_size", {"batch_size": 0}),
        ("batch_size", {"batch_size": True}),
        ("learning_rate", {"learning_rate": 2.0}),
        ("learning_rate", {"learning_rate": float("nan")}),
        ("max_length", {"max_length": 1.5}),
        ("layers", {"layers": 0}),
        ("layers", {"layers": [3, 1]}),
        ("layers", {"layers": []}),
        ("layers", {"student": "scratch", "layers": [0, 1]}),
        ("student", {"student": "big"}),
        ("lora.rank", {"lora": {"rank": 0}}),
        ("config", ["epochs"]),
        ("packing", {"packing": "yes"}),
        ("teacher", {"teacher": "deepseek/deepseek-r1"}),
        ("teacher.tempreature", {"teacher": {"tempreature": 1.0}}),
        ("teacher.temperature", {"teacher": {"temperature": 0}}),
        ("teacher.temperature", {"teacher": {"temperature": "hot"}}),
        ("teacher.beta", {"teacher": {"beta": 1}}),
        ("teacher.alpha", {"teacher": {"alpha": 1.5}}),
        ("teacher.top_k", {"teacher": {"top_k": 0}}),
        ("teacher.divergence", {"teacher": {"divergence": "kl"}}),
        ("on_policy.share", {"on_policy": {"share": 2}}),
        ("on_policy.round_steps", {"on_policy": {"round_steps": 0}}),
        ("on_policy.patience_seconds", {"on_policy": {"patience_seconds": 0}}),
    ],
)
def test_a_bad_setting_is_named_with_value_and_expectation(field: str, body: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_config(body)
    errors = {error.field: error for error in caught.value.errors}
    assert field in errors
    assert errors[field].expected
    assert field in caught.value.detail


def test_two_bad_settings_are_told_at_once() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_config({"batch_size": 0, "weight_decay": 5})
    assert {error.field for error in caught.value.errors} == {"batch_size", "weight_decay"}


def test_a_recipe_that_does_not_exist_is_refused() -> None:
    for name in RECIPES:
        check_recipe(name)
    with pytest.raises(MalformedError) as caught:
        check_recipe("rlhf")
    assert caught.value.errors[0].field == "recipe"


def test_a_recipe_writes_out_its_own_defaults() -> None:
    assert settle_config("sft", RecipeConfig()) == RecipeConfig()
    kd = settle_config("kd", RecipeConfig())
    assert kd.teacher == TeacherConfig(alpha=0.5)
    assert kd.on_policy is None
    own = settle_config("on-policy", parse_config({"teacher": {"divergence": "reverse-kl"}}))
    assert own.teacher == TeacherConfig(divergence="reverse-kl", alpha=0.0)
    assert own.on_policy == OnPolicyConfig()
    for recipe in RECIPES:
        settled = settle_config(recipe, RecipeConfig())
        assert settle_config(recipe, parse_config(format_config(settled))) == settled


@pytest.mark.parametrize(
    ("recipe", "field", "body"),
    [
        ("sft", "teacher", {"teacher": {}}),
        ("sft", "on_policy", {"on_policy": {}}),
        ("kd", "on_policy", {"on_policy": {}}),
        ("kd", "student", {"student": "scratch"}),
        ("on-policy", "student", {"student": "scratch"}),
        ("on-policy", "teacher.alpha", {"teacher": {"alpha": 0.5}}),
        ("on-policy", "packing", {"packing": True}),
        ("on-policy", "save_steps", {"save_steps": 5, "on_policy": {"round_steps": 2}}),
    ],
)
def test_settings_of_another_recipe_are_refused(recipe: str, field: str, body: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        settle_config(recipe, parse_config(body))
    assert [error.field for error in caught.value.errors] == [field]
