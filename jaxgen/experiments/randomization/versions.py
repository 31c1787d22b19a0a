"""The versions of a data set that one job shows: true, shuffled, random, Gaussian pixels; and corrupted tests."""

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

# Corruptions of the test images under which every model is examined, and how severe.
WATCHED = ("gaussian_noise", "gaussian_blur", "occlusion", "pixelate")
SEVERITY = 3


class Versions(NamedTuple):
    """A data set in several versions.

    Attributes:
      dataset: its images are all versions, one after the other, and so are its test images.
      pixels: kinds of pixels: the version of training and of test images with such pixels.
      corrupted: by corruption of the true test images, the version.
    """

    dataset: Dataset
    pixels: dict[str, int]
    corrupted: dict[str, int]


def make_versions(dataset: Dataset, pixels: Sequence[str], seed: int) -> Versions:
    """All versions that a job needs, drawn once and fixed for all its members.

    Version 0 has the true pixels, whether a member sees them or not. With Gaussian pixels, which are no bytes, all are
    float32.

    Args:
      dataset: with a test set.
      pixels: the kinds that members see.
      seed: of the job.
    """
    root = job_key(seed, JobDraw.VERSIONS)
    kinds = ["true", *(kind for kind in dict.fromkeys(pixels) if kind != "true")]
    train = [draw_version(kind, root, VersionDraw.TRAIN, dataset, dataset.images) for kind in kinds]
    test = [draw_version(kind, root, VersionDraw.TEST, dataset, dataset.test_images) for kind in kinds]
    names = watched(dataset)
    for i, name in enumerate(names):
        key = jax.random.fold_in(draw_key(root, VersionDraw.CORRUPT), i)
        test.append(corrupt(name, key, dataset, dataset.test_images, SEVERITY, constants_for(dataset)))
    whole = dataclasses.replace(dataset, images=np.concatenate(train), test_images=np.concatenate(test))
    places = {kind: i for i, kind in enumerate(kinds)}
    return Versions(whole, places, {name: len(kinds) + i for i, name in enumerate(names)})


def watched(dataset: Dataset) -> tuple[str, ...]:
    """The corruptions of its test images, if it has images that can be corrupted."""
    return WATCHED if can_corrupt(dataset.images.shape) else ()


def versions_bytes(dataset: Dataset, pixels: Sequence[str]) -> int:
    """What all versions take on a device."""
    kinds, corrupted = len({"true", *pixels}), len(watched(dataset))
    stored = kinds * dataset.images.nbytes + (kinds + corrupted) * dataset.test_images.nbytes
    return stored * (4 // dataset.images.dtype.itemsize if "gaussian" in pixels else 1)


def draw_version(kind: str, root: jax.Array, part: VersionDraw, dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Training or test images with pixels of a kind."""
    key = draw_key(root, part)
    if kind == "true":
        return images
    if kind == "shuffled":
        # The test images are permuted as the training images are.
        return np.asarray(shuffle_pixels(draw_key(root, VersionDraw.SHUFFLE), jnp.asarray(images)))
    if kind == "random":
        return np.asarray(scatter_pixels(key, jnp.asarray(images)))
    axes = tuple(range(images.ndim - 1)) if dataset.has_images else 0
    known = dataset.images.astype(np.float64)
    mean, deviation = (jnp.asarray(found, jnp.float32) for found in (known.mean(axes), known.std(axes)))
    return np.asarray(draw_gaussian(key, jnp.asarray(images), mean=mean, deviation=deviation))


def measure_corrupted(
    corrupted: Sequence[int], config: EnsembleConfig, members: Member, variables: Variables, test: Examples
) -> dict[str, jax.Array]:
    """``corrupted_accuracy [m, k]``: of trained members on k versions of the test images, as `EpochMetrics.at_end`.

    NaN for a member that is trained on another version than 0.

    Args:
      corrupted: the versions.
      config: of all members.
      members: m of them.
      variables: what they predict with.
      test: the test set in all versions.
    """
    version, accuracies = members.config.version, []
    for each in corrupted:
        predictions = predict_version(config, members, variables, test, each)
        accuracies.append(jnp.mean(predictions == test.labels[None], axis=1))
    table = jnp.stack(accuracies, axis=1)
    return {"corrupted_accuracy": table if version is None else jnp.where(version[:, None] == 0, table, jnp.nan)}
