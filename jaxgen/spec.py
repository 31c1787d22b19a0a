"""What can be asked for: one frozen dataclass a topic, the only place where a default lives.

A field carries its help text and its rule, so that the command line, the Python interface and the
flag files refuse the same values with the same words. `jaxgen.flags` turns the leaves into flags.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal

from jaxgen.errors import UserError

AUTO = "auto"


def option(
    default: Any,
    help: str,
    *,
    rule: Callable[[Any], bool] | None = None,
    says: str = "",
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A dataclass field with its help, the rule its value must keep and, if unusual, how its text is read."""
    return dataclasses.field(default=default, metadata={"help": help, "rule": rule, "says": says, "parse": parse})


def at_least(low: float) -> dict[str, Any]:
    return {"rule": lambda value: value >= low, "says": f"must be {low} or more"}


def between(low: float, high: float) -> dict[str, Any]:
    return {"rule": lambda value: low <= value < high, "says": f"must be at least {low} and below {high}"}


def above(low: float) -> dict[str, Any]:
    return {"rule": lambda value: value > low, "says": f"must be above {low}"}


def parse_ratios(text: str) -> tuple[float, ...]:
    """Reads ``start:stop[:step]`` (both ends included, step 0.1) or ``a,b,c``.

    Raises:
      ValueError: with what is wrong, in words for the user.
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return tuple(float(part) for part in text.split(","))
        start, stop, step = (float(part) for part in (*parts, "0.1")[:3])
    except ValueError:
        raise ValueError("give start:stop[:step] or a,b,c, such as 0.1:0.9 or 0.3,0.5") from None
    if len(parts) > 3:
        raise ValueError("give start:stop[:step], such as 0.1:0.9:0.2")
    if not (math.isfinite(start) and math.isfinite(stop) and step > 0 and stop >= start):
        raise ValueError("the range is empty; give start:stop[:step] with start <= stop and a step above 0")
    count = (stop - start) / step + 1 + 1e-9
    if count > 10_000:
        raise ValueError(f"that is {count:.0f} ratios; give a larger step")
    # Rounding undoes 0.1 + 2 * 0.1 = 0.30000000000000004; ratios are told apart to the millionth.
    return tuple(round(start + i * step, 6) for i in range(int(count)))


def parse_integers(text: str) -> tuple[int, ...]:
    """Reads ``a,b,c``; the empty text is the empty tuple."""
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError("give whole numbers with commas between, such as 128,64") from None


def parse_width(text: str) -> int | None:
    """Reads a number of members, or ``auto``, which is None."""
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"give a whole number or {AUTO}") from None


class Spec:
    """Base of the specs: checks every field against its rule when made.

    Raises:
      UserError: naming the flag, the value and the rule.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))


def check(field: dataclasses.Field, value: Any) -> None:
    """Holds `value` against the field's type and rule; raises UserError with one line."""
    if dataclasses.is_dataclass(field.type):
        return
    flag = f"--{field.name}={format_value(value)}"
    if typing.get_origin(field.type) is Literal and value not in typing.get_args(field.type):
        raise UserError(f"{flag}: must be one of {', '.join(typing.get_args(field.type))}")
    if not has_type(value, field.type):
        raise UserError(f"{flag}: is not of type {describe_type(field.type)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{flag}: must be a finite number")
    rule = field.metadata.get("rule")
    if rule and value is not None and not rule(value):
        raise UserError(f"{flag}: {field.metadata['says']}")


