"""The same C-score job by this machine's devices and by as many workers of a Ray cluster on it, and what keeping costs.

Each way trains whole jobs, into a store of its own, in a process of its own.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, describe_ratio
from jaxgen.config import BenchSpec
from jaxgen.data import load_dataset
from jaxgen.runs.devices import available_cores


def job_way(spec: BenchSpec, **compute: Any) -> Iterator[Any]:
    """Whole jobs by seed: seconds in all, seconds of training, the share of it that chunks were trained, accuracy."""
    # Imported here: each process starts JAX for itself.
    from jaxgen.experiments.cscore.run import score_settings

    dataset, answer = load_dataset(spec.job.data), None
    while True:
        seed = yield answer
        with tempfile.TemporaryDirectory(prefix="jaxgen-bench-") as folder:
            own = dataclasses.replace(spec.job.compute, **compute)
            job = dataclasses.replace(spec.job, seed=seed, out=folder, compute=own)
            began = time.perf_counter()
            [(_, scores)] = score_settings(dataset, job)
            whole, training = time.perf_counter() - began, scores.metadata["seconds_now"]
        # What chunks took, each by itself.
        busy = scores.metadata["seconds"]
        answer = whole, training, busy / training, float(np.mean(scores.heldout_accuracy))


def local_way(spec: BenchSpec) -> Iterator[Any]:
    """By this process's devices."""
    return job_way(spec)


def ray_way(spec: BenchSpec) -> Iterator[Any]:
    """By workers of one core each."""
    return job_way(spec, launcher="ray", ray_address="local", ray_cpus=1)


WAYS = {"local": local_way, "ray": ray_way}


def measure_launchers(spec: BenchSpec) -> str:
    """The table of both ways; the first job of each, which compiles and starts, is not counted.

    Raises:
      UserError: for data or flags that cannot be used, and where Ray is missing.
    """
    found: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    with InterleavedBenchmark(WAYS, spec) as turns:
        for number in range(spec.rounds + 1):
            for way in WAYS:
                answer = turns.ask(way, number)
                if number:
                    found[way].append(answer)
    counts = {name: np.array(own) for name, own in found.items()}
    ratio = describe_ratio(counts["ray"][:, 1] / counts["local"][:, 1])
    kept = describe_ratio(100 * (1 - counts["local"][:, 2]))
    job = spec.job.subsets
    lines = [
        f"{spec.job.data.dataset}, {job.num_runs * len(job.subset_ratios):,} models a job; {spec.rounds} rounds; "
        f"{describe_machine()}",
        "",
        "| way | training, s | whole job, s | held-out accuracy (n jobs) |",
        "| --- " * 4 + "|",
    ]
    titles = {"local": "this process", "ray": f"Ray, {available_cores()} workers of one core"}
    for way, own in counts.items():
        whole, training, accuracy = (np.median(own[:, i]) for i in (0, 1, 3))
        lines.append(f"| {titles[way]} | {training:.1f} | {whole:.1f} | {accuracy:.4f} ({len(own)}) |")
    lines += ["", f"Training, Ray / this process: {ratio}"]
    return "\n".join([*lines, f"Of this process's training, keeping chunks and all else beside them: {kept} %"])
