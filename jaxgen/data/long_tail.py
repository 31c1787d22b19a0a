"""A long-tailed subset of a data set, and a balanced selection set held out of it."""

from typing import NamedTuple

import numpy as np

from jaxgen.config.longtail import TailSpec
from jaxgen.data.parts import stored_rows, take_rows
from jaxgen.errors import UserError
from jaxgen.keys import JobDraw, job_key
from jaxgen.transforms.tails import choose_tail, tail_counts
from jaxgen.types import Dataset

# By default, classes whose sizes differ by less than UNEQUAL times get a tail of imbalance USUAL; others have one.
UNEQUAL, USUAL = 2, 20.0


class LongTail(NamedTuple):
    """A long-tailed data set and its selection set.

    Attributes:
      dataset: the long-tailed training set, and the original test set.
      images, labels: the selection set: equally many examples of every class, never trained on; stored values.
    """

    dataset: Dataset
    images: np.ndarray
    labels: np.ndarray


def cut_tail(dataset: Dataset, spec: TailSpec, seed: int) -> LongTail:
    """Holds out a balanced selection set, then subsamples each class to the tail's profile, largest class first.

    Both draws depend on the job's seed alone: all models of a job are trained on the same examples.

    Args:
      dataset: with a test set.
      spec: flags of the tail.
      seed: of the job.

    Raises:
      UserError: if a class would be left without examples.
    """
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    if not counts.min():
        raise UserError(
            f"--num_examples: the class {dataset.class_names[counts.argmin()]} of {dataset.name} has no training "
            "example; take more"
        )
    each = int(spec.selection_share * counts.min())
    if not each:
        raise UserError(
            f"--selection_share={spec.selection_share:g}: is none of the {counts.min()} training examples of the class "
            f"{dataset.class_names[counts.argmin()]}; raise it"
        )
    selection_key = job_key(seed, JobDraw.SELECTION)
    chosen = np.asarray(choose_tail(selection_key, dataset.labels, np.full(len(counts), each)))
    left = np.flatnonzero(~chosen)
    imbalance = spec.imbalance or (USUAL if counts.max() < UNEQUAL * counts.min() else 1)
    if imbalance > 1:
        wanted = fitting_counts(spec.tail, imbalance, counts - each)
        if not min(wanted):
            raise UserError(f"--imbalance={imbalance:g}: leaves a class without an example; lower it")
        kept = choose_tail(job_key(seed, JobDraw.TAIL), dataset.labels[left], np.array(wanted))
        left = left[np.asarray(kept)]
    tail = take_rows(dataset, left)
    return LongTail(tail, stored_rows(dataset, chosen, tail), dataset.labels[chosen])


def fitting_counts(profile: str, imbalance: float, available: np.ndarray) -> list[int]:
    """Class sizes of the profile, with the largest head for which every class has enough examples."""
    for largest in range(int(available[0]), 0, -1):
        wanted = tail_counts(profile, imbalance, len(available), largest)
        if all(np.array(wanted) <= available):
            return wanted
    return [0] * len(available)
