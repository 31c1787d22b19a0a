"""A robustness job: flag checks, settings, programs and versions of the data."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxgen.config import CorruptionSpec, RobustnessSpec, sweep
from jaxgen.data.corrupted_folders import CorruptedFolder
from jaxgen.data.score_files import load_scores
from jaxgen.engine.members import EpochMetrics
from jaxgen.errors import UserError
from jaxgen.experiments.robustness.folder import folder_digest, read_matching_folder
from jaxgen.experiments.robustness.versions import (
    CorruptedVersions,
    corruption_names,
    effective_corruptions,
    evaluated_versions,
    make_versions,
    versions_bytes,
)
from jaxgen.jobs.checks import refuse_empty_validation
from jaxgen.jobs.member_table import NEVER, TableConfig, TableJob, View, load_matrix, make_table_member
from jaxgen.jobs.mixed_versions import MIXING
from jaxgen.jobs.presets import PLAIN, Arm, one_by_one, settings_of_arms
from jaxgen.jobs.program import check_program, make_programs
from jaxgen.runs.devices import start_devices
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.transforms.corruptions import CORRUPTIONS, SMALLEST_SIDE, can_corrupt
from jaxgen.types import Dataset

# Number of similar settings that an error message lists.
CLOSEST = 5


def make_job(dataset: Dataset, spec: RobustnessSpec, *, log: Callable[[str], None] | None = None) -> TableJob:
    """Makes the job of a spec.

    Args:
      dataset: a dataset with a test set.
      spec: the flags.
      log: receives a line about corruptions that are left out.

    Raises:
      UserError: if the flags do not fit the data, or a huge sweep lacks ``--yes``.
    """
    refuse_unsuitable(dataset, spec)
    scores = load_matching_scores(dataset, spec.corruption.cscores) if spec.corruption.cscores else None
    folder = read_matching_folder(dataset, spec.corruption) if spec.corruption.corrupted_dir else None
    channels = dataset.images.shape[-1]
    evaluated = evaluated_versions(spec.corruption, folder, channels)
    settings = settings_of(spec, channels, training_corruptions(spec.corruption, folder, channels, log))
    if spec.corruption.baseline and spec.corruption.baseline not in {setting.name for setting in settings}:
        refuse_baseline(spec.corruption.baseline, [setting.name for setting in settings])
    for setting in settings:
        refuse_empty_validation(setting.spec, len(dataset.labels), "a member")
    matrix = load_matrix(settings, spec.noise, dataset.num_classes)
    programs = make_programs(spec, settings)
    for program in programs:
        check_program(dataset, program)
    trained = [setting.spec.corruption for setting in settings]
    start_devices(spec.compute.num_devices, versions_bytes(dataset, evaluated, trained, scores is not None))
    with fixed_settings():
        versions = make_versions(dataset, spec.corruption, evaluated, folder, trained, scores, spec.seed)
    view = functools.partial(view_of, versions)
    make_member = functools.partial(make_table_member, TableConfig(dataset.num_classes, dataset.scale, matrix, view))
    hooks = {"sampler": MIXING, "epoch_metrics": EpochMetrics(NEVER)}
    programs = [program._replace(make_member=make_member, **hooks) for program in programs]
    also = [("what is judged", ",".join(f"{name} {severity}" for name, severity in evaluated))]
    if folder is not None:
        also.append(("--corrupted_dir", folder_digest(folder)))
    return TableJob(spec, dataset, versions, settings, programs, matrix, "robustness", tuple(also))


def refuse_baseline(given: str, names: Sequence[str]) -> None:
    """Raises `UserError` for an unknown baseline; the message lists the most similar settings."""
    closest = difflib.get_close_matches(given, names, CLOSEST, cutoff=0.0)
    scope = f"the {CLOSEST} of {len(names)} most like it" if len(names) > CLOSEST else "there are"
    raise UserError(f"--baseline={given}: no such setting; {scope}: {' | '.join(closest)}")


def refuse_unsuitable(dataset: Dataset, spec: RobustnessSpec) -> None:
    """Raises `UserError` for data that cannot be corrupted, and for colour corruptions of grey images."""
    if not dataset.has_images:
        raise UserError(f"--dataset={spec.data.dataset}: has rows of features, and corruption is for images")
    height, width, channels = dataset.images.shape[1:]
    if not can_corrupt(dataset.images.shape):
        raise UserError(
            f"--dataset={spec.data.dataset}: has images of {height}x{width}x{channels}; corruption takes images of at "
            f"least {SMALLEST_SIDE} pixels a side with 1 or 3 channels"
        )
    # Corruptions that are read from a folder may be defined differently there.
    drawn = () if spec.corruption.corrupted_dir else ("corruptions",)
    for flag in (*drawn, "train_corruption", "train_modification"):
        named = [name for name in sweep.alternatives(getattr(spec.corruption, flag)) if name in CORRUPTIONS]
        if idle := {*named} - {*effective_corruptions(named, channels)}:
            raise UserError(
                f"--{flag}={min(idle)}: changes nothing in grey images, as those of {spec.data.dataset} are; leave it "
                "out"
            )


def training_corruptions(
    spec: CorruptionSpec, folder: CorruptedFolder | None, channels: int, log: Callable[[str], None] | None
) -> list[str]:
    """The corruptions that the ablation trains under; logs those left out because they do not change grey images."""
    # A folder may have corruptions that are not implemented here.
    requested = folder.names if folder else corruption_names(spec.corruptions)
    requested = [name for name in requested if name in CORRUPTIONS]
    names = effective_corruptions(requested, channels)
    if log and (idle := [name for name in requested if name not in names]):
        log(f"{', '.join(idle)}: change nothing in grey images, and are left out{' of training' if folder else ''}")
    return names


def load_matching_scores(dataset: Dataset, path: str) -> np.ndarray:
    """Loads the C-scores of the training examples from `path`, matched by id.

    Raises:
      UserError: if an example is missing or has another label in the file.
    """
    try:
        scores = load_scores(path)
    except UserError as error:
        raise UserError(f"--cscores={error}") from None
    indices = {str(example_id): index for index, example_id in enumerate(scores.ids)}
    order = np.array([indices.get(str(example_id), -1) for example_id in dataset.ids])
    if len(missing := np.flatnonzero(order < 0)):
        raise UserError(
            f"--cscores={path}: has no example of id {dataset.ids[missing[0]]}, which is in the training set; give the "
            "scores of these data"
        )
    if len(differ := np.flatnonzero(scores.labels[order] != dataset.labels)):
        first = int(differ[0])
        stored, expected = scores.labels[order[first]], dataset.labels[first]
        raise UserError(
            f"--cscores={path}: the example of id {dataset.ids[first]} has label {stored} there, and {expected} in the "
            "training set; give the scores of these data"
        )
    if not np.isfinite(scores.scores[order]).any():
        raise UserError(
            f"--cscores={path}: no training example has a score there, as none was held out at every ratio; give "
            "scores of more --num_runs"
        )
    return scores.scores[order]


def settings_of(spec: RobustnessSpec, channels: int, corruptions: Sequence[str]) -> list[sweep.Setting]:
    """All settings of the preset, the modifications and the swept flags in `spec`, without repeats.

    Args:
      spec: the flags.
      channels: number of channels of the images.
      corruptions: corruptions that the ablation trains under.

    Raises:
      UserError: if a flag is given that the preset sets, and for huge sweeps without ``--yes``.
    """
    modifications = tuple(name for name in sweep.alternatives(spec.corruption.train_modification) if name != "none")
    if modifications:
        with_original = dataclasses.replace(spec.corruption, train_modification=("none", *modifications))
        spec = dataclasses.replace(spec, corruption=with_original)
    preset = spec.corruption.preset
    if preset == "auto":
        preset = "none" if modifications or sweep.swept(spec) else "ablation"
    arms = ablation(corruptions, channels) if preset == "ablation" else [Arm({}, {})]
    settings = settings_of_arms(spec, arms, preset)
    return [sweep.Setting(setting.name or PLAIN, setting.spec) for setting in settings]


def ablation(corruptions: Sequence[str], channels: int) -> list[Arm]:
    """Plain training, and one change each: augmentation, weight decay, label noise, train corruptions, Adam."""
    augmentation = {"flip": 0.5, "crop": 4} if channels == 3 else {"translate": 0.1}
    alone: list[dict[str, Any]] = [
        {},
        augmentation,
        {"weight_decay": 5e-4},
        {"label_noise": (0.2, 0.4)},
        *([{"train_corruption": tuple(corruptions)}] if corruptions else []),
    ]
    off = {**dict.fromkeys(augmentation, 0), "weight_decay": 0.0, "label_noise": 0.0, "train_corruption": "none"}
    # A given learning rate is meant for SGD, not for Adam.
    adam = Arm({**off, "optimizer": "adam", "learning_rate": 0.001}, {})
    return [*one_by_one(alone, {**off, "optimizer": "sgd"}), adam]


def view_of(versions: CorruptedVersions, spec: RobustnessSpec) -> View:
    """The versions of the images that members of a setting train on."""
    corruption = spec.corruption
    version = versions.modified[corruption.train_modification]
    if corruption.train_corruption == "none":
        return View(version)
    return View(version, versions.mixed[corruption.train_corruption], corruption.train_share)
