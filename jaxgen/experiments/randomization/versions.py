"""Versions of a dataset in one job: true, shuffled, random and Gaussian pixels, and corrupted test images."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.data.corrupted import constants_for, corrupt
from jaxgen.engine.batch import Variables
from jaxgen.engine.curves import predict_version
from jaxgen.engine.members import EnsembleConfig, Examples, Member
from jaxgen.keys import JobDraw, VersionDraw, draw_key, job_key
from jaxgen.transforms.corruptions import can_corrupt
from jaxgen.transforms.pixels import draw_gaussian, scatter_pixels, shuffle_pixels
from jaxgen.types import Dataset

# Corruptions of the test images that every model is evaluated on, and their severity.
TEST_CORRUPTIONS = ("gaussian_noise", "gaussian_blur", "occlusion", "pixelate")
SEVERITY = 3


class RandomizedVersions(NamedTuple):
    """A dataset in several versions.

    Attributes:
      dataset: the dataset with the images, and the test images, of all versions concatenated.
      pixels: version of the training and test images by kind of pixels.
      corrupted: version of the test images by corruption.
    """

    dataset: Dataset
    pixels: dict[str, int]
    corrupted: dict[str, int]


def make_versions(dataset: Dataset, pixels: Sequence[str], seed: int) -> RandomizedVersions:
    """Draws all versions that a job needs, fixed for all its members.

    Version 0 always has the true pixels. If there are Gaussian pixels, all versions are float32.

    Args:
      dataset: a dataset with a test set.
      pixels: kinds of pixels that members train on.
      seed: seed of the job.
    """
    root = job_key(seed, JobDraw.VERSIONS)
    kinds = ["true", *(kind for kind in dict.fromkeys(pixels) if kind != "true")]
    train = [draw_version(kind, root, VersionDraw.TRAIN, dataset, dataset.images) for kind in kinds]
    test = [draw_version(kind, root, VersionDraw.TEST, dataset, dataset.test_images) for kind in kinds]
    names = test_corruptions(dataset)
    for i, name in enumerate(names):
        key = jax.random.fold_in(draw_key(root, VersionDraw.CORRUPT), i)
        test.append(corrupt(name, key, dataset, dataset.test_images, SEVERITY, constants_for(dataset)))
    whole = dataclasses.replace(dataset, images=np.concatenate(train), test_images=np.concatenate(test))
    by_pixels = {kind: i for i, kind in enumerate(kinds)}
    return RandomizedVersions(whole, by_pixels, {name: len(kinds) + i for i, name in enumerate(names)})


def test_corruptions(dataset: Dataset) -> tuple[str, ...]:
    """The corruptions of a dataset's test images; none if its images cannot be corrupted."""
    return TEST_CORRUPTIONS if can_corrupt(dataset.images.shape) else ()


def versions_bytes(dataset: Dataset, pixels: Sequence[str]) -> int:
    """Bytes of all versions on a device."""
    kinds, corrupted = len({"true", *pixels}), len(test_corruptions(dataset))
    stored = kinds * dataset.images.nbytes + (kinds + corrupted) * dataset.test_images.nbytes
    return stored * (4 // dataset.images.dtype.itemsize if "gaussian" in pixels else 1)


def draw_version(kind: str, root: jax.Array, part: VersionDraw, dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Training or test images with one kind of pixels."""
    key = draw_key(root, part)
    if kind == "true":
        return images
    if kind == "shuffled":
        # Training and test images share one permutation.
        return np.asarray(shuffle_pixels(draw_key(root, VersionDraw.SHUFFLE), jnp.asarray(images)))
    if kind == "random":
        return np.asarray(scatter_pixels(key, jnp.asarray(images)))
    axes = tuple(range(images.ndim - 1)) if dataset.has_images else 0
    values = dataset.images.astype(np.float64)
    mean, deviation = (jnp.asarray(moment, jnp.float32) for moment in (values.mean(axes), values.std(axes)))
    return np.asarray(draw_gaussian(key, jnp.asarray(images), mean=mean, deviation=deviation))


def measure_corrupted(
    corrupted: Sequence[int], config: EnsembleConfig, members: Member, variables: Variables, test: Examples
) -> dict[str, jax.Array]:
    """``corrupted_accuracy [m, k]``: accuracy of m members on k corrupted versions of the test images.

    NaN for members that are trained on another version than 0. To be used as `EpochMetrics.at_end`.

    Args:
      corrupted: the corrupted versions.
      config: config of the ensemble.
      members: the m members.
      variables: their variables.
      test: the test set in all versions.
    """
    version, accuracies = members.config.version, []
    for test_version in corrupted:
        predictions = predict_version(config, members, variables, test, test_version)
        accuracies.append(jnp.mean(predictions == test.labels[None], axis=1))
    table = jnp.stack(accuracies, axis=1)
    return {"corrupted_accuracy": table if version is None else jnp.where(version[:, None] == 0, table, jnp.nan)}
