"""Injects known label noise into a data set, to evaluate how well scores find wrong labels."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config.mislabelled import Injection
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.errors import UserError
from jaxgen.keys import JobDraw, job_key
from jaxgen.transforms.labels import make_noise
from jaxgen.types import Dataset


class Noise(NamedTuple):
    """Label noise to inject, with its transition matrix ``[c, c]`` if it has one."""

    injection: Injection
    matrix: np.ndarray | None


class Injected(NamedTuple):
    """A data set with injected label noise.

    Attributes:
      dataset: with noisy training labels.
      wrong: bool ``[n]``: which labels were changed; original errors are unknown and count as right.
    """

    dataset: Dataset
    wrong: np.ndarray


def load_noise(injection: Injection, num_classes: int) -> Noise:
    """The noise of an injection, with its matrix read from its file.

    Raises:
      UserError: if the file holds no transition matrix.
    """
    if not injection.file:
        return Noise(injection, None)
    return Noise(injection, load_noise_matrix(injection.file, num_classes, said=f"--inject={injection.text}"))


def inject(dataset: Dataset, noise: Noise, seed: int, repeat: int) -> Injected:
    """Injects noise into the training labels, drawn by seed and repeat; test labels stay as they are.

    Raises:
      UserError: if no label, or every one, would change.
    """
    with jax.enable_x64(False):
        key = jax.random.fold_in(job_key(seed, JobDraw.INJECTION), repeat)
        # Only instance-dependent noise needs the pixels.
        inputs = dataset.images if noise.injection.kind == "instance" else dataset.images[:, :0]
        corrupt = make_noise(noise.injection.kind, dataset.num_classes, noise.matrix)
        images = jnp.asarray(inputs, jnp.float32) * dataset.scale
        noisy = corrupt(key, jnp.asarray(dataset.labels), noise.injection.rate, images)
        labels, wrong = np.asarray(noisy.labels, np.int32), np.asarray(noisy.changed)
    if not 0 < wrong.sum() < len(wrong):
        raise UserError(
            f"--inject={noise.injection.text}: changes {wrong.sum()} of {len(wrong)} labels; give another rate, or "
            "more examples"
        )
    return Injected(dataclasses.replace(dataset, labels=labels), wrong)
