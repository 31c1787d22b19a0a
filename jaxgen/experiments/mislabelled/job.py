"""A search for mislabelled examples: what is refused, and the C-score job underneath."""

from typing import NamedTuple

from jaxgen.config import MislabelledSpec
from jaxgen.data import load_dataset
from jaxgen.experiments.mislabelled.search import check_search
from jaxgen.types import Dataset


class MislabelledJob(NamedTuple):
    """All that is to be searched.

    Attributes:
      dataset: the examples.
      spec: what was asked for; with `inject`, all scores are judged by how they find known noise.
    """

    dataset: Dataset
    spec: MislabelledSpec


def load(spec: MislabelledSpec) -> Dataset:
    """The data; what cannot be searched for is refused before they are read."""
    check_search(spec)
    return load_dataset(spec.data)
