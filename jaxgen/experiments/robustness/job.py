"""A robustness job: what is refused, its settings and programs, what its members see and are judged on."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxgen.config import CorruptionSpec, RobustnessSpec, sweep
from jaxgen.data.corrupted_folders import CorruptedFolder
from jaxgen.data.score_files import load_scores
from jaxgen.engine.members import EpochMetrics
from jaxgen.errors import UserError
from jaxgen.experiments.robustness.folder import folder_digest, read_matching_folder
from jaxgen.experiments.robustness.versions import (
    Versions,
    corruption_names,
    judged_versions,
    make_versions,
    that_change,
    versions_bytes,
)
from jaxgen.jobs.checks import refuse_empty_validation
from jaxgen.jobs.mixed_versions import MIXING
from jaxgen.jobs.presets import PLAIN, Arm, one_by_one, settings_of_arms
from jaxgen.jobs.program import check_program, make_programs
from jaxgen.jobs.table import NEVER, TableConfig, TableJob, View, load_matrix, make_table_member
from jaxgen.runs.devices import start_devices
from jaxgen.transforms.corruptions import CORRUPTIONS, SMALLEST_SIDE, can_corrupt
from jaxgen.types import Dataset

# So many settings are named to one who names none.
CLOSEST = 5


def make_job(dataset: Dataset, spec: RobustnessSpec, *, log: Callable[[str], None] | None = None) -> TableJob:
    """The job that `spec` asks for.

    Args:
      dataset: with a test set.
      spec: flags.
      log: takes a line about what is left out.

    Raises:
      UserError: for what the data do not suit, and for huge sweeps without consent.
    """
    refuse_unsuitable(dataset, spec)
    scores = load_matching_scores(dataset, spec.corruption.cscores) if spec.corruption.cscores else None
    folder = read_matching_folder(dataset, spec.corruption) if spec.corruption.corrupted_dir else None
    channels = dataset.images.shape[-1]
    judged = judged_versions(spec.corruption, folder, channels)
    settings = settings_of(spec, channels, trained_under(spec.corruption, folder, channels, log))
    if spec.corruption.baseline and spec.corruption.baseline not in {setting.name for setting in settings}:
        refuse_baseline(spec.corruption.baseline, [setting.name for setting in settings])
    for setting in settings:
        refuse_empty_validation(setting.spec, len(dataset.labels), "a member")
    matrix = load_matrix(settings, spec.noise, dataset.num_classes)
    programs = make_programs(spec, settings)
    for program in programs:
        check_program(dataset, program)
    seen = [setting.spec.corruption for setting in settings]
    start_devices(spec.compute.num_devices, versions_bytes(dataset, judged, seen, scores is not None))
    with jax.enable_x64(False):
        versions = make_versions(dataset, spec.corruption, judged, folder, seen, scores, spec.seed)
    view = functools.partial(view_of, versions)
    make_member = functools.partial(make_table_member, TableConfig(dataset.num_classes, dataset.scale, matrix, view))
    hooks = {"sampler": MIXING, "epoch_metrics": EpochMetrics(NEVER)}
    programs = [program._replace(make_member=make_member, **hooks) for program in programs]
    also = [("what is judged", ",".join(f"{name} {severity}" for name, severity in judged))]
    if folder is not None:
        also.append(("--corrupted_dir", folder_digest(folder)))
    return TableJob(spec, dataset, versions, settings, programs, matrix, "robustness", tuple(also))


def refuse_baseline(given: str, names: Sequence[str]) -> None:
    """Refuses a setting that is none, and names those that are most like it.

    Raises:
      UserError: in one line.
    """
    closest = difflib.get_close_matches(given, names, CLOSEST, cutoff=0.0)
    which = f"the {CLOSEST} of {len(names)} most like it" if len(names) > CLOSEST else "there are"
    raise UserError(f"--baseline={given}: no such setting; {which}: {' | '.join(closest)}")


def refuse_unsuitable(dataset: Dataset, spec: RobustnessSpec) -> None:
    """Corruptions are for images of one or three channels, and those of colour for three.

    Raises:
      UserError: in one line.
    """
    if not dataset.has_images:
        raise UserError(f"--dataset={spec.data.dataset}: has rows of features, and corruption is for images")
    height, width, channels = dataset.images.shape[1:]
    if not can_corrupt(dataset.images.shape):
        raise UserError(
            f"--dataset={spec.data.dataset}: has images of {height}x{width}x{channels}; corruption takes images of at "
            f"least {SMALLEST_SIDE} pixels a side with 1 or 3 channels"
        )
    own = spec.corruption
    # What a folder has under a name its makers made otherwise.
    drawn = () if own.corrupted_dir else ("corruptions",)
    for flag in (*drawn, "train_corruption", "train_modification"):
        named = [name for name in sweep.alternatives(getattr(own, flag)) if name in CORRUPTIONS]
        if idle := {*named} - {*that_change(named, channels)}:
            raise UserError(
                f"--{flag}={min(idle)}: changes nothing in grey images, as those of {spec.data.dataset} are; leave it "
                "out"
            )


def trained_under(
    spec: CorruptionSpec, folder: CorruptedFolder | None, channels: int, log: Callable[[str], None] | None
) -> list[str]:
    """The corruptions that the ablation trains under; says which are left out, as images so coloured do not change."""
    # A folder may have corruptions that only its makers can draw.
    asked = folder.names if folder else corruption_names(spec.corruptions)
    asked = [name for name in asked if name in CORRUPTIONS]
    names = that_change(asked, channels)
    if log and (idle := [name for name in asked if name not in names]):
        log(f"{', '.join(idle)}: change nothing in grey images, and are left out{' of training' if folder else ''}")
    return names


def load_matching_scores(dataset: Dataset, path: str) -> np.ndarray:
    """The C-scores in `path` of the training examples, found by their ids: some may be held out for testing here.

    Raises:
      UserError: if one of them is not there, or has another label there.
    """
    try:
        found = load_scores(path)
    except UserError as error:
        raise UserError(f"--cscores: {error}") from None
    places = {str(each): place for place, each in enumerate(found.ids)}
    order = np.array([places.get(str(each), -1) for each in dataset.ids])
    if len(missing := np.flatnonzero(order < 0)):
        raise UserError(
            f"--cscores={path}: has no example of id {dataset.ids[missing[0]]}, which is in the training set; give the "
            "scores of these data"
        )
    if len(differ := np.flatnonzero(found.labels[order] != dataset.labels)):
        first = int(differ[0])
        there, here = found.labels[order[first]], dataset.labels[first]
        raise UserError(
            f"--cscores={path}: the example of id {dataset.ids[first]} has label {there} there, and {here} in the "
            "training set; give the scores of these data"
        )
    return found.scores[order]


def settings_of(spec: RobustnessSpec, channels: int, corruptions: Sequence[str]) -> list[sweep.Setting]:
    """Every setting that the preset, the modifications and the lists in `spec` ask for, each once.

    Args:
      spec: of the job.
      channels: of the images.
      corruptions: that the ablation trains under.

    Raises:
      UserError: if a flag is given that the preset decides, and for huge sweeps without consent.
    """
    modifications = sweep.alternatives(spec.corruption.train_modification)
    changed = tuple(one for one in modifications if one != "none")
    if changed:
        both = dataclasses.replace(spec.corruption, train_modification=("none", *changed))
        spec = dataclasses.replace(spec, corruption=both)
    preset = spec.corruption.preset
    if preset == "auto":
        preset = "none" if changed or sweep.swept(spec) else "ablation"
    arms = ablation(corruptions, channels) if preset == "ablation" else [Arm({}, {})]
    settings = settings_of_arms(spec, arms, preset)
    return [sweep.Setting(setting.name or PLAIN, setting.spec) for setting in settings]


def ablation(corruptions: Sequence[str], channels: int) -> list[Arm]:
    """Plain training; augmentation, weight decay, label noise, each corruption as augmentation, Adam, one by one."""
    augmentation = {"flip": 0.5, "crop": 4} if channels == 3 else {"translate": 0.1}
    alone: list[dict[str, Any]] = [
        {},
        augmentation,
        {"weight_decay": 5e-4},
        {"label_noise": (0.2, 0.4)},
        *([{"train_corruption": tuple(corruptions)}] if corruptions else []),
    ]
    off = {**dict.fromkeys(augmentation, 0), "weight_decay": 0.0, "label_noise": 0.0, "train_corruption": "none"}
    # A step size that is given is SGD's: Adam's are others.
    adam = Arm({**off, "optimizer": "adam", "learning_rate": 0.001}, {})
    return [*one_by_one(alone, {**off, "optimizer": "sgd"}), adam]


def view_of(versions: Versions, spec: RobustnessSpec) -> View:
    """What the members of a setting see."""
    own = spec.corruption
    version = versions.modified[own.train_modification]
    if own.train_corruption == "none":
        return View(version)
    return View(version, versions.mixed[own.train_corruption], own.train_share)
