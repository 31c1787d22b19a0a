"""Wall-clock time and memory of whole C-score jobs as their number of models grows."""

import os
import subprocess
import sys
import tempfile
import time

from jaxgen.benchmarks.interleaved import RESIDENT_UNIT, describe_machine
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.config.fields import flag_values, format_value
from jaxgen.errors import UserError

# Runs per ratio, at all of --subset_ratios.
SCALING_RUNS = (12, 34, 112, 334)
# And at one ratio.
MEMORY_RUNS, MEMORY_RATIO = (200, 2000), 0.1


def measure_scaling(spec: BenchSpec) -> str:
    """The table of whole jobs, each a process of its own: seconds, seconds a model, peak memory."""
    lines = [
        f"{spec.job.data.dataset}; whole jobs, start, compilation and figures included; {describe_machine()}",
        "",
        "| ratios | runs per ratio | models | seconds | ms a model | peak memory, MB |",
        "| --- " * 6 + "|",
    ]
    jobs = [(spec.job.subsets.subset_ratios, runs) for runs in SCALING_RUNS]
    jobs += [((MEMORY_RATIO,), runs) for runs in MEMORY_RUNS]
    for ratios, runs in jobs:
        seconds, memory = run_job(spec.job, ratios, runs)
        models = len(ratios) * runs
        lines.append(
            f"| {len(ratios)} | {runs} | {models:,} | {seconds:.1f} | {1e3 * seconds / models:.1f} | "
            f"{memory / 1e6:.0f} |"
        )
    return "\n".join(lines)


def run_job(job: CscoreSpec, ratios: tuple[float, ...], runs: int) -> tuple[float, float]:
    """Wall-clock seconds and peak resident bytes of ``python -m jaxgen.cscore`` for this job.

    Raises:
      UserError: with the last line of the job's errors, if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        values = flag_values(job) | {"subset_ratios": ratios, "num_runs": runs, "out": folder}
        command = [sys.executable, "-m", "jaxgen.cscore"]
        command += [f"--{name}={format_value(value)}" for name, value in values.items()]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        # wait4 and not wait: it reports the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise UserError(errors.decode().strip().splitlines()[-1])
    return seconds, usage.ru_maxrss * RESIDENT_UNIT
