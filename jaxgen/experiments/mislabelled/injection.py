"""Injects known label noise into a data set, drawn or from a file, to evaluate how well scores find wrong labels."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config.mislabelled import Injection
from jaxgen.data.label_file import NoisyLabels, load_noisy_labels
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.errors import UserError
from jaxgen.keys import JobDraw, job_key
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.transforms.labels import make_noise
from jaxgen.types import Dataset


class Noise(NamedTuple):
    """Label noise to inject, with its transition matrix ``[c, c]`` or its labels if it has them."""

    injection: Injection
    matrix: np.ndarray | None = None
    noisy: NoisyLabels | None = None


class Injected(NamedTuple):
    """A data set with injected label noise.

    Attributes:
      dataset: with noisy training labels.
      wrong: bool ``[n]``: which labels were changed; original errors are unknown and count as right.
      described: how many labels that are, in words.
    """

    dataset: Dataset
    wrong: np.ndarray
    described: str


def load_noise(injection: Injection, dataset: Dataset) -> Noise:
    """The noise of an injection for a data set, with its matrix or its labels read from its file.

    Raises:
      UserError: if the file holds no transition matrix, or no labels of these examples.
    """
    said = f"--inject={injection.text}"
    if injection.kind == "file":
        return Noise(injection, noisy=load_noisy_labels(injection.file, injection.key, dataset, said))
    if not injection.file:
        return Noise(injection)
    return Noise(injection, load_noise_matrix(injection.file, dataset.num_classes, said=said))


def inject(dataset: Dataset, noise: Noise, seed: int, repeat: int) -> Injected:
    """Injects noise into the training labels, drawn by seed and repeat unless from a file; test labels stay.

    Raises:
      UserError: if no label, or every one, would change.
    """
    if noise.noisy:
        labels, matched = noise.noisy
        wrong = labels != dataset.labels
        described = f"{wrong.sum():,} of {len(wrong):,} labels differ from the data's, rows of the file taken {matched}"
        return Injected(dataclasses.replace(dataset, labels=labels), wrong, described)
    with fixed_settings():
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
    described = f"{wrong.sum():,} of {len(wrong):,} labels changed"
    return Injected(dataclasses.replace(dataset, labels=labels), wrong, described)
