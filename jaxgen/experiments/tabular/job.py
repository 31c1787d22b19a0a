"""A job on binary tables: its data and checks."""

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.config import DataSpec, LnrSpec, TabularSpec
from jaxgen.config.fields import flag_values
from jaxgen.data import load_dataset
from jaxgen.data.keel import load_keel
from jaxgen.errors import UserError
from jaxgen.experiments.tabular.folds import Table, resample
from jaxgen.jobs.checks import refuse_idle
from jaxgen.types import Dataset
from jaxgen.wording import count_of

# Parts of the spec that this protocol uses.
USED_PARTS = ("tabular", "flips")
# Flags of these parts that it does not use.
UNUSED_FLAGS = ("methods", "flip_rounds")
RESAMPLERS = ("smote", "borderline_smote", "adasyn", "oversampling", "undersampling")


class TabularJob(NamedTuple):
    """A job on tables: every classifier on every fold of every repeat of every table.

    Attributes:
      spec: the flags.
      tables: by name.
    """

    spec: LnrSpec
    tables: dict[str, Table]


def load_tables(spec: LnrSpec) -> list[Dataset]:
    """Loads the data sets of ``--keel``, or else the one of ``--dataset``."""
    return [load_keel(name) for name in spec.tabular.keel] if spec.tabular.keel else [load_dataset(spec.data)]


def as_table(dataset: Dataset, folds: int) -> Table:
    """All rows of a data set, test rows included, as one table.

    Raises:
      UserError: for images, more or fewer than two classes, constant columns only, or a class with fewer rows than
        folds.
    """
    if dataset.has_images or dataset.num_classes != 2:
        kind = "images" if dataset.has_images else f"{dataset.num_classes} classes"
        raise UserError(f"--protocol=tabular: takes rows of features in two classes, and {dataset.name} has {kind}")
    # Unstandardized: each fold is standardized by its own training part.
    x, y = dataset.features, dataset.labels
    if dataset.test_labels is not None:
        x, y = np.concatenate([x, dataset.test_features]), np.concatenate([y, dataset.test_labels])
    x, counts = x.astype(np.float64), np.bincount(y, minlength=2)
    with np.errstate(invalid="ignore"):
        varies = np.fmax.reduce(x) > np.fmin.reduce(x)
    if not varies.any():
        raise UserError(f"--protocol=tabular: all columns of {dataset.name} are constant; give some that vary")
    if counts.min() < folds:
        raise UserError(
            f"--folds={folds}: the smaller class of {dataset.name} has {count_of(int(counts.min()), 'row')}; take fewer"
        )
    return Table(x, (y == counts.argmin()).astype(int))


def are_tables(datasets: Sequence[Dataset], spec: LnrSpec) -> bool:
    """Whether to use the protocol of this package: by the flags, or else for binary tables.

    Raises:
      UserError: for flags that contradict each other.
    """
    flags = spec.tabular
    if flags.keel and (spec.data.dataset != LnrSpec().data.dataset or flags.protocol == "two_stage"):
        raise UserError("--keel: takes the place of --dataset, and is for --protocol=tabular; leave one of them out")
    if flags.keel and spec.data != DataSpec():
        given, default = flag_values(spec.data), flag_values(DataSpec())
        name = next(name for name, value in given.items() if value != default[name])
        raise UserError(
            f"--{name}={given[name]}: does not go with --keel, whose tables are read as they are; leave it out"
        )
    if flags.keel or flags.protocol == "tabular":
        return True
    [dataset] = datasets
    return flags.protocol == "auto" and not dataset.has_images and dataset.num_classes == 2


def make_table_job(
    datasets: Sequence[Dataset], spec: LnrSpec, *, log: Callable[[str], None] | None = None
) -> TabularJob:
    """Makes and checks the job of a spec.

    Args:
      datasets: binary tables.
      spec: the flags.
      log: called with a line about treatments that are left out.

    Raises:
      UserError: for flags that do not suit the data, and for a missing package.
    """
    refuse_idle(spec, USED_PARTS, "--protocol=tabular", UNUSED_FLAGS)
    tables = {dataset.name: as_table(dataset, spec.tabular.folds) for dataset in datasets}
    treatments = spec.tabular.treatments
    if treatments == TabularSpec().treatments and importlib.util.find_spec("imblearn") is None:
        treatments = tuple(name for name in treatments if name not in RESAMPLERS)
        if log:
            log(f"{', '.join(RESAMPLERS)} are left out: pip install -e '.[imbalance]' for imbalanced-learn")
    for name in {*RESAMPLERS} & {*treatments}:
        resample(next(iter(tables.values())), name, 0)
    tabular = dataclasses.replace(spec.tabular, treatments=treatments)
    return TabularJob(dataclasses.replace(spec, tabular=tabular), tables)
