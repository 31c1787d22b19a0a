"""A job on tables of two classes: what it takes, and what it refuses."""

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.config import LnrSpec, TabularSpec
from jaxgen.data import load_dataset
from jaxgen.data.keel import load_keel
from jaxgen.errors import UserError
from jaxgen.experiments.tabular.folds import Part, resample
from jaxgen.jobs.checks import refuse_idle
from jaxgen.types import Dataset

# The parts of a spec that this protocol heeds.
HEEDED = ("tabular", "flips")
# Flags of these parts that it takes no notice of.
IDLE = ("methods", "flip_rounds")
RESAMPLED = ("smote", "borderline_smote", "adasyn", "oversampling", "undersampling")


class TabularJob(NamedTuple):
    """All that is to be judged: every repeat of every fold of every table, by every classifier.

    Attributes:
      spec: what was asked for.
      tables: by name, 1 in the minority.
    """

    spec: LnrSpec
    tables: dict[str, Part]


def load_tables(spec: LnrSpec) -> list[Dataset]:
    """The data sets that are named by ``--keel``, or else the one of ``--dataset``."""
    return [load_keel(name) for name in spec.tabular.keel] if spec.tabular.keel else [load_dataset(spec.data)]


def as_table(dataset: Dataset, folds: int) -> Part:
    """All rows of a data set, those for testing too: folds are cut of them.

    Raises:
      UserError: unless they are rows of features in two classes, the smaller one of a row or more a fold, and some
        column varies.
    """
    if dataset.has_images or dataset.num_classes != 2:
        what = "images" if dataset.has_images else f"{dataset.num_classes} classes"
        raise UserError(f"--protocol=tabular: takes rows of features in two classes, and {dataset.name} has {what}")
    # As the source has them: each fold is standardized by its own training part, and knows nothing of other rows.
    x, y = dataset.features, dataset.labels
    if dataset.test_labels is not None:
        x, y = np.concatenate([x, dataset.test_features]), np.concatenate([y, dataset.test_labels])
    x, counts = x.astype(np.float64), np.bincount(y, minlength=2)
    if not np.ptp(x, axis=0).any():
        raise UserError(f"--protocol=tabular: all columns of {dataset.name} are constant; give some that vary")
    if counts.min() < folds:
        raise UserError(f"--folds={folds}: the smaller class of {dataset.name} has {counts.min()} rows; take fewer")
    return Part(x, (y == counts.argmin()).astype(int))


def are_tables(datasets: Sequence[Dataset], spec: LnrSpec) -> bool:
    """Whether data are judged in folds: by the flags, or else because they are rows of features in two classes.

    Raises:
      UserError: for flags that contradict each other.
    """
    own = spec.tabular
    if own.keel and (spec.data.dataset != LnrSpec().data.dataset or own.protocol == "two_stage"):
        raise UserError("--keel: takes the place of --dataset, and is for --protocol=tabular; leave one of them out")
    if own.keel or own.protocol == "tabular":
        return True
    [dataset] = datasets
    return own.protocol == "auto" and not dataset.has_images and dataset.num_classes == 2


def make_table_job(
    datasets: Sequence[Dataset], spec: LnrSpec, *, log: Callable[[str], None] | None = None
) -> TabularJob:
    """The job that `spec` asks for.

    Args:
      datasets: of rows.
      spec: flags.
      log: takes a line about what is left out.

    Raises:
      UserError: for what the data do not suit, and for a package that is missing.
    """
    refuse_idle(spec, HEEDED, "--protocol=tabular", IDLE)
    tables = {dataset.name: as_table(dataset, spec.tabular.folds) for dataset in datasets}
    treatments = spec.tabular.treatments
    if treatments == TabularSpec().treatments and importlib.util.find_spec("imblearn") is None:
        treatments = tuple(name for name in treatments if name not in RESAMPLED)
        if log:
            log(f"{', '.join(RESAMPLED)} are left out: pip install -e '.[imbalance]' for imbalanced-learn")
    for name in {*RESAMPLED} & {*treatments}:
        resample(next(iter(tables.values())), name, 0)
    own = dataclasses.replace(spec.tabular, treatments=treatments)
    return TabularJob(dataclasses.replace(spec, tabular=own), tables)
