"""What members of a robustness job see and are judged on: versions of the data, drawn or read from a folder."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.config import CorruptionSpec, RobustnessSpec
from jaxgen.config.corruption_names import CORRUPTIONS, STANDARD, spell_out
from jaxgen.data.corrupted import as_pixels, bytes_as_stored, constants_for, corrupt
from jaxgen.data.corrupted_folders import CorruptedFolder, write_folder
from jaxgen.errors import UserError
from jaxgen.keys import CorruptionDraw, JobDraw, draw_key, job_key
from jaxgen.transforms import corruptions
from jaxgen.types import Dataset

CLEAN = ("none", 0)


class Versions(NamedTuple):
    """A data set as members see it and are judged on it.

    Attributes:
      dataset: its training and test images are the original ones, then each modification; then, of the training images,
        each corruption that members are trained under. Its probes are the test images, and with C-scores the training
        images after them, in each version of `shown`; as the folder of corrupted images has them, if one is given.
      modified: by modification (``none`` too) the version of training and test images.
      mixed: by corruption the version of training images.
      shown: (corruption, severity) of each version of the probes, the clean one first.
      judged: those of them that measures under corruption are over.
      num_tests: how many of the probes are test examples; the others are the training examples.
      scores: C-scores of the training examples, or None.
      constants: whose.
    """

    dataset: Dataset
    modified: dict[str, int]
    mixed: dict[str, int]
    shown: tuple[tuple[str, int], ...]
    judged: tuple[tuple[str, int], ...]
    num_tests: int
    scores: np.ndarray | None
    constants: str


def corruption_names(given: Sequence[str]) -> list[str]:
    """Of the corruptions that jaxgen draws, with ``standard`` and ``all`` spelt out; each once."""
    return spell_out(given, STANDARD, CORRUPTIONS)


def that_change(names: Sequence[str], channels: int) -> list[str]:
    """Those of some corruptions that change images of so many channels: what changes colours leaves grey ones alone."""
    return [name for name in names if channels > 1 or not corruptions.CORRUPTIONS[name].needs_color]


def judged_versions(spec: CorruptionSpec, folder: CorruptedFolder | None, channels: int) -> list[tuple[str, int]]:
    """(corruption, severity) of every corrupted test set that members are judged on."""
    if folder is not None:
        return list(folder.test)
    names = that_change(corruption_names(spec.corruptions), channels)
    return [(name, severity) for name in names for severity in spec.severities]


def versions_bytes(
    dataset: Dataset, judged: Sequence[tuple[str, int]], seen: Sequence[CorruptionSpec], scored: bool
) -> int:
    """What all versions take on a device."""
    modified = {one.train_modification for one in seen} - {"none"}
    mixed = {one.train_corruption for one in seen} - {"none"}
    probes = dataset.test_images.nbytes + (dataset.images.nbytes if scored else 0)
    return (
        (1 + len(modified) + len(mixed)) * dataset.images.nbytes
        + (1 + len(modified)) * dataset.test_images.nbytes
        + (1 + len(modified) + len(judged)) * probes
    )


def make_versions(
    dataset: Dataset,
    spec: CorruptionSpec,
    judged: Sequence[tuple[str, int]],
    folder: CorruptedFolder | None,
    seen: Sequence[CorruptionSpec],
    scores: np.ndarray | None,
    seed: int,
) -> Versions:
    """All versions that a job needs, drawn once and fixed for all its members.

    Args:
      dataset: with a test set.
      spec: severities and constants.
      judged: (corruption, severity) of every corrupted test set.
      folder: that has them, as many of each as there are test examples; None: they are drawn.
      seen: what members are trained on, one a setting.
      scores: C-scores of the training examples, or None.
      seed: of the job.
    """
    constants = chosen_constants(dataset, spec)
    root = job_key(seed, JobDraw.CORRUPTIONS)
    modified = [name for name in dict.fromkeys(one.train_modification for one in seen) if name != "none"]
    mixed = [name for name in dict.fromkeys(one.train_corruption for one in seen) if name != "none"]

    def draw(part: CorruptionDraw, images: np.ndarray, name: str, severity: int) -> np.ndarray:
        if not severity:
            return images
        key = jax.random.fold_in(draw_key(root, part), CORRUPTIONS.index(name))
        return corrupt(name, jax.random.fold_in(key, severity), dataset, images, severity, constants)

    level, count = spec.train_severity, len(dataset.test_labels)
    shown = tuple(dict.fromkeys([CLEAN, *((name, level) for name in modified), *judged]))
    parts = [(CorruptionDraw.TEST, dataset.test_images)]
    if scores is not None:
        parts.append((CorruptionDraw.SCORED, dataset.images))
    labels = np.concatenate([dataset.test_labels] + ([dataset.labels] if scores is not None else []))
    probes = []
    for version in shown:
        if folder is not None and version in folder.test:
            probes.append(bytes_as_stored(dataset, folder.test[version].images))
        else:
            probes += [draw(part, images, *version) for part, images in parts]
    train = [draw(CorruptionDraw.TRAIN, dataset.images, name, level) for name in (*modified, *mixed)]
    # Those that are judged too are the same images.
    test = [probes[shown.index((name, level)) * len(parts)] for name in modified]
    whole = dataclasses.replace(
        dataset,
        images=np.concatenate([dataset.images, *train]),
        test_images=np.concatenate([dataset.test_images, *test]),
        probes=np.concatenate(probes),
        probe_labels=labels,
    )
    places = {name: i for i, name in enumerate(("none", *modified))}
    others = {name: 1 + len(modified) + i for i, name in enumerate(mixed)}
    return Versions(whole, places, others, shown, tuple(judged), count, scores, constants)


def export_tests(dataset: Dataset, spec: RobustnessSpec) -> None:
    """Writes the test images under ``--corruptions``, at all severities, into ``--export_dir``.

    Raises:
      UserError: if the folder has others under their names, or cannot be written.
    """
    constants = chosen_constants(dataset, spec.corruption)
    names = that_change(corruption_names(spec.corruption.corruptions), dataset.images.shape[-1])
    values, where = as_pixels(dataset, dataset.test_images), spec.corruption.export_dir
    try:
        write_folder(where, values, dataset.test_labels, seed=spec.seed, names=names, constants=constants)
    except OSError as error:
        raise UserError(f"--export_dir={where}: cannot be written ({error}); name another folder") from None


def chosen_constants(dataset: Dataset, spec: CorruptionSpec) -> str:
    """Whose constants are taken."""
    return constants_for(dataset) if spec.constants == "auto" else spec.constants
