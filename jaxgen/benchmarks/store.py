"""What a driver does with a store of many chunks: reading what there is, and making scores and figures of it.

The chunks hold one model each. A few are trained and the others are copies of them; the time of writing a copy is
measured too, until it is on the disk.
"""

import dataclasses
import importlib
import pathlib
import tempfile
import time

import numpy as np

from jaxgen.benchmarks.interleaved import Prepared, describe_machine, run_alone
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.data import load_dataset
from jaxgen.experiments.cscore.experiment import EXPERIMENT
from jaxgen.experiments.cscore.job import check_job, make_job, make_workload
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.jobs import experiment
from jaxgen.jobs.session import QUIET
from jaxgen.runs.plan import Chunk
from jaxgen.wording import count_of

# Models that are trained.
TRAINED = 20
# The smaller of the two stores has this share of the chunks.
SMALLER = 0.2


def chunks_of_one(spec: BenchSpec, folder: str, num_runs: int) -> CscoreSpec:
    """The job in which each chunk is a model."""
    compute = dataclasses.replace(spec.job.compute, width=1, num_devices=1)
    subsets = dataclasses.replace(spec.job.subsets, num_runs=num_runs)
    return dataclasses.replace(spec.job, out=folder, compute=compute, subsets=subsets)


def write_store(spec: BenchSpec) -> Prepared:
    """By a folder and a number of models for each ratio: fills its store; seconds of writing a chunk."""
    dataset = load_dataset(spec.job.data)

    def run(task: tuple[str, int]) -> float:
        folder, num_runs = task
        score_settings(dataset, chunks_of_one(spec, folder, TRAINED))
        store = make_workload(make_job(dataset, chunks_of_one(spec, folder, num_runs))).open_store()
        began = time.perf_counter()
        for run_group in store.plan.run_groups:
            trained = [store.read(Chunk(run_group, run, run + 1), tracked=True) for run in range(TRAINED)]
            for run in range(TRAINED, num_runs):
                store.write(Chunk(run_group, run, run + 1), trained[run % TRAINED] | {"run": np.array([run])})
        return (time.perf_counter() - began) / max((num_runs - TRAINED) * len(store.plan.run_groups), 1)

    return Prepared(run)


def score_store(spec: BenchSpec) -> Prepared:
    """By a folder and a number of models for each ratio: scores and files of its store."""
    dataset = load_dataset(spec.job.data)
    # What draws is imported before the work is timed.
    importlib.import_module(EXPERIMENT.report)

    def run(task: tuple[str, int]) -> None:
        experiment.run_job(EXPERIMENT, chunks_of_one(spec, *task), QUIET, dataset)

    return Prepared(run)


def measure_store(spec: BenchSpec) -> str:
    """The table of seconds and memory by the number of chunks.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    dataset, ratios = load_dataset(spec.job.data), spec.job.subsets.subset_ratios
    check_job(dataset, spec.job)
    largest = max(spec.job.subsets.num_runs, TRAINED)
    lines = []
    for num_runs in sorted({max(int(spec.job.subsets.num_runs * SMALLER), TRAINED), largest}):
        with tempfile.TemporaryDirectory(prefix="jaxgen-bench-") as folder:
            writing = run_alone("making", write_store, spec, (folder, num_runs)).result
            turns = [run_alone("scoring", score_store, spec, (folder, num_runs)) for _ in range(spec.rounds)]
            stored = sum(path.stat().st_size for path in pathlib.Path(folder).glob("store/*/*/*.npz"))
        seconds = np.array([turn.seconds for turn in turns])
        spread = f"{np.median(seconds):.1f} ({seconds.min():.1f} to {seconds.max():.1f})"
        lines.append(
            f"| {num_runs * len(ratios):,} | {stored / 1e6:,.0f} | {1e3 * writing:.2g} | {spread} | "
            f"{max(turn.peak_bytes for turn in turns) / 1e6:,.0f} |"
        )
    head = "| chunks | MB | ms to write one | s to scores and figures, median (smallest to largest) | peak memory, MB |"
    counts = f"{count_of(len(ratios), 'ratio')}; {count_of(spec.rounds, 'round')}"
    title = f"{dataset.name}, {len(dataset.labels):,} examples, {counts}"
    return "\n".join([f"{title}; {describe_machine()}", "", head, "| --- " * 5 + "|", *lines])
