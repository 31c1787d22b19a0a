"""Judging tables of two classes: the plan, a repeat of all folds at a time, kept as it is done."""

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.config.fields import flag_values
from jaxgen.experiments.tabular.folds import MEASURES, Fold, Judged, judge_fold, out_of_fold, split, standardize
from jaxgen.experiments.tabular.job import IDLE, TabularJob
from jaxgen.jobs.identity import make_identity, typed_flags
from jaxgen.jobs.session import QUIET, Session
from jaxgen.jobs.train import refuse_unfinished
from jaxgen.reporting.tables import to_table
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, Plan, count_runs, cut_chunks
from jaxgen.runs.progress import ProgressCallback
from jaxgen.runs.shards import read_shard
from jaxgen.runs.signals import Stop
from jaxgen.runs.store import Arrays, Store, open_store
from jaxgen.transforms.lnr import lnr_flip_binary

# Flags that decide no fold.
REPORTING_FLAGS = {"keel", "what_if", "protocol", *IDLE}


def open_table_store(job: TabularJob) -> Store:
    """The store of the job below ``spec.out``: a run group for each table, a run for each repeat.

    A table's run group is named by its contents, so that a job with more tables judges only those.
    """
    given = flag_values(job.spec.tabular) | flag_values(job.spec.flips)
    flags = {name: value for name, value in given.items() if name not in REPORTING_FLAGS}
    identity = make_identity(typed_flags(flags), job.spec.seed, experiment="lnr on tables, 3")
    each = len(job.spec.tabular.classifiers) * job.spec.tabular.folds
    plan = Plan(identity, {run_group_of(job, name): job.spec.num_runs for name in job.tables})
    bytes_each = 8 * (len(MEASURES) * len(job.spec.tabular.treatments) + len(job.spec.flips.threshold)) + 32
    return open_store(pathlib.Path(job.spec.out) / "store", plan, each * bytes_each + 500)


def run_group_of(job: TabularJob, name: str) -> str:
    """The run group of a table: its name and a digest of its rows."""
    digest = hashlib.sha256(str(job.tables[name].x.shape).encode())
    for array in job.tables[name]:
        digest.update(np.ascontiguousarray(array).data)
    return f"{name}-{digest.hexdigest()[:12]}"


def fold_seed(seed: int, run: int, fold: int) -> int:
    """Of all draws of a fold."""
    return int(np.random.SeedSequence([seed, run, fold]).generate_state(1)[0] >> 1)


def judge_table(job: TabularJob, jobs: int, stop: Stop, chunk: Chunk, report: ProgressCallback) -> Arrays:
    """All folds of repeats of a table, by all classifiers, side by side; given up where a stop is asked for."""
    from joblib import Parallel, delayed

    name, own = chunk.run_group.rpartition("-")[0], job.spec.tabular
    part = job.tables[name]
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
        report(table_work(job, chunk.run_group) / (len(tasks) / len(runs)))
        stop.raise_if_requested()
    shape = len(runs), own.folds, len(own.classifiers)
    return {
        "run": np.array(runs),
        "seconds": np.full(len(runs), (time.perf_counter() - began) / len(runs)),
        "finite": np.ones(len(runs), bool),
        "scores": np.array([one.scores for one in judged]).reshape(*shape, -1, len(MEASURES)),
        "threshold": np.array([one.threshold for one in judged]).reshape(shape),
        "flips": np.array([one.flips for one in judged]).reshape(shape),
        "refused": np.array([one.refused for one in judged]).reshape(*shape, -1),
        "by_threshold": np.array([one.by_threshold for one in judged]).reshape(*shape, -1),
    }


def table_work(job: TabularJob, run_group: str) -> float:
    """The work of a repeat, in rows and something for each fit."""
    return len(job.tables[run_group.rpartition("-")[0]].y) + 300.0


class TabularResults(NamedTuple):
    """What a job on tables came to.

    Attributes:
      rows: one for each table, repeat, fold, classifier and treatment.
      in_hindsight: one for each table, repeat, fold, classifier and threshold.
    """

    rows: list[dict[str, Any]]
    in_hindsight: list[dict[str, Any]]


