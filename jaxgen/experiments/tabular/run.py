"""Evaluates classifiers on all folds of binary tables, one repeat at a time, and stores the results."""

import functools
import hashlib
import itertools
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.config.fields import flag_values
from jaxgen.experiments.tabular.folds import MEASURES, Fold, FoldResult, evaluate_fold, out_of_fold, split, standardize
from jaxgen.experiments.tabular.job import UNUSED_FLAGS, TabularJob
from jaxgen.io.process import environment
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
from jaxgen.wording import count_of

# Flags that do not affect the results of a fold.
REPORTING_FLAGS = {"keel", "what_if", "protocol", *UNUSED_FLAGS}


def open_table_store(job: TabularJob) -> Store:
    """The job's store below ``spec.out``: a run group for each table, a run for each repeat.

    Run groups are named by the contents of their tables, so that a job with more tables evaluates only the new ones.
    """
    chosen = flag_values(job.spec.tabular) | flag_values(job.spec.flips)
    flags = {name: value for name, value in chosen.items() if name not in REPORTING_FLAGS}
    identity = make_identity(typed_flags(flags), job.spec.seed, experiment="lnr on tables, 3")
    results_per_run = len(job.spec.tabular.classifiers) * job.spec.tabular.folds
    plan = Plan(identity, {table_run_group(job, name): job.spec.num_runs for name in job.tables})
    bytes_per_result = 8 * (len(MEASURES) * len(job.spec.tabular.treatments) + len(job.spec.flips.threshold)) + 32
    return open_store(pathlib.Path(job.spec.out) / "store", plan, results_per_run * bytes_per_result + 500)


def table_run_group(job: TabularJob, name: str) -> str:
    """The name of a table's run group: the table's name and a digest of its rows."""
    digest = hashlib.sha256(str(job.tables[name].x.shape).encode())
    for array in job.tables[name]:
        digest.update(np.ascontiguousarray(array).data)
    return f"{name}-{digest.hexdigest()[:12]}"


def fold_seed(seed: int, run: int, fold: int) -> int:
    """The seed of all draws of a fold."""
    return int(np.random.SeedSequence([seed, run, fold]).generate_state(1)[0] >> 1)


def evaluate_repeats(job: TabularJob, jobs: int, stop: Stop, chunk: Chunk, report: ProgressCallback) -> Arrays:
    """Evaluates all folds and classifiers of a chunk of repeats in parallel processes.

    Args:
      job: the job.
      jobs: number of processes.
      stop: the user's request to stop.
      chunk: repeats of one table.
      report: called with the work done.

    Raises:
      KeyboardInterrupt: if a stop is requested.
    """
    from joblib import Parallel, delayed

    name, flags = chunk.run_group.rpartition("-")[0], job.spec.tabular
    part = job.tables[name]
    began, runs = time.perf_counter(), range(chunk.start, chunk.stop)
    tasks = []
    for run in runs:
        folds = split(part, flags.folds, fold_seed(job.spec.seed, run, flags.folds), job.spec.data.impute)
        for i, (train, test) in enumerate(folds):
            fold = Fold(train, test, fold_seed(job.spec.seed, run, i))
            tasks += [delayed(evaluate_fold)(fold, classifier, job.spec) for classifier in flags.classifiers]
    results: list[FoldResult] = []
    for result in Parallel(jobs, return_as="generator")(tasks):
        results.append(result)
        report(table_work(job, chunk.run_group) / (len(tasks) / len(runs)))
        stop.raise_if_requested()
    shape = len(runs), flags.folds, len(flags.classifiers)
    return {
        "run": np.array(runs),
        "seconds": np.full(len(runs), (time.perf_counter() - began) / len(runs)),
        "finite": np.ones(len(runs), bool),
        "scores": np.array([result.scores for result in results]).reshape(*shape, -1, len(MEASURES)),
        "threshold": np.array([result.threshold for result in results]).reshape(shape),
        "flips": np.array([result.flips for result in results]).reshape(shape),
        "refused": np.array([result.refused for result in results]).reshape(*shape, -1),
        "by_threshold": np.array([result.by_threshold for result in results]).reshape(*shape, -1),
    }


def table_work(job: TabularJob, run_group: str) -> float:
    """Work of a repeat: number of rows plus a constant for the fits."""
    return len(job.tables[run_group.rpartition("-")[0]].y) + 300.0


class TabularResults(NamedTuple):
    """Results of a job on tables.

    Attributes:
      rows: a row for each table, repeat, fold, classifier and treatment.
      in_hindsight: a row for each table, repeat, fold, classifier and threshold.
    """

    rows: list[dict[str, Any]]
    in_hindsight: list[dict[str, Any]]


def measure_job(job: TabularJob, session: Session) -> TabularResults:
    """Evaluates missing repeats, and reads all results."""
    return TabularResults(run_tables(job, session), hindsight_rows(job))


