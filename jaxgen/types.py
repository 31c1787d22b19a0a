"""Containers that modules exchange: data sets, outcomes of trained members, scores.

Axes: m members, n training examples, t test examples, k ratios, c classes, e epochs, h w d image.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen import notebook

# Prefix of the names of a run's arrays with per-example training statistics.
TRACKED = "tracked_"


class ChannelMoments(NamedTuple):
    """Mean and standard deviation of each of d channels over a set of images, ``[d]``, of scaled values.

    1 stands for the deviation of a constant channel.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples in host memory; `jaxgen.data.checks.make_dataset` makes one with checked and mapped labels.

    Attributes:
      name: short name, used in titles and folder names.
      images: ``[n, h, w, d]`` uint8 or float32 images, or ``[n, f]`` float32 features. If members of an experiment are
        given different versions, v versions are concatenated, ``[v*n, ...]``.
      labels: int32 ``[n]`` in ``0..c-1``.
      class_names: names of the c classes.
      ids: ``[n]`` integers or text: ids of the examples in their source (original index or file name).
      scale: networks receive stored values times this.
      test_images, test_labels: the same for t test examples, or None.
      test_ids: ``[t]``: ids of the test examples in their source, or None if unknown.
      whiten: whether networks receive every image standardized to mean 0 and standard deviation 1.
      channel_moments: those of all training images of the source, if networks receive images minus the mean of each
        channel and divided by its deviation; else None.
      probes, probe_labels: p further examples on which members are evaluated at the end, with v versions of the images
        concatenated, ``[v*p, ...]``; or None.
      features, test_features: the features before standardization, ``[n, f]`` and ``[t, f]``, so that they can be
        standardized by a part of the rows; NaN where a value is missing; None for images.
      impute: what `images` hold in place of missing values: the mean or the median of the column in the training
        examples; none: no value is missing.
      shift, spread: stored values are (source value - shift) / spread, or 0 where the spread is 0, as it is of constant
        columns; scalars or ``[f]``.
      fill: what missing features are taken for, ``[f]``; None if none may be missing.
      notes: what was left out, changed or assumed when the source was read, one clause each.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    ids: np.ndarray
    scale: float = 1.0
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    features: np.ndarray | None = None
    test_features: np.ndarray | None = None
    shift: np.ndarray | float = 0.0
    spread: np.ndarray | float = 1.0
    impute: str = "none"
    fill: np.ndarray | None = None
    whiten: bool = False
    channel_moments: ChannelMoments | None = None
    probes: np.ndarray | None = None
    probe_labels: np.ndarray | None = None
    test_ids: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """The number of classes, c."""
        return len(self.class_names)

    @property
    def has_images(self) -> bool:
        """Whether the examples are images, rather than rows of features."""
        return self.images.ndim == 4

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that affects training: values, labels, shapes, scale, number of classes."""
        normalized = " whitened" * self.whiten + (f" {self.channel_moments}" if self.channel_moments else "")
        digest = hashlib.sha256(f"{self.scale!r} {self.num_classes}{normalized}".encode())
        for array in (self.images, self.labels, self.test_images, self.test_labels):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Outcome(NamedTuple):
    """Outcomes of m trained members, on the host; booleans are packed eight to a byte along the last axis.

    Attributes:
      trained_on: uint8 ``[m, ceil(n/8)]`` packed: the examples of the member's subset, its validation examples
        included; it held out all others.
      correct: uint8 ``[m, ceil(n/8)]`` packed: which of all n examples it predicts correctly after training, held-out
        ones included.
      test_correct: uint8 ``[m, ceil(t/8)]`` packed: the same for test examples; t = 0 without a test set.
      loss_curve: float32 ``[m, e]``: mean training loss over the steps of each epoch; NaN after an early stop.
      epochs: int32 ``[m]``: the epoch after which the variables were kept: the last, or the best on validation
        examples.
      finite: bool ``[m]``: False if training diverged.
      validation: uint8 ``[m, ceil(n/8)]`` packed: the examples of `trained_on` used only for early stopping; ``[m, 0]``
        without validation examples.
      measures: further measurements of the experiment by name, ``[m, ...]``.
    """

    trained_on: np.ndarray
    correct: np.ndarray
    test_correct: np.ndarray
    loss_curve: np.ndarray
    epochs: np.ndarray
    finite: np.ndarray
    validation: np.ndarray
    measures: Mapping[str, np.ndarray] = {}

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields and measures by name, as stored in a file."""
        fields = self._asdict()
        return {**fields.pop("measures"), **fields}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], measures: Sequence[str] = ()) -> "Outcome":
        """The inverse of `arrays`, with the named measures; other arrays are ignored."""
        fields = [arrays[name] for name in cls._fields if name != "measures"]
        return cls(*fields, {name: arrays[name] for name in measures})


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """C-scores with their counts and standard errors: the contents of ``cscores.npz``.

    Attributes:
      scores: float64 ``[n]``: mean over ratios of the held-out accuracy of each example, in [0, 1];
        NaN if an example was never held out at some ratio.
      labels: int64 ``[n]``.
      ids: ``[n]``: ids of the examples in their source.
      stderr: float64 ``[n]``: standard error of `scores`, by the subset design; NaN if an example was held out fewer
        than twice at some ratio.
      counts: int64 ``[k, n]``: number of held-out observations for each entry of `scores_by_ratio`.
      scores_by_ratio: float64 ``[k, n]``; NaN where the count is 0.
      subset_ratios: float64 ``[k]``.
      num_runs: models per ratio.
      class_names: ``[c]`` text.
      heldout_accuracy: float64 ``[k, runs]``: accuracy of each run on its held-out examples; NaN for a diverged run.
      reliability: float64 ``[s]``: split-half correlation of `scores` with Spearman-Brown correction, for each random
        split; empty if there are too few blocks to split.
      metadata: versions, flags, dataset fingerprint, width, seconds of all runs; devices, models and seconds of the
        last call.
      more: all other arrays of the file by key: the scores of `jaxgen.scores.registry`, their standard errors, and
        further arrays about the examples.
    """

    scores: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    stderr: np.ndarray
    counts: np.ndarray
    scores_by_ratio: np.ndarray
    subset_ratios: np.ndarray
    num_runs: int
    class_names: np.ndarray
    heldout_accuracy: np.ndarray
    reliability: np.ndarray
    metadata: dict[str, Any]
    more: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        return notebook.scores_as_text(self)

    def _repr_html_(self) -> str:
        return notebook.scores_as_html(self)

    def least_regular(self, count: int = 5) -> np.ndarray:
        """Indices of the `count` examples with the lowest scores, ascending; examples without a score are left out."""
        order = np.argsort(self.scores, kind="stable")
        return order[: min(count, int(np.isfinite(self.scores).sum()))]
