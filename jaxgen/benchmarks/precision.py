"""Seconds a model and held-out accuracy of the same job at each precision."""

import functools
import subprocess
import sys

import numpy as np

from jaxgen.benchmarks import speed
from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, describe_machine, describe_ratio
from jaxgen.benchmarks.sequential import seconds_a_model
from jaxgen.config import BenchSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.experiments.cscore.job import check_job
from jaxgen.wording import count_of


def engine_at_precision(spec: BenchSpec, precision: str) -> Prepared:
    """The engine's chunks of members, at another precision than the spec's."""
    return speed.engine_contender(spec_from_values(BenchSpec, flag_values(spec) | {"precision": precision}))


def platform() -> str:
    """The kind of this machine's devices, found in a process of its own so that the workers' devices stay free."""
    command = [sys.executable, "-c", "import jax; print(jax.devices()[0].platform)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure_precision(spec: BenchSpec) -> str:
    """The table of seconds a model and held-out accuracy at each precision that the devices have.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    check_job(load_dataset(spec.job.data), spec.job)
    precisions = ["float32", "bf16"] + ["tf32"] * (platform() == "gpu")
    contenders = {name: functools.partial(engine_at_precision, precision=name) for name in precisions}
    ratios = spec.job.subsets.subset_ratios
    with InterleavedBenchmark(contenders, spec) as benchmark:
        turns = benchmark.run_rounds(ratios * spec.rounds)
    lines = [
        f"{spec.job.data.dataset}, {spec.job.model.model}; {count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| subset ratio | precision | s a model | float32 / this | held-out accuracy, mean ± sd (n models) |",
        "| --- " * 5 + "|",
    ]
    for ratio, i in sorted((ratio, i) for i, ratio in enumerate(ratios)):
        # The ratios alternate, so every len(ratios)-th turn is at the same one.
        seconds = {name: seconds_a_model(turns[name][i :: len(ratios)]) for name in precisions}
        for name in precisions:
            accuracies = np.concatenate([turn.result for turn in turns[name][i :: len(ratios)]])
            spread = f" ± {np.std(accuracies, ddof=1):.4f}" if len(accuracies) > 1 else ""
            lines.append(
                f"| {ratio:g} | {name} | {np.median(seconds[name]):.3g} | "
                f"{describe_ratio(seconds['float32'] / seconds[name])} | "
                f"{np.mean(accuracies):.4f}{spread} ({len(accuracies)}) |"
            )
    return "\n".join(lines)
