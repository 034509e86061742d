"""The recipe's configuration: every field with its range, checked before anything starts.

- An unknown key, a wrong type or a value out of range is an error that names field, value and expectation; nothing is guessed.
- `sft` trains on released text; `kd` on released text with the teacher's distribution beside it; `on-policy` on what the
  student writes to released prompts, against the teacher's distribution. The last two need the teacher's weights.
- `settle_config` joins a recipe and its settings: the settings of another recipe are an error, missing ones become defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from provenance.errors import FieldError, MalformedError

RECIPES: Final = ("sft", "kd", "on-policy")
WHITE_BOX: Final = frozenset({"kd", "on-policy"})
"""Recipes that use the teacher's own weights in training: a permission of its own."""
REPORTERS: Final = ("mlflow", "wandb")
DIVERGENCES: Final = ("forward-kl", "reverse-kl", "jsd")


class LoraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Low-rank adapters instead of all weights; merged into the weights at the end."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class TeacherConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the student follows the teacher's distribution; `alpha` is the share of the cross-entropy with the text
    (by default one half for `kd`, none for `on-policy`).

    `model` is the teacher as `provider/name`; without it, the one of the release whose weights are on this machine.
    """

    model: str | None = None
    divergence: str = "forward-kl"
    beta: float = 0.5
    temperature: float = 1.0
    top_k: int | None = None
    alpha: float | None = None


class OnPolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the student writes itself: the share of samples (GKD's lambda), how long, how freely, and in which rounds.

    A round is `round_steps` steps: written by the weights of its beginning, recorded and judged before any of it is trained
    on. `patience_seconds` is how long the process waits for that before it stops, to be resumed.
    """

    share: float = 1.0
    max_new_tokens: int = 64
    temperature: float = 1.0
    round_steps: int = 1
    patience_seconds: float = 600.0


class RecipeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run's settings; the defaults are the demo's, sized for 2 CPU cores.

    `report_to` names trackers that the trainer writes its numbers for as well, offline, into the run's own folder.
    """

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
    packing: bool = False
    lora: LoraConfig | None = None
    teacher: TeacherConfig | None = None
    on_policy: OnPolicyConfig | None = None
    test_samples: int = 32
    sample_generations: int = 3
    report_to: tuple[str, ...] = ()


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
    "teacher.beta": (0.001, 0.999),
    "teacher.temperature": (0.05, 100),
    "teacher.top_k": (1, 1_000_000),
    "teacher.alpha": (0, 1),
    "on_policy.share": (0, 1),
    "on_policy.max_new_tokens": (1, 65_536),
    "on_policy.temperature": (0, 10),
    "on_policy.round_steps": (1, 10_000),
    "on_policy.patience_seconds": (1, 86_400),
}
_NESTED: Final[dict[str, type[msgspec.Struct]]] = {
    "lora": LoraConfig,
    "teacher": TeacherConfig,
    "on_policy": OnPolicyConfig,
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
    for name, kind in _NESTED.items():
        if isinstance(body.get(name), Mapping):
            _refuse_unknown(body[name], kind, f"{name}.")
    config = _convert(body)
    _refuse(_out_of_range(config))
    return config


def settle_config(recipe: str, config: RecipeConfig) -> RecipeConfig:
    """The settings as this recipe takes them, its own defaults written out.

    Raises:
        MalformedError: no such recipe, or settings that it does not take; one `FieldError` for each.
    """
    check_recipe(recipe)
    if recipe in WHITE_BOX:
        teacher = config.teacher or TeacherConfig()
        if teacher.alpha is None:
            teacher = msgspec.structs.replace(teacher, alpha=0.0 if recipe == "on-policy" else 0.5)
        config = msgspec.structs.replace(config, teacher=teacher)
    if recipe == "on-policy":
        config = msgspec.structs.replace(config, on_policy=config.on_policy or OnPolicyConfig())
    _refuse(_unfit(recipe, config))
    return config


def _unfit(recipe: str, config: RecipeConfig) -> list[FieldError]:
    """Settings that contradict the recipe or each other."""
    errors = []
    if config.teacher is not None and recipe not in WHITE_BOX:
        errors.append(FieldError("teacher", format_config(config)["teacher"], "only with recipe kd or on-policy"))
    if config.on_policy is not None and recipe != "on-policy":
        errors.append(FieldError("on_policy", format_config(config)["on_policy"], "only with recipe on-policy"))
    if recipe in WHITE_BOX and config.student == "scratch":
        expected = "'cut' or 'base': a student from scratch has a vocabulary of its own, and the teacher's is needed"
        errors.append(FieldError("student", config.student, expected))
    if recipe != "on-policy" or config.on_policy is None or config.teacher is None:
        return errors
    if config.teacher.alpha:
        expected = "0 for on-policy: the student's own words are no targets"
        errors.append(FieldError("teacher.alpha", config.teacher.alpha, expected))
    if config.packing:
        errors.append(FieldError("packing", True, "false for on-policy: each prompt is answered by itself"))
    if config.save_steps % config.on_policy.round_steps:
        expected = (
            f"a multiple of on_policy.round_steps ({config.on_policy.round_steps}): a run is resumed between rounds"
        )
        errors.append(FieldError("save_steps", config.save_steps, expected))
    return errors


def check_recipe(name: str) -> None:
    """Check the recipe's name.

    Raises:
        MalformedError: no such recipe.
    """
    if name not in RECIPES:
        raise _wrong("recipe", name, f"one of {', '.join(RECIPES)}")


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
        inner = _NESTED.get(key)
        if inner is not None and isinstance(value, Mapping):
            for name, item in value.items():
                _convert_one(inner, name, item, f"{key}.")
        _convert_one(RecipeConfig, key, value, "")
    return msgspec.convert(body, RecipeConfig)


def _convert_one(kind: type[msgspec.Struct], key: str, value: Any, prefix: str) -> None:
    try:
        msgspec.convert({key: value}, kind)
    except msgspec.ValidationError as exc:
        raise _wrong(f"{prefix}{key}", value, str(exc).split(" - at")[0]) from exc


def _out_of_range(config: RecipeConfig) -> list[FieldError]:
    plain = format_config(config)
    nested = {f"{name}.{key}": value for name in _NESTED for key, value in (plain[name] or {}).items()}
    values = plain | nested
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
    if config.teacher is not None and config.teacher.divergence not in DIVERGENCES:
        errors.append(FieldError("teacher.divergence", config.teacher.divergence, f"one of {', '.join(DIVERGENCES)}"))
    if not set(config.report_to) <= set(REPORTERS) or len(set(config.report_to)) != len(config.report_to):
        errors.append(FieldError("report_to", list(config.report_to), f"each at most once of {', '.join(REPORTERS)}"))
    layers = config.layers if isinstance(config.layers, list) else [config.layers]
    lowest = 0 if isinstance(config.layers, list) else 1
    if not layers or any(layer < lowest for layer in layers) or sorted(set(layers)) != layers:
        errors.append(FieldError("layers", config.layers, "a count from 1, or ascending layer numbers from 0"))
    if config.student == "scratch" and isinstance(config.layers, list):
        errors.append(FieldError("layers", config.layers, "a count, for a student from scratch"))
    return errors


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise MalformedError("; ".join(f"{error.field}: {error.expected}" for error in errors), *errors)


def _wrong(field: str, value: Any, expected: str) -> MalformedError:
    error = FieldError(field, value, expected)
    return MalformedError(f"{field}: expected {expected}, got {error.to_json()['value']!r}", error)
