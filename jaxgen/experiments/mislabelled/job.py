"""A search for mislabelled examples: its data and checks."""

from typing import NamedTuple

from jaxgen.config import MislabelledSpec
from jaxgen.data import load_dataset
from jaxgen.experiments.mislabelled.search import check_search
from jaxgen.types import Dataset


class MislabelledJob(NamedTuple):
    """A search for mislabelled examples; with ``--inject``, a benchmark of scores.

    Attributes:
      dataset: the examples.
      spec: the flags.
    """

    dataset: Dataset
    spec: MislabelledSpec


def load(spec: MislabelledSpec) -> Dataset:
    """Loads the data, after checking the flags."""
    check_search(spec)
    return load_dataset(spec.data)
