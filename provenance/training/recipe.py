"""The recipe's configuration: every field with its range, checked before anything starts.

- An unknown key, a wrong type or a value out of range is an error that names field, value and expectation; nothing is guessed.
- `sft` (supervised fine-tuning on released text) runs. `kd` and `on-policy` are words of the contract that this version refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from provenance.errors import FieldError, MalformedError, UnavailableError

RECIPES: Final = ("sft", "kd", "on-policy")
BUILT: Final = ("sft",)


class LoraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Low-rank adapters instead of all weights; merged into the weights at the end."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class RecipeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run's settings; the defaults are the demo's, sized for 2 CPU cores."""

    student: str = "cut"
    layers: int | list[int] = 6
    common_tokens: int = 8192
    freeze_embeddings: bool = True
    hidden: int = 256
    epochs: float = 2.0
    max_steps: int | None = None
    batch_size: int = 4
    gradient_accumulation: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    max_length: int = 512
    save_steps: int = 20
    log_steps: int = 1
    lora: LoraConfig | None = None
    test_samples: int = 32
    sample_generations: int = 3


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "common_tokens": (0, 1_000_000),
    "hidden": (64, 65_536),
    "epochs": (0.01, 1000),
    "max_steps": (1, 10_000_000),
    "batch_size": (1, 4096),
    "gradient_accumulation": (1, 4096),
    "learning_rate": (1e-8, 1.0),
    "weight_decay": (0, 1),
    "warmup_share": (0, 0.9),
    "max_length": (8, 1_048_576),
    "save_steps": (1, 1_000_000),
    "log_steps": (1, 10_000),
    "test_samples": (1, 100_000),
    "sample_generations": (0, 100),
    "lora.rank": (1, 1024),
    "lora.alpha": (1, 4096),
    "lora.dropout": (0, 0.9),
}


def parse_config(raw: Mapping[str, Any] | None) -> RecipeConfig:
    """Check a configuration as it came by YAML, JSON or the command line.

    Raises:
        MalformedError: with one `FieldError` for each wrong field.
    """
    if raw is not None and not isinstance(raw, Mapping):
        raise _wrong("config", raw, "an object of recipe settings")
    body = dict(raw or {})
    _refuse_unknown(body, RecipeConfig, "")
    if isinstance(body.get("lora"), Mapping):
        _refuse_unknown(body["lora"], LoraConfig, "lora.")
    config = _convert(body)
    errors = _out_of_range(config)
    if errors:
        raise MalformedError("; ".join(f"{error.field}: {error.expected}" for error in errors), *errors)
    return config


def check_recipe(name: str) -> None:
    """Check the recipe's name.

    Raises:
        MalformedError: no such recipe.
        UnavailableError: a recipe of the contract that this version does not have.
    """
    if name not in RECIPES:
        raise _wrong("recipe", name, f"one of {', '.join(RECIPES)}")
    if name not in BUILT:
        raise UnavailableError(f"recipe: {name!r} is not built yet; this version trains with: {', '.join(BUILT)}")


def format_config(config: RecipeConfig) -> dict[str, Any]:
    """The configuration as plain JSON, all defaults written out."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def _refuse_unknown(body: Mapping[str, Any], kind: type[msgspec.Struct], prefix: str) -> None:
    known = kind.__struct_fields__
    unknown = [key for key in body if key not in known]
    if unknown:
        errors = [FieldError(f"{prefix}{key}", body[key], f"one of {', '.join(known)}") for key in unknown]
        raise MalformedError(f"unknown setting: {', '.join(error.field for error in errors)}", *errors)


def _convert(body: dict[str, Any]) -> RecipeConfig:
    """Convert field by field, so that the error names the field and its value."""
    for key, value in body.items():
        try:
            msgspec.convert({key: value}, RecipeConfig)
        except msgspec.ValidationError as exc:
            raise _wrong(key, value, str(exc).split(" - at")[0]) from exc
    return msgspec.convert(body, RecipeConfig)


def _out_of_range(config: RecipeConfig) -> list[FieldError]:
    plain = format_config(config)
    values = plain | {f"lora.{key}": value for key, value in (plain["lora"] or {}).items()}
    errors = []
    for field, (low, high) in _RANGES.items():
        value = values.get(field)
        if value is not None and not low <= value <= high:
            errors.append(FieldError(field, value, f"from {low:g} to {high:g}"))
    if config.student not in {"cut", "scratch", "base"}:
        errors.append(
            FieldError(
                "student", config.student, "'cut' (of the base model), 'base' (the base model whole) or 'scratch'"
            )
        )
    layers = config.layers if isinstance(config.layers, list) else [config.layers]
    lowest = 0 if isinstance(config.layers, list) else 1
    if not layers or any(layer < lowest for layer in layers) or sorted(set(layers)) != layers:
        errors.append(FieldError("layers", config.layers, "a count from 1, or ascending layer numbers from 0"))
    if config.student == "scratch" and isinstance(config.layers, list):
        errors.append(FieldError("layers", config.layers, "a count, for a student from scratch"))
    return errors


def _wrong(field: str, value: Any, expected: str) -> MalformedError:
    error = FieldError(field, value, expected)
    return MalformedError(f"{field}: expected {expected}, got {error.to_json()['value']!r}", error)
