"""Settings of an oversampling job: flags fixed by each arm, sweeps, and sample sizes."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxgen.config import OversamplingSpec, sweep
from jaxgen.config.fields import flag_values, format_value, replace_flags
from jaxgen.errors import UserError
from jaxgen.transforms.copies import KINDS
from jaxgen.types import Dataset

# Sample sizes of the lecture; with fewer than PLENTY examples they are scaled down.
USUAL_SIZES = (500, 1000, 1500, 2000, 2500, 3000, 4000)
PLENTY = 8000
# Kind of noise of each arm with copies; None: exact copies.
NOISE = {
    "duplicates": None,
    "uniform": "uniform_noise",
    "gaussian": "gaussian_noise",
    "salt_and_pepper": "salt_and_pepper",
}
UNCOPIED = {"num_copies": 0, "copied_share": 0.0, "split": "before"}


def augmented(spec: OversamplingSpec) -> dict[str, Any]:
    """The augmentation flags that are not 0."""
    return {name: value for name, value in flag_values(spec.augmentation).items() if value != 0}


def fixed_by(arm: str, spec: OversamplingSpec, has_images: bool) -> dict[str, Any]:
    """The flags that an arm fixes."""
    noise = NOISE.get(arm)
    fixed = {"arm": arm, **{name: 0.0 for name in KINDS if name != noise}}
    if arm not in NOISE:
        fixed |= UNCOPIED
    # Exact copies and extremes are always within the range.
    if noise in (None, "salt_and_pepper"):
        fixed["clipped"] = "no"
    if arm != "augmented":
        return fixed | {name: 0 for name in augmented(spec)}
    if augmented(spec):
        return fixed
    return fixed | ({"translate": 0.1} if has_images else {"input_noise": spec.copies.gaussian_noise})


def settings_of(spec: OversamplingSpec, has_images: bool) -> list[sweep.Setting]:
    """All settings of all arms, named by arm and swept flags.

    Args:
      spec: the flags.
      has_images: whether the data are images.

    Raises:
      UserError: for flags that no arm uses, and for huge sweeps without ``--yes``.
    """
    arms = sweep.alternatives(spec.copies.arm)
    if augmented(spec) and "augmented" not in arms:
        [name, value] = next(iter(augmented(spec).items()))
        raise UserError(f"--{name}={format_value(value)}: is for --arm=augmented; add that, or leave it out")
    parts = [replace_flags(spec, fixed_by(arm, spec, has_images)) for arm in arms]
    # Checked before the expansion, which may exceed memory.
    models_per_setting = spec.num_runs * len(spec.copies.sample_sizes)
    sweep.refuse_many(sum(map(sweep.num_settings, parts)), models_per_setting, spec.compute.yes)
    return [
        sweep.Setting(",".join(filter(None, (part.copies.arm, setting.name))), setting.spec)
        for part in parts
        for setting in sweep.expand(part)
    ]


def choose_sizes(spec: OversamplingSpec, dataset: Dataset, log: Callable[[str], None] | None = None) -> tuple[int, ...]:
    """The sample sizes, ascending: ``--sample_sizes``, or defaults for the data.

    Args:
      spec: the flags.
      dataset: the data, with the test set held out.
      log: receives a line about sizes that are left out.

    Raises:
      UserError: for a sample larger than the data, or too small to train on.
    """
    count, batch = len(dataset.labels), max(sweep.alternatives(spec.train.batch_size))
    needed = max(batch, dataset.num_classes)
    if spec.copies.sample_sizes:
        for size in spec.copies.sample_sizes:
            refuse_size(size, count, batch, dataset)
        return tuple(sorted(spec.copies.sample_sizes))
    sizes = [size if count >= PLENTY else size * count // PLENTY for size in USUAL_SIZES]
    if not (usable := tuple(size for size in sizes if size >= needed)):
        raise UserError(
            f"--sample_sizes=: half of the {count} training examples of {dataset.name} is less than {needed}, a batch "
            "or one a class; give sizes, with a lower --batch_size"
        )
    if log and len(usable) < len(sizes):
        left_out = ", ".join(str(size) for size in sizes if size not in usable)
        log(f"samples of {left_out} examples are left out: less than {needed}, a batch or one a class")
    return usable


def refuse_size(size: int, count: int, batch: int, dataset: Dataset) -> None:
    """Raises `UserError` for a sample larger than the data, or smaller than a batch or the number of classes."""
    flag = f"--sample_sizes={size}"
    if size > count:
        raise UserError(f"{flag}: {dataset.name} has {count:,} training examples; give at most so many")
    if size < batch:
        raise UserError(f"{flag}: is less than a batch of {batch}; give more, or a lower --batch_size")
    if size < dataset.num_classes:
        raise UserError(f"{flag}: is less than one example for each of {dataset.num_classes} classes; give more")


def largest_copies(settings: Sequence[sweep.Setting]) -> int:
    """The largest number of copies of an example in any setting."""
    return max(setting.spec.copies.num_copies for setting in settings)
