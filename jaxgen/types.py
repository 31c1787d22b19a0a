"""The arrays that travel between the parts: data sets, rows of members, what members got right, scores.

Axes: m members, n training examples, t test examples, k ratios, c classes, e epochs, h w d image.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen import notebook

# What the names of a run's arrays begin with that tell of single examples while it was trained: many small numbers.
TRACKED = "tracked_"


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples in host memory; make one with `jaxgen.data.make_dataset`, which checks and maps labels.

    Attributes:
      name: short name, used in titles and folder names.
      images: ``[n, h, w, d]`` uint8 or float32 images, or ``[n, f]`` float32 features; or v versions of them, one after
        the other, ``[v*n, ...]``, where an experiment shows its members different ones.
      labels: int32 ``[n]`` in ``0..c-1``.
      class_names: the c classes' names.
      ids: ``[n]`` integers or text: each example's id in its source (original index, or file name).
      scale: a stored value times this is what a network sees.
      test_images, test_labels: the same for t test examples, or None.
      test_ids: ``[t]``: each test example's id in its source, or None where that is not known.
      whiten: whether a network sees every image with mean 0 and deviation 1.
      probes, probe_labels: p more examples on which members are examined in the end, images in v versions one after the
        other, ``[v*p, ...]``; or None.
      features, test_features: rows of features as their source has them, ``[n, f]`` and ``[t, f]``, for those who
        standardize by a part of the rows; None of images, and once rows are held out.
      shift, spread: what is stored is (a value as its source has it - shift) / spread; one number, or ``[f]``.
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
    whiten: bool = False
    probes: np.ndarray | None = None
    probe_labels: np.ndarray | None = None
    test_ids: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def has_images(self) -> bool:
        """Whether the examples are images (and not rows of features)."""
        return self.images.ndim == 4

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that training sees: values, labels, shapes, scale and the number of classes."""
        digest = hashlib.sha256(f"{self.scale!r} {self.num_classes}{' whitened' * self.whiten}".encode())
        for array in (self.images, self.labels, self.test_images, self.test_labels):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Outcome(NamedTuple):
    """What m trained members got right, on the host; booleans are packed eight to a byte along the last axis.

    Attributes:
      trained_on: uint8 ``[m, ceil(n/8)]`` packed: which examples the member trained on, or was stopped by.
      correct: uint8 ``[m, ceil(n/8)]`` packed: which training examples it classifies as labelled, after training.
      test_correct: uint8 ``[m, ceil(t/8)]`` packed, t = 0 without a test set.
      loss_curve: float32 ``[m, e]``: mean training loss over each epoch's steps; NaN after an early stop.
      epochs: int32 ``[m]``: after so many epochs the weights were taken: the last, or the best on validation examples.
      finite: bool ``[m]``: False where training diverged.
      validation: uint8 ``[m, ceil(n/8)]`` packed: which of `trained_on` the member was only stopped by; ``[m, 0]``
        without a validation share.
      measures: what else the experiment measures of each member, by name, ``[m, ...]``.
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
        """All of it by name, for a file."""
        fields = self._asdict()
        return {**fields.pop("measures"), **fields}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], measures: Sequence[str] = ()) -> "Outcome":
        """Those of `arrays` that belong to an outcome, and the named measures."""
        fields = [arrays[name] for name in cls._fields if name != "measures"]
        return cls(*fields, {name: arrays[name] for name in measures})


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """C-scores with their counts and standard errors: the contents of ``cscores.npz``.

    Attributes:
      scores: float64 ``[n]``: mean over ratios of the held-out accuracy of each example, in [0, 1];
        NaN where an example was never held out at some ratio.
      labels: int64 ``[n]``.
      ids: ``[n]``: the example's id in its source.
      stderr: float64 ``[n]``: standard error of `scores` for the design used; NaN where it cannot be estimated
        (an example held out fewer than twice at some ratio).
      counts: int64 ``[k, n]``: held-out observations behind each entry of `scores_by_ratio`.
      scores_by_ratio: float64 ``[k, n]``; NaN where the count is 0.
      subset_ratios: float64 ``[k]``.
      num_runs: models per ratio.
      class_names: ``[c]`` text.
      heldout_accuracy: float64 ``[k, runs]``: each run's accuracy on the examples it held out; NaN for a diverged run.
      reliability: float64 ``[s]``: Spearman-Brown corrected split-half correlation of `scores`, one a random split;
        empty where there are too few blocks to split.
      metadata: versions, flags, dataset fingerprint, width, seconds of all runs; devices, models and seconds of the
        last call.
      more: every further array of the file by its key: the scores that `jaxgen.scores.registry` lists, their errors,
        and what else is known of the examples.
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

    def _repr_html_(self) -> str:
        return notebook.scores_as_html(self)

    def least_regular(self, count: int = 5) -> np.ndarray:
        """Positions of the `count` examples of lowest score, lowest first; unscored ones are left out."""
        order = np.argsort(self.scores, kind="stable")
        return order[: min(count, int(np.isfinite(self.scores).sum()))]
