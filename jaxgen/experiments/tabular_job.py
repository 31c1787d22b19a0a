"""A job on tables of two classes: what is refused, the plan, a repeat of all folds at a time, kept as it is done."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen import spec as words
from jaxgen.errors import UserError
from jaxgen.experiments.cscore_job import CIRCUMSTANCES, NUMERICS
from jaxgen.experiments.tables import to_table
from jaxgen.experiments.tabular import MEASURES, Fold, Judged, Part, judge_fold, out_of_fold, resample, split
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, Plan, cut_chunks
from jaxgen.runs.progress import Report
from jaxgen.runs.store import Arrays, Store, open_store
from jaxgen.spec import LnrSpec
from jaxgen.transforms.lnr import lnr_flip_binary
from jaxgen.types import Dataset

# The parts of a spec that this protocol heeds, and their flags that decide no fold.
HEEDED = ("tabular", "flips")
NO_FOLD = {"keel", "methods", "what_if", "protocol"}
RESAMPLED = ("smote", "borderline_smote", "adasyn", "oversampling", "undersampling")


class TableJob(NamedTuple):
    """All that is to be judged: every repeat of every fold of every table, by every classifier.

    Attributes:
      spec: what was asked for.
      tables: by name, 1 in the minority.
    """

    spec: LnrSpec
    tables: dict[str, Part]


def as_table(dataset: Dataset, folds: int) -> Part:
    """All rows of a data set, those for testing too: folds are cut of them.

    Raises:
      UserError: unless they are rows of features in two classes, the smaller one of a row or more a fold.
    """
    if dataset.has_images or dataset.num_classes != 2:
        what = "images" if dataset.has_images else f"{dataset.num_classes} classes"
        raise UserError(f"--protocol=tabular: takes rows of features in two classes, and {dataset.name} has {what}")
    x, y = dataset.images, dataset.labels
    if dataset.test_labels is not None:
        x, y = np.concatenate([x, dataset.test_images]), np.concatenate([y, dataset.test_labels])
    counts = np.bincount(y, minlength=2)
    if counts.min() < folds:
        raise UserError(f"--folds={folds}: the smaller class of {dataset.name} has {counts.min()} rows; take fewer")
    return Part(x.astype(np.float64), (y == counts.argmin()).astype(int))


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


def make_table_job(datasets: Sequence[Dataset], spec: LnrSpec, *, say: Callable[[str], None] | None = None) -> TableJob:
    """The job that `spec` asks for.

    Args:
      datasets: of rows.
      spec: flags.
      say: takes a line about what is left out.

    Raises:
      UserError: for what the data do not suit, and for a package that is missing.
    """
    refuse_idle(spec, HEEDED, "--protocol=tabular")
    tables = {dataset.name: as_table(dataset, spec.tabular.folds) for dataset in datasets}
    treatments = spec.tabular.treatments
    if treatments == words.TabularSpec().treatments and importlib.util.find_spec("imblearn") is None:
        treatments = tuple(name for name in treatments if name not in RESAMPLED)
        if say:
            say(f"{', '.join(RESAMPLED)} are left out: pip install -e '.[imbalance]' for imbalanced-learn")
    for name in {*RESAMPLED} & {*treatments}:
        resample(next(iter(tables.values())), name, 0)
    own = dataclasses.replace(spec.tabular, treatments=treatments)
    return TableJob(dataclasses.replace(spec, tabular=own), tables)


def refuse_idle(spec: LnrSpec, heeded: Sequence[str], protocol: str) -> None:
    """Refuses flags that a protocol takes no notice of.

    Raises:
      UserError: naming the first.
    """
    usual = LnrSpec()
    for field in dataclasses.fields(LnrSpec):
        part = getattr(spec, field.name)
        if field.name in (*heeded, "data", "compute") or not dataclasses.is_dataclass(part):
            continue
        for name, value in words.values(part).items():
            if value != words.values(getattr(usual, field.name))[name] and name != "protocol":
                raise UserError(f"--{name}={words.format_value(value)}: does nothing with {protocol}; leave it out")


def open_table_store(job: TableJob) -> Store:
    """The store of the job below ``spec.out``: a cell for each table, a run for each repeat."""
    given = words.values(job.spec.tabular) | words.values(job.spec.flips)
    flags = {name: value for name, value in given.items() if name not in NO_FOLD}
    digest = hashlib.sha256()
    for part in job.tables.values():
        digest.update(np.ascontiguousarray(part.x).data)
        digest.update(np.ascontiguousarray(part.y).data)
    identity = {f"--{name}": words.format_value(value) for name, value in flags.items() if name not in CIRCUMSTANCES}
    identity |= {"--seed": str(job.spec.seed), "the data": f"{','.join(job.tables)} {digest.hexdigest()[:12]}"}
    identity |= {"the numerics version": str(NUMERICS), "the experiment": "lnr on tables"}
    each = len(job.spec.tabular.classifiers) * job.spec.tabular.folds
    plan = Plan(identity, dict.fromkeys(job.tables, job.spec.num_runs))
    return open_store(pathlib.Path(job.spec.out) / "store", plan, each * (8 * 3 * 8 + 16) + 500)


def fold_seed(seed: int, run: int, fold: int) -> int:
    """Of all draws of a fold."""
    return int(np.random.SeedSequence([seed, run, fold]).generate_state(1)[0] >> 1)


def judge_table(job: TableJob, jobs: int, chunk: Chunk, report: Report) -> Arrays:
    """All folds of repeats of a table, by all classifiers, side by side."""
    from joblib import Parallel, delayed

    part, own = job.tables[chunk.cell], job.spec.tabular
    began, runs = time.perf_counter(), range(chunk.start, chunk.stop)
    tasks = []
    for run in runs:
        folds = split(part, own.folds, fold_seed(job.spec.seed, run, own.folds))
        for i, (train, test) in enumerate(folds):
            fold = Fold(train, test, fold_seed(job.spec.seed, run, i))
            tasks += [delayed(judge_fold)(fold, classifier, job.spec) for classifier in own.classifiers]
    judged: list[Judged] = []
    for one in Parallel(jobs, return_as="generator")(tasks):
        judged.append(one)
        report(table_work(job, chunk.cell) / (len(tasks) / len(runs)))
    shape = len(runs), own.folds, len(own.classifiers)
    return {
        "run": np.array(runs),
        "seconds": np.full(len(runs), (time.perf_counter() - began) / len(runs)),
        "finite": np.ones(len(runs), bool),
        "scores": np.array([one.scores for one in judged]).reshape(*shape, -1, len(MEASURES)),
        "threshold": np.array([one.threshold for one in judged]).reshape(shape),
        "flips": np.array([one.flips for one in judged]).reshape(shape),
        "refused": np.array([one.refused for one in judged]).reshape(*shape, -1),
    }


def table_work(job: TableJob, name: str) -> float:
    """The work of a repeat, in rows and something for each fit."""
    return len(job.tables[name].y) + 300.0


def run_tables(job: TableJob, *, resume: str, say: Callable[[str], None] | None) -> list[dict[str, Any]]:
    """Judges what is missing; a row for each table, repeat, fold, classifier and treatment."""
    import joblib

    store = open_table_store(job)
    store.verify(say or (lambda line: None))
    if say:
        for name, part in job.tables.items():
            minority = int(part.y.sum())
            say(f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {minority:,} of them of the minority")
    store.settle({"width": 1})
    # One process a core; a fold is too short to be divided further.
    jobs = job.spec.compute.num_devices or joblib.cpu_count()
    with on_the_cpu():
        train_chunks(
            store,
            cut_chunks(store.missing(), 1),
            functools.partial(judge_table, job, jobs),
            functools.partial(table_work, job),
            resume=resume,
            shown=say is not None,
        )
    return list(itertools.chain.from_iterable(fold_rows(job, name, store.runs(name)) for name in job.tables))


@contextlib.contextmanager
def on_the_cpu() -> Iterator[None]:
    """Keeps processes that are started meanwhile off accelerators, which each of them would claim for itself."""
    before = os.environ.get("JAX_PLATFORMS")
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAX_PLATFORMS"]
        else:
            os.environ["JAX_PLATFORMS"] = before


def fold_rows(job: TableJob, name: str, chunks: Any) -> list[dict[str, Any]]:
    """The rows of a table."""
    own, rows = job.spec.tabular, []
    for arrays in chunks:
        for i, run in enumerate(arrays["run"]):
            for fold, (c, classifier), (t, treatment) in itertools.product(
                range(own.folds), enumerate(own.classifiers), enumerate(own.treatments)
            ):
                flipping = treatment in ("lnr", "random_flips")
                scores = arrays["scores"][i, fold, c, t]
                rows.append(
                    {
                        "table": name,
                        "run": int(run),
                        "fold": fold,
                        "classifier": classifier,
                        "treatment": treatment,
                        "threshold": float(arrays["threshold"][i, fold, c]) if flipping else "",
                        "flips": int(arrays["flips"][i, fold, c]) if flipping else 0,
                        "refused": bool(arrays["refused"][i, fold, c, t]),
                        **dict(zip(MEASURES, map(float, scores), strict=True)),
                    }
                )
    return rows


def describe_folds(job: TableJob) -> str:
    """What would be judged."""
    own = job.spec.tabular
    each = own.folds * len(own.classifiers)
    thresholds = len(job.spec.flips.threshold) if {"lnr", "random_flips"} & {*own.treatments} else 0
    models = each * (len(own.treatments) + own.inner_folds * thresholds) * job.spec.num_runs
    missing = sum(span.stop - span.start for spans in open_table_store(job).missing().values() for span in spans)
    return (
        f"{len(job.tables)} tables, {job.spec.num_runs} divisions into {own.folds} folds, {models:,} models of each "
        f"beside those of out-of-fold probabilities; {missing} divisions of {job.spec.num_runs * len(job.tables)} are "
        "still to be judged; nothing was trained"
    )


def expect_table_flips(job: TableJob) -> str:
    """How many labels of each whole table each threshold is expected to flip, by out-of-fold probabilities."""
    lines = []
    for name, part in job.tables.items():
        scores = out_of_fold(part, job.spec, fold_seed(job.spec.seed, 0, 0))
        for threshold in job.spec.flips.threshold:
            # The rates do not depend on the draw.
            rates = lnr_flip_binary(jax.random.key(0), scores, part.y.astype(np.int32), threshold=threshold).rates
            flips, majority = float(np.asarray(rates).sum()), int((part.y == 0).sum())
            lines.append([name, f"{threshold:g}", f"{flips:.1f}", f"{100 * flips / majority:.2f}"])
    return to_table(["table", "t", "flips expected", "percent of the majority"], lines)
