"""What a driver does with a store of many chunks: reading what there is, and making scores and figures of it.

The chunks hold one model each, of which a few are trained and the others are copies of them; how long copying takes is
told too: each chunk is on the disk before the next.
"""

import dataclasses
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.data import load_dataset
from jaxgen.runs.plan import Chunk

# Models that are trained.
TRAINED = 20
# The smaller of the two stores has this share of the chunks.
SMALLER = 0.2


def chunks_of_one(spec: BenchSpec, folder: str, num_runs: int) -> CscoreSpec:
    """The job in which each chunk is a model."""
    compute = dataclasses.replace(spec.job.compute, width=1, num_devices=1)
    subsets = dataclasses.replace(spec.job.subsets, num_runs=num_runs)
    return dataclasses.replace(spec.job, out=folder, compute=compute, subsets=subsets)


def making_way(spec: BenchSpec) -> Iterator[Any]:
    """By a folder and a number of models for each ratio: fills its store; seconds of writing a chunk."""
    # Imported here: each process starts JAX for itself.
    from jaxgen.experiments.cscore.job import make_job, make_workload
    from jaxgen.experiments.cscore.run import score_settings

    dataset, answer = load_dataset(spec.job.data), None
    while True:
        folder, num_runs = yield answer
        score_settings(dataset, chunks_of_one(spec, folder, TRAINED))
        job = chunks_of_one(spec, folder, num_runs)
        store = make_workload(make_job(dataset, job)).open_store()
        began = time.perf_counter()
        for run_group in store.plan.run_groups:
            trained = [store.read(Chunk(run_group, run, run + 1), tracked=True) for run in range(TRAINED)]
            for run in range(TRAINED, num_runs):
                store.write(Chunk(run_group, run, run + 1), trained[run % TRAINED] | {"run": np.array([run])})
        answer = (time.perf_counter() - began) / max((num_runs - TRAINED) * len(store.plan.run_groups), 1)


def scoring_way(spec: BenchSpec) -> Iterator[Any]:
    """By a folder and a number of models: seconds to scores and files, and peak resident bytes; once a process."""
    from jaxgen.experiments.cscore.experiment import EXPERIMENT
    from jaxgen.jobs import experiment
    from jaxgen.jobs.session import QUIET

    dataset = load_dataset(spec.job.data)
    folder, num_runs = yield None
    job, began = chunks_of_one(spec, folder, num_runs), time.perf_counter()
    experiment.run_job(EXPERIMENT, job, QUIET, dataset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    yield time.perf_counter() - began, peak


def measure_store(spec: BenchSpec) -> str:
    """The table of seconds and memory by the number of chunks.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    # Imported here: this process starts JAX only when its workers are done.
    from jaxgen.experiments.cscore.job import check_job

    dataset, ratios = load_dataset(spec.job.data), spec.job.subsets.subset_ratios
    check_job(dataset, spec.job)
    most = spec.job.subsets.num_runs
    lines = []
    for num_runs in sorted({max(int(most * SMALLER), TRAINED), max(most, TRAINED)}):
        with tempfile.TemporaryDirectory(prefix="jaxgen-bench-") as folder:
            with InterleavedBenchmark({"making": making_way}, spec) as turns:
                writing = turns.ask("making", (folder, num_runs))
            found = []
            for _ in range(spec.rounds):
                with InterleavedBenchmark({"scoring": scoring_way}, spec) as turns:
                    found.append(turns.ask("scoring", (folder, num_runs)))
            held = sum(path.stat().st_size for path in pathlib.Path(folder).glob("store/*/*/*.npz"))
        seconds, peaks = np.array(found).T
        spread = f"{np.median(seconds):.1f} ({seconds.min():.1f} to {seconds.max():.1f})"
        lines.append(
            f"| {num_runs * len(ratios):,} | {held / 1e6:,.0f} | {1e3 * writing:.2g} | {spread} | "
            f"{peaks.max() / 1e6:,.0f} |"
        )
    head = "| chunks | MB | ms to write one | s to scores and figures, median (smallest to largest) | peak memory, MB |"
    title = f"{dataset.name}, {len(dataset.labels):,} examples, {len(ratios)} ratios; {spec.rounds} rounds"
    return "\n".join([f"{title}; {describe_machine()}", "", head, "| --- " * 5 + "|", *lines])