def has_type(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotated type; an int passes for a float, a bool for neither."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is types.UnionType:
        return any(has_type(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(item, arguments[0]) for item in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def describe_type(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"tuple of {describe_type(typing.get_args(kind)[0])}s"
    return {int: "whole number", float: "number", str: "text"}.get(kind, str(kind))


def format_value(value: Any) -> str:
    """A value as a flag's text; `parse` of the same field reads it back."""
    if value is None:
        return AUTO
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def leaves(spec: Any) -> Iterator[tuple[Any, dataclasses.Field]]:
    """Every (owner, field) of a spec class or instance that is not itself a spec, in order."""
    for field in dataclasses.fields(spec):
        if dataclasses.is_dataclass(field.type):
            yield from leaves(field.type if isinstance(spec, type) else getattr(spec, field.name))
        else:
            yield spec, field


def values(spec: Spec) -> dict[str, Any]:
    """All leaves of a spec by name."""
    return {field.name: getattr(owner, field.name) for owner, field in leaves(spec)}


def from_values(spec_class: type, chosen: dict[str, Any]) -> Any:
    """A spec of `spec_class` with the leaves named in `chosen`; the others keep their defaults."""
    arguments = {}
    for field in dataclasses.fields(spec_class):
        if dataclasses.is_dataclass(field.type):
            arguments[field.name] = from_values(field.type, chosen)
        elif field.name in chosen:
            arguments[field.name] = chosen[field.name]
    return spec_class(**arguments)


@dataclasses.dataclass(frozen=True)
class DataSpec(Spec):
    """Data"""

    dataset: str = option(
        "digits",
        "digits (embedded); mnist, fashion_mnist, cifar10, cifar100 or any tensorflow-datasets name; "
        "idx:DIR (the four IDX files, gzip or plain); npz:FILE (images or x, labels or y; optional test_images "
        "or test_x, test_labels or test_y, class_names, ids); images:DIR (a folder of PNG or JPEG per class); "
        "csv:FILE (numeric columns and a label column)",
    )
    data_dir: str = option("", "where tensorflow-datasets keeps its data (empty: its own default)")
    label_column: str = option("label", "csv: the column that holds the label")
    image_size: int = option(
        0, "images: resize every image to this many pixels a side (0: take them as they are)", **at_least(0)
    )
    num_examples: int = option(0, "train on the first so many training examples only (0: all)", **at_least(0))


@dataclasses.dataclass(frozen=True)
class ModelSpec(Spec):
    """Model"""

    model: str = option("mlp", "the network: mlp")
    hidden: tuple[int, ...] = option(
        (128, 64),
        "mlp: units of each hidden layer",
        parse=parse_integers,
        rule=lambda sizes: all(size >= 1 for size in sizes),
        says="every hidden layer needs 1 unit or more",
    )


@dataclasses.dataclass(frozen=True)
class TrainSpec(Spec):
    """Training"""

    epochs: int = option(20, "passes over a member's own examples", **at_least(1))
    batch_size: int = option(16, "examples in one step; the last batch of an epoch may be shorter", **at_least(1))
    learning_rate: float = option(0.03, "SGD step size, constant", **above(0))
    momentum: float = option(0.9, "SGD momentum", **between(0, 1))
    weight_decay: float = option(0.0, "L2: this much of each parameter is added to its gradient", **at_least(0))
    l1: float = option(0.0, "L1: this much of each parameter's sign is added to its gradient", **at_least(0))
    clip_norm: float = option(0.0, "largest global norm of a gradient (0: not clipped)", **at_least(0))
    gradient_noise: float = option(0.0, "standard deviation of Gaussian noise added to each gradient", **at_least(0))


@dataclasses.dataclass(frozen=True)
class SubsetSpec(Spec):
    """Subsets"""

    subset_ratios: tuple[float, ...] = option(
        parse_ratios("0.1:0.9"),
        "shares of the examples to train on: start:stop[:step] or a,b,c",
        parse=parse_ratios,
        rule=lambda ratios: (
            bool(ratios)
            and all(0 < ratio < 1 for ratio in ratios)
            and len({round(ratio, 6) for ratio in ratios}) == len(ratios)
        ),
        says="each ratio must lie strictly between 0 and 1, and none may come twice",
    )
    num_runs: int = option(200, "models per ratio", **at_least(1))
    design: Literal["balanced", "independent", "nested"] = option(
        "balanced",
        "how subsets are drawn: balanced (in a block of runs every example is held out equally "
        "often), independent (each run on its own) or nested (the same draw for every ratio)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # Ratios are told apart to the millionth; what lies beyond must not make two runs of one name differ.
        object.__setattr__(self, "subset_ratios", tuple(round(ratio, 6) for ratio in self.subset_ratios))


@dataclasses.dataclass(frozen=True)
class ComputeSpec(Spec):
    """Machine"""

    width: int | None = option(
        None, "models in one batched program (auto: a few widths are timed)", parse=parse_width, **at_least(1)
    )
    num_devices: int = option(0, "devices to use (0: all; on a CPU one a core)", **at_least(0))


@dataclasses.dataclass(frozen=True)
class CscoreSpec(Spec):
    """Estimate C-scores: train many small models on random subsets, and see what each gets right of the rest."""

    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
    subsets: SubsetSpec = dataclasses.field(default_factory=SubsetSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/cscore_<dataset>)")


@dataclasses.dataclass(frozen=True)
class BenchSpec(Spec):
    """Time the same trainings three ways: as public demos do, compiled once, and jaxgen; or how jaxgen's jobs scale."""

    job: CscoreSpec = dataclasses.field(default_factory=CscoreSpec)
    measure: Literal["speed", "scaling"] = option(
        "speed", "speed: three ways side by side at each of --subset_ratios; scaling: whole jobs of growing --num_runs"
    )
    rounds: int = option(5, "speed: how often the three ways take turns", **at_least(1))
    demo_models: int = option(1, "speed: models a round as the demo trains them", **at_least(1))
    plain_models: int = option(3, "speed: models a round compiled once", **at_least(1))