def run_tables(job: TabularJob, session: Session = QUIET) -> list[dict[str, Any]]:
    """Evaluates missing repeats; returns a row for each table, repeat, fold, classifier and treatment."""
    import joblib

    store = open_table_store(job)
    store.verify(session.tell)
    for name, part in job.tables.items():
        minority = int(part.y.sum())
        session.tell(f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {minority:,} of them of the minority")
    store.record_settings({"width": 1})
    # One process per core; a fold is too short to be divided further.
    jobs = job.spec.compute.num_devices or joblib.cpu_count()
    stop = Stop()
    compute = job.spec.compute
    share = functools.partial(read_shard(compute.shard).part, block=1)
    # Processes started here use the CPU: each would reserve an accelerator for itself.
    with environment(JAX_PLATFORMS="cpu"):
        train_chunks(
            store,
            [] if compute.aggregate_only else cut_chunks(share(store.missing()), 1),
            functools.partial(evaluate_repeats, job, jobs, stop),
            {run_group: table_work(job, run_group) for run_group in store.plan.run_groups},
            resume=session.resume,
            shown=session.shows_progress,
            stop=stop,
            things="divisions",
            share=share,
        )
    refuse_unfinished(store, compute, things="divisions")
    return [row for name in job.tables for row in result_rows(job, name, store.runs(table_run_group(job, name)))]


def result_rows(job: TabularJob, name: str, chunks: Any) -> list[dict[str, Any]]:
    """The result rows of a table."""
    flags, rows = job.spec.tabular, []
    for arrays in chunks:
        for i, run in enumerate(arrays["run"]):
            for fold, (c, classifier), (t, treatment) in itertools.product(
                range(flags.folds), enumerate(flags.classifiers), enumerate(flags.treatments)
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


def hindsight_rows(job: TabularJob) -> list[dict[str, Any]]:
    """F1 of flips at every threshold: a row for each table, repeat, fold, classifier and threshold."""
    store, flags, rows = open_table_store(job), job.spec.tabular, []
    if not {"lnr", "random_flips"} & {*flags.treatments}:
        return rows
    for name in job.tables:
        for arrays in store.runs(table_run_group(job, name)):
            for i, run in enumerate(arrays["run"]):
                for fold, (c, classifier), (t, threshold) in itertools.product(
                    range(flags.folds), enumerate(flags.classifiers), enumerate(job.spec.flips.threshold)
                ):
                    row = {"table": name, "run": int(run), "fold": fold, "classifier": classifier}
                    chosen = bool(arrays["threshold"][i, fold, c] == threshold)
                    f1 = float(arrays["by_threshold"][i, fold, c, t])
                    rows.append({**row, "threshold": threshold, "chosen": chosen, "f1": f1})
    return rows


def describe_folds(job: TabularJob) -> str:
    """Describes the evaluations of a job; evaluates nothing."""
    flags = job.spec.tabular
    num_fits = flags.folds * len(flags.classifiers)
    thresholds = len(job.spec.flips.threshold) if {"lnr", "random_flips"} & {*flags.treatments} else 0
    models = num_fits * (len(flags.treatments) + flags.inner_folds * thresholds) * job.spec.num_runs
    missing = sum(count_runs(open_table_store(job).missing()).values())
    return (
        f"{count_of(len(job.tables), 'table')}, {count_of(job.spec.num_runs, 'division')} into {flags.folds} folds, "
        f"{count_of(models, 'model')} of each beside those of out-of-fold probabilities; still to be judged: {missing} "
        f"of {count_of(job.spec.num_runs * len(job.tables), 'division')}; nothing was trained"
    )


def expect_table_flips(job: TabularJob) -> str:
    """Table of the expected number of flips in each whole table at each threshold, by out-of-fold probabilities."""
    lines = []
    for name, part in job.tables.items():
        # Standardized as in every fold.
        part = standardize(part, part, job.spec.data.impute)
        own = job.spec.tabular.score_by == "own"
        for classifier in job.spec.tabular.classifiers if own else job.spec.tabular.classifiers[:1]:
            scores = out_of_fold(part, job.spec, fold_seed(job.spec.seed, 0, 0), classifier)
            title = f"{name}, {classifier}" if own else name
            for threshold in job.spec.flips.threshold:
                # The rates do not depend on the draw.
                rates = lnr_flip_binary(jax.random.key(0), scores, part.y.astype(np.int32), threshold=threshold).rates
                flips, majority = float(np.asarray(rates).sum()), int((part.y == 0).sum())
                lines.append([title, f"{threshold:g}", f"{flips:.1f}", f"{100 * flips / majority:.2f}"])
    return to_table(["table", "t", "flips expected", "percent of the majority"], lines)
