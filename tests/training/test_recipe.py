from __future__ import annotations

from typing import Any

import pytest

from provenance.errors import MalformedError, UnavailableError
from provenance.training.recipe import RecipeConfig, check_recipe, format_config, parse_config


def test_no_settings_are_the_defaults() -> None:
    assert parse_config(None) == parse_config({}) == RecipeConfig()


def test_a_written_configuration_reads_back_the_same() -> None:
    config = parse_config({"layers": [0, 3, 5], "epochs": 2, "lora": {"rank": 4, "target_modules": ["q_proj"]}})
    assert parse_config(format_config(config)) == config
    assert config.layers == [0, 3, 5]
    assert config.epochs == 2.0


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("learnig_rate", {"learnig_rate": 1e-3}),
        ("lora.rang", {"lora": {"rang": 4}}),
        ("batch_size", {"batch_size": "8"}),
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


def test_recipes_of_the_contract_that_are_not_built_are_refused_as_such() -> None:
    check_recipe("sft")
    for name in ("kd", "on-policy"):
        with pytest.raises(UnavailableError, match="not built yet"):
            check_recipe(name)
    with pytest.raises(MalformedError) as caught:
        check_recipe("rlhf")
    assert caught.value.errors[0].field == "recipe"
