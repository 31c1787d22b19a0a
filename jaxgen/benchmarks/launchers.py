"""The same C-score job by this machine's devices and by as many workers of a Ray cluster on it, and what keeping costs.

Each contender trains whole jobs, into a store of its own, in a process of its own.
"""

import dataclasses
import functools
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np

from jaxgen.benchmarks.interleaved import Contender, InterleavedBenchmark, Prepared, describe_machine, describe_ratio
from jaxgen.config import BenchSpec
from jaxgen.data import load_dataset
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.runs.devices import available_cores
from jaxgen.wording import count_of


class JobTiming(NamedTuple):
    """One whole job.

    Attributes:
      seconds: in all.
      training: seconds of it in which models were trained.
      busy: the share of the training in which chunks were trained, each chunk timed by itself.
      accuracy: the mean held-out accuracy.
    """

    seconds: float
    training: float
    busy: float
    accuracy: float


def train_jobs(spec: BenchSpec, **compute: Any) -> Prepared:
    """Whole jobs by seed, with other flags of `ComputeSpec`."""
    dataset = load_dataset(spec.job.data)

    def run(seed: int) -> JobTiming:
        with tempfile.TemporaryDirectory(prefix="jaxgen-bench-") as folder:
            changed = dataclasses.replace(spec.job.compute, **compute)
            job = dataclasses.replace(spec.job, seed=seed, out=folder, compute=changed)
            began = time.perf_counter()
            [(_, scores)] = score_settings(dataset, job)
            seconds, training = time.perf_counter() - began, scores.metadata["seconds_now"]
        busy = scores.metadata["seconds"] / training
        return JobTiming(seconds, training, busy, float(np.mean(scores.heldout_accuracy)))

    return Prepared(run)


CONTENDERS: dict[str, Contender] = {
    "local": train_jobs,
    "ray": functools.partial(train_jobs, launcher="ray", ray_address="local", ray_cpus=1),
}


def measure_launchers(spec: BenchSpec) -> str:
    """The table of both contenders; the first job of each, which compiles and starts, is not counted.

    Raises:
      UserError: for data or flags that cannot be used, and where Ray is missing.
    """
    with InterleavedBenchmark(CONTENDERS, spec) as benchmark:
        turns = benchmark.run_rounds(range(spec.rounds + 1))
    # By contender, an array for each field of `JobTiming`.
    timings = {name: JobTiming(*np.array([turn.result for turn in turns[name][1:]]).T) for name in CONTENDERS}
    ratio = describe_ratio(timings["ray"].training / timings["local"].training)
    kept = describe_ratio(100 * (1 - timings["local"].busy))
    job = spec.job.subsets
    models = count_of(job.num_runs * len(job.subset_ratios), "model")
    lines = [
        f"{spec.job.data.dataset}, {models} a job; {count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| way | training, s | whole job, s | held-out accuracy (n jobs) |",
        "| --- " * 4 + "|",
    ]
    titles = {"local": "this process", "ray": f"Ray, {available_cores()} workers of one core"}
    for name, timing in timings.items():
        lines.append(
            f"| {titles[name]} | {np.median(timing.training):.1f} | {np.median(timing.seconds):.1f} | "
            f"{np.median(timing.accuracy):.4f} ({len(timing.accuracy)}) |"
        )
    lines += ["", f"Training, Ray / this process: {ratio}"]
    return "\n".join([*lines, f"Of this process's training, keeping chunks and all else beside them: {kept} %"])
