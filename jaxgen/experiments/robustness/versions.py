"""Versions of the data that members of a robustness job are trained and evaluated on."""

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


class CorruptedVersions(NamedTuple):
    """A dataset in several versions.

    Attributes:
      dataset: training and test images are the original ones, then each modification; training images also each
        corruption that members are trained under. Probes are the test images, followed by the training images if there
        are C-scores, in each of `probe_versions`, drawn or read from the folder of corrupted images.
      modified: version of training and test images by modification, including ``none``.
      mixed: version of training images by corruption.
      probe_versions: (corruption, severity) of each version of the probes, the clean one first.
      evaluated: those of `probe_versions` that measures under corruption average over.
      num_tests: number of test examples among the probes of a version; the rest are training examples.
      scores: C-scores of the training examples, or None.
      constants: name of the set of corruption constants.
    """

    dataset: Dataset
    modified: dict[str, int]
    mixed: dict[str, int]
    probe_versions: tuple[tuple[str, int], ...]
    evaluated: tuple[tuple[str, int], ...]
    num_tests: int
    scores: np.ndarray | None
    constants: str


def corruption_names(given: Sequence[str]) -> list[str]:
    """Expands ``standard`` and ``all`` to the names of corruptions, without repeats."""
    return spell_out(given, STANDARD, CORRUPTIONS)


def effective_corruptions(names: Sequence[str], channels: int) -> list[str]:
    """The corruptions that change images of `channels` channels; colour corruptions do not change grey images."""
    return [name for name in names if channels > 1 or not corruptions.CORRUPTIONS[name].needs_color]


def evaluated_versions(spec: CorruptionSpec, folder: CorruptedFolder | None, channels: int) -> list[tuple[str, int]]:
    """(corruption, severity) of every corrupted test set that members are evaluated on."""
    if folder is not None:
        return list(folder.test)
    names = effective_corruptions(corruption_names(spec.corruptions), channels)
    return [(name, severity) for name in names for severity in spec.severities]


def versions_bytes(
    dataset: Dataset, evaluated: Sequence[tuple[str, int]], trained: Sequence[CorruptionSpec], scored: bool
) -> int:
    """Bytes of all versions on a device."""
    modified = {spec.train_modification for spec in trained} - {"none"}
    mixed = {spec.train_corruption for spec in trained} - {"none"}
    probes = dataset.test_images.nbytes + (dataset.images.nbytes if scored else 0)
    return (
        (1 + len(modified) + len(mixed)) * dataset.images.nbytes
        + (1 + len(modified)) * dataset.test_images.nbytes
        + (1 + len(modified) + len(evaluated)) * probes
    )


def make_versions(
    dataset: Dataset,
    spec: CorruptionSpec,
    evaluated: Sequence[tuple[str, int]],
    folder: CorruptedFolder | None,
    trained: Sequence[CorruptionSpec],
    scores: np.ndarray | None,
    seed: int,
) -> CorruptedVersions:
    """Draws or reads all versions that a job needs, fixed for all its members.

    Args:
      dataset: a dataset with a test set.
      spec: severities and constants.
      evaluated: (corruption, severity) of every corrupted test set.
      folder: a folder with the corrupted test sets, cut to the number of test examples; None to draw them.
      trained: modification and corruption of the training images, one per setting.
      scores: C-scores of the training examples, or None.
      seed: seed of the job.
    """
    constants = choose_constants(dataset, spec)
    root = job_key(seed, JobDraw.CORRUPTIONS)
    modified = [name for name in dict.fromkeys(spec.train_modification for spec in trained) if name != "none"]
    mixed = [name for name in dict.fromkeys(spec.train_corruption for spec in trained) if name != "none"]

    def draw(part: CorruptionDraw, images: np.ndarray, name: str, severity: int) -> np.ndarray:
        if not severity:
            return images
        key = jax.random.fold_in(draw_key(root, part), CORRUPTIONS.index(name))
        return corrupt(name, jax.random.fold_in(key, severity), dataset, images, severity, constants)

    level, count = spec.train_severity, len(dataset.test_labels)
    probe_versions = tuple(dict.fromkeys([CLEAN, *((name, level) for name in modified), *evaluated]))
    parts = [(CorruptionDraw.TEST, dataset.test_images)]
    if scores is not None:
        parts.append((CorruptionDraw.SCORED, dataset.images))
    labels = np.concatenate([dataset.test_labels] + ([dataset.labels] if scores is not None else []))
    probes = []
    for version in probe_versions:
        if folder is not None and version in folder.test:
            probes.append(bytes_as_stored(dataset, folder.test[version].images))
        else:
            probes += [draw(part, images, *version) for part, images in parts]
    train = [draw(CorruptionDraw.TRAIN, dataset.images, name, level) for name in (*modified, *mixed)]
    # Modified test images that are also evaluated are the same arrays.
    test = [probes[probe_versions.index((name, level)) * len(parts)] for name in modified]
    whole = dataclasses.replace(
        dataset,
        images=np.concatenate([dataset.images, *train]),
        test_images=np.concatenate([dataset.test_images, *test]),
        probes=np.concatenate(probes),
        probe_labels=labels,
    )
    by_modification = {name: i for i, name in enumerate(("none", *modified))}
    by_corruption = {name: 1 + len(modified) + i for i, name in enumerate(mixed)}
    return CorruptedVersions(
        whole, by_modification, by_corruption, probe_versions, tuple(evaluated), count, scores, constants
    )


def export_tests(dataset: Dataset, spec: RobustnessSpec) -> None:
    """Writes the test images under ``--corruptions``, at all severities, to ``--export_dir``.

    Raises:
      UserError: if the folder has different files of the same names, or cannot be written.
    """
    constants = choose_constants(dataset, spec.corruption)
    names = effective_corruptions(corruption_names(spec.corruption.corruptions), dataset.images.shape[-1])
    pixels, folder = as_pixels(dataset, dataset.test_images), spec.corruption.export_dir
    try:
        write_folder(folder, pixels, dataset.test_labels, seed=spec.seed, names=names, constants=constants)
    except OSError as error:
        raise UserError(f"--export_dir={folder}: cannot be written ({error}); name another folder") from None


def choose_constants(dataset: Dataset, spec: CorruptionSpec) -> str:
    """Name of the set of corruption constants to use."""
    return constants_for(dataset) if spec.constants == "auto" else spec.constants
