"""How fast, compared with what a user would otherwise do: measured, alternating, one way at a time.

A round lets each way train a few models; ratios are taken within a round (`turns`). Seconds per model include drawing
the subset, training, examining all examples and fetching the answers; compiling is in them only where a user would pay
it for every model (the demo).
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, describe_ratio
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.config.fields import flag_values, format_value, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.errors import UserError
from jaxgen.runs.plan import Chunk

# Per ratio, for the scaling table.
SCALING_RUNS = (12, 34, 112, 334)
MEMORY_RUNS, MEMORY_RATIO = (200, 2000), 0.1


def demo_turns(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, each compiling its own program."""
    return sequential_turns(spec, fresh_jit=True, count=spec.demo_models)


def plain_turns(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, by programs compiled once."""
    return sequential_turns(spec, fresh_jit=False, count=spec.plain_models)


def sequential_turns(spec: BenchSpec, *, fresh_jit: bool, count: int) -> Iterator[Any]:
    """Models trained one after another; a first one at every ratio, uncounted, warms up what is compiled once."""
    from jaxgen.benchmarks.sequential import SequentialTrainer, matmul_rate

    trainer = SequentialTrainer(load_dataset(spec.job.data), spec.job, fresh_jit=fresh_jit)
    for warm in spec.job.subsets.subset_ratios:
        # Each ratio has a short last batch of its own shape, and so a program of its own.
        trainer.train(warm, seed=0)
    seed, answer = 1, None
    while True:
        ratio = yield answer
        if ratio == "rates":
            answer = matmul_rate(), {r: trainer.flops(r) for r in spec.job.subsets.subset_ratios}
            continue
        began = time.perf_counter()
        accuracies = [trainer.train(ratio, seed + i) for i in range(count)]
        answer, seed = (time.perf_counter() - began, count, accuracies), seed + count


def engine_turns(spec: BenchSpec) -> Iterator[Any]:
    """One full batch of members at each turn, as `jaxgen.cscore` trains them."""
    from jaxgen.experiments.cscore.job import make_run_groups, run_group_name
    from jaxgen.jobs.program import make_programs
    from jaxgen.jobs.train import make_trainer
    from jaxgen.reporting.console import log

    job = spec.job
    [program], dataset = make_programs(job), load_dataset(job.data)
    trainer = make_trainer(dataset, program, make_run_groups(dataset, program), log)
    ratios = [run_group_name(program, ratio) for ratio in job.subsets.subset_ratios]
    trainer.configure(dict.fromkeys(ratios, job.subsets.num_runs))
    trainer.compile_rest()
    start, answer = 0, None
    while True:
        ratio = yield answer
        began = time.perf_counter()
        chunk = Chunk(run_group_name(program, ratio), start, start + trainer.chunk_size)
        arrays = trainer.train(chunk, lambda amount, earlier=False: None)
        answer = time.perf_counter() - began, trainer.chunk_size, arrays["heldout_accuracy"].tolist()
        start += trainer.chunk_size


WAYS = {"demo": demo_turns, "plain": plain_turns, "jaxgen": engine_turns}


def measure_speed(spec: BenchSpec) -> str:
    """The table of seconds per model three ways, with both ratios and their spread over rounds.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    from jaxgen.experiments.cscore.job import check_job

    check_job(load_dataset(spec.job.data), spec.job)
    seconds = {(way, ratio): [] for way in WAYS for ratio in spec.job.subsets.subset_ratios}
    accuracy = {key: [] for key in seconds}
    with InterleavedBenchmark(WAYS, spec) as turns:
        peak, flops = turns.ask("plain", "rates")
        for _ in range(spec.rounds):
            for way, ratio in [(way, ratio) for ratio in spec.job.subsets.subset_ratios for way in WAYS]:
                taken, models, accuracies = turns.ask(way, ratio)
                seconds[way, ratio].append(taken / models)
                accuracy[way, ratio] += accuracies
    return speed_table(spec, seconds, accuracy, peak, flops)


def measure_precision(spec: BenchSpec) -> str:
    """The table of seconds a model and held-out accuracy at each precision that the devices have.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    from jaxgen.experiments.cscore.job import check_job

    check_job(load_dataset(spec.job.data), spec.job)
    precisions = ["float32", "bf16"] + ["tf32"] * (platform() == "gpu")
    found: dict[tuple[str, float], tuple[list[float], list[float]]] = {}
    with contextlib.ExitStack() as stack:
        turns = {
            name: stack.enter_context(InterleavedBenchmark({name: engine_turns}, at_precision(spec, name)))
            for name in precisions
        }
        for _ in range(spec.rounds):
            for ratio, name in [(ratio, name) for ratio in spec.job.subsets.subset_ratios for name in precisions]:
                taken, models, accuracies = turns[name].ask(name, ratio)
                seconds, seen = found.setdefault((name, ratio), ([], []))
                seconds.append(taken / models)
                seen += accuracies
    lines = [
        f"{spec.job.data.dataset}, {spec.job.model.model}; {spec.rounds} rounds; {describe_machine()}",
        "",
        "| subset ratio | precision | s a model | float32 / this | held-out accuracy, mean ± sd (n models) |",
        "| --- " * 5 + "|",
    ]
    for (name, ratio), (seconds, seen) in sorted(found.items(), key=lambda item: item[0][1]):
        faster = describe_ratio(np.array(found["float32", ratio][0]) / np.array(seconds))
        spread = f" ± {np.std(seen, ddof=1):.4f}" if len(seen) > 1 else ""
        lines.append(
            f"| {ratio:g} | {name} | {np.median(seconds):.3g} | {faster} | {np.mean(seen):.4f}{spread} ({len(seen)}) |"
        )
    return "\n".join(lines)


def at_precision(spec: BenchSpec, name: str) -> BenchSpec:
    """The same measurement at another precision."""
    return spec_from_values(BenchSpec, flag_values(spec) | {"precision": name})


def platform() -> str:
    """The kind of this machine's devices, asked of a process of its own: workers want theirs fresh."""
    command = [sys.executable, "-c", "import jax; print(jax.devices()[0].platform)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def speed_table(spec: BenchSpec, seconds: dict, accuracy: dict, peak: float, flops: dict[float, float]) -> str:
    """Markdown: a row for each ratio and one for their mean; medians over rounds, ratios as median (min to max)."""
    lines = [
        f"{spec.job.data.dataset}, {spec.job.model.model}, {spec.job.train.epochs} epochs, batch "
        f"{spec.job.train.batch_size}; {spec.rounds} rounds; {describe_machine()}; best matrix product "
        f"{peak / 1e9:.0f} GFLOP/s",
        "",
        "| subset ratio | demo, s a model | compiled once | jaxgen | demo / jaxgen | compiled once / jaxgen | "
        "share of matrix rate | held-out accuracy: demo, once, jaxgen (n models) |",
        "| --- " * 8 + "|",
    ]
    ratios = spec.job.subsets.subset_ratios
    for name, group in [(f"{ratio:g}", (ratio,)) for ratio in ratios] + [("all", ratios)] * (len(ratios) > 1):
        times = {way: np.mean([seconds[way, ratio] for ratio in group], axis=0) for way in WAYS}
        faster = [describe_ratio(times[way] / times["jaxgen"]) for way in ("demo", "plain")]
        share = np.mean([flops[ratio] for ratio in group]) / np.median(times["jaxgen"]) / peak
        models = {way: sum(len(accuracy[way, ratio]) for ratio in group) for way in WAYS}
        means = {way: np.mean([np.mean(accuracy[way, ratio]) for ratio in group]) for way in WAYS}
        accuracies = ", ".join(f"{means[way]:.4f} ({models[way]})" for way in WAYS)
        lines.append(
            f"| {name} | {' | '.join(f'{np.median(times[way]):.3g}' for way in WAYS)} | "
            f"{' | '.join(faster)} | {share:.0%} | {accuracies} |"
        )
    return "\n".join(lines)


def measure_scaling(spec: BenchSpec) -> str:
    """The table of whole jobs, each a process of its own: seconds, seconds per model, peak memory."""
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
    """Wall-clock seconds and peak resident bytes of ``python -m jaxgen.cscore`` for this job."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = flag_values(job) | {"subset_ratios": ratios, "num_runs": runs, "out": folder}
        command = [sys.executable, "-m", "jaxgen.cscore"]
        command += [f"--{name}={format_value(value)}" for name, value in chosen.items()]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        # wait4 and not wait: it tells the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise UserError(errors.decode().strip().splitlines()[-1])
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