def measure_job(job: TabularJob, session: Session) -> TabularResults:
    """Judges what is missing, and reads all that was judged."""
    return TabularResults(run_tables(job, session), threshold_rows(job))


def run_tables(job: TabularJob, session: Session = QUIET) -> list[dict[str, Any]]:
    """Judges what is missing; a row for each table, repeat, fold, classifier and treatment."""
    import joblib

    store = open_table_store(job)
    store.verify(session.tell)
    for name, part in job.tables.items():
        minority = int(part.y.sum())
        session.tell(f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {minority:,} of them of the minority")
    store.record_settings({"width": 1})
    # One process a core; a fold is too short to be divided further.
    jobs = job.spec.compute.num_devices or joblib.cpu_count()
    stop = Stop()
    compute = job.spec.compute
    share = functools.partial(read_shard(compute.shard).part, block=1)
    with on_the_cpu():
        train_chunks(
            store,
            [] if compute.aggregate_only else cut_chunks(share(store.missing()), 1),
            functools.partial(judge_table, job, jobs, stop),
            {run_group: table_work(job, run_group) for run_group in store.plan.run_groups},
            resume=session.resume,
            shown=session.shows_progress,
            stop=stop,
            things="divisions",
            share=share,
        )
    refuse_unfinished(store, compute, things="divisions")
    return [row for name in job.tables for row in fold_rows(job, name, store.runs(run_group_of(job, name)))]


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


def fold_rows(job: TabularJob, name: str, chunks: Any) -> list[dict[str, Any]]:
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


def threshold_rows(job: TabularJob) -> list[dict[str, Any]]:
    """What is known in hindsight: F1 of flips at every threshold, a row for each table, repeat, fold and classifier."""
    store, own, rows = open_table_store(job), job.spec.tabular, []
    if not {"lnr", "random_flips"} & {*own.treatments}:
        return rows
    for name in job.tables:
        for arrays in store.runs(run_group_of(job, name)):
            for i, run in enumerate(arrays["run"]):
                for fold, (c, classifier), (t, threshold) in itertools.product(
                    range(own.folds), enumerate(own.classifiers), enumerate(job.spec.flips.threshold)
                ):
                    row = {"table": name, "run": int(run), "fold": fold, "classifier": classifier}
                    chosen = bool(arrays["threshold"][i, fold, c] == threshold)
                    f1 = float(arrays["by_threshold"][i, fold, c, t])
                    rows.append({**row, "threshold": threshold, "chosen": chosen, "f1": f1})
    return rows


def describe_folds(job: TabularJob) -> str:
    """What would be judged."""
    own = job.spec.tabular
    each = own.folds * len(own.classifiers)
    thresholds = len(job.spec.flips.threshold) if {"lnr", "random_flips"} & {*own.treatments} else 0
    models = each * (len(own.treatments) + own.inner_folds * thresholds) * job.spec.num_runs
    missing = sum(count_runs(open_table_store(job).missing()).values())
    return (
        f"{len(job.tables)} tables, {job.spec.num_runs} divisions into {own.folds} folds, {models:,} models of each "
        f"beside those of out-of-fold probabilities; {missing} divisions of {job.spec.num_runs * len(job.tables)} are "
        "still to be judged; nothing was trained"
    )


def expect_table_flips(job: TabularJob) -> str:
    """How many labels of each whole table each threshold is expected to flip, by out-of-fold probabilities."""
    lines = []
    for name, part in job.tables.items():
        # As in every fold that is judged.
        part = standardize(part, part)
        scores = out_of_fold(part, job.spec, fold_seed(job.spec.seed, 0, 0))
        for threshold in job.spec.flips.threshold:
            # The rates do not depend on the draw.
            rates = lnr_flip_binary(jax.random.key(0), scores, part.y.astype(np.int32), threshold=threshold).rates
            flips, majority = float(np.asarray(rates).sum()), int((part.y == 0).sum())
            lines.append([name, f"{threshold:g}", f"{flips:.1f}", f"{100 * flips / majority:.2f}"])
    return to_table(["table", "t", "flips expected", "percent of the majority"], lines)
