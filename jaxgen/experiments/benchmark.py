"""How fast, compared with what a user would otherwise do: measured, alternating, one way at a time.

Each way of training lives in a process of its own, because they want different devices, and works only when it is its
turn. A round lets each train a few models; ratios are taken within a round, so that a machine whose speed drifts does
not favour one side. Seconds per model include drawing the subset, training, examining all examples and fetching the
answers; compiling is in them only where a user would pay it for every model (the demo).
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen import spec as words
from jaxgen.data import load_dataset
from jaxgen.errors import UserError
from jaxgen.runs.devices import available_cores
from jaxgen.runs.plan import Chunk
from jaxgen.spec import BenchSpec, CscoreSpec

WAYS = ("demo", "plain", "jaxgen")
# Per ratio, for the scaling table.
SCALING_RUNS = (12, 34, 112, 334)
MEMORY_RUNS, MEMORY_RATIO = (200, 2000), 0.1


def serve(way: str, spec: BenchSpec, connection: multiprocessing.connection.Connection) -> None:
    """A worker: for each ratio received, trains one turn's models and sends (seconds, models, held-out accuracies)."""
    turn = engine_turns(spec.job) if way == "jaxgen" else sequential_turns(way, spec)
    connection.send(next(turn))
    while (request := connection.recv()) is not None:
        connection.send(turn.send(request))


def sequential_turns(way: str, spec: BenchSpec) -> Iterator[Any]:
    """One model after another; a first model at every ratio, uncounted, warms up what is compiled once."""
    from jaxgen.experiments.baselines import SequentialTrainer, matmul_rate

    trainer = SequentialTrainer(load_dataset(spec.job.data), spec.job, fresh_jit=way == "demo")
    for warm in spec.job.subsets.subset_ratios:
        # Each ratio has a short last batch of its own shape, and so a program of its own.
        trainer.train(warm, seed=0)
    count = spec.demo_models if way == "demo" else spec.plain_models
    seed, answer = 1, None
    while True:
        ratio = yield answer
        if ratio == "rates":
            answer = matmul_rate(), {r: trainer.flops(r) for r in spec.job.subsets.subset_ratios}
            continue
        began = time.perf_counter()
        accuracies = [trainer.train(ratio, seed + i) for i in range(count)]
        answer, seed = (time.perf_counter() - began, count, accuracies), seed + count


def engine_turns(job: CscoreSpec) -> Iterator[Any]:
    """One full batch of members at each turn, as `jaxgen.cscore` trains them."""
    from jaxgen.experiments.cscore import cell_name, make_trainer
    from jaxgen.experiments.members import tell

    trainer = make_trainer(load_dataset(job.data), job, tell)
    ratios = [cell_name(ratio) for ratio in job.subsets.subset_ratios]
    trainer.settle(dict.fromkeys(ratios, job.subsets.num_runs), job.compute.width)
    start, answer = 0, None
    while True:
        ratio = yield answer
        began = time.perf_counter()
        chunk = Chunk(cell_name(ratio), start, start + trainer.chunk_size)
        arrays = trainer.train(chunk, lambda amount: None)
        answer = time.perf_counter() - began, trainer.chunk_size, arrays["heldout_accuracy"].tolist()
        start += trainer.chunk_size


def measure_speed(spec: BenchSpec) -> str:
    """The table of seconds per model three ways, with both ratios and their spread over rounds.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    from jaxgen.experiments.cscore import check_job

    check_job(load_dataset(spec.job.data), spec.job)
    context = multiprocessing.get_context("spawn")
    workers = {}
    for way in WAYS:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(way, spec, theirs), daemon=True)
        process.start()
        theirs.close()
        workers[way] = ours
        # One after another: a worker that times its widths must have the machine to itself.
        receive(ours)
    seconds = {(way, ratio): [] for way in WAYS for ratio in spec.job.subsets.subset_ratios}
    accuracy = {key: [] for key in seconds}
    try:
        peak, flops = ask(workers["plain"], "rates")
        for _ in range(spec.rounds):
            for ratio in spec.job.subsets.subset_ratios:
                for way in WAYS:
                    taken, models, accuracies = ask(workers[way], ratio)
                    seconds[way, ratio].append(taken / models)
                    accuracy[way, ratio] += accuracies
    finally:
        for connection in workers.values():
            with contextlib.suppress(OSError):
                connection.send(None)
    return speed_table(spec, seconds, accuracy, peak, flops)


def ask(connection: multiprocessing.connection.Connection, request: Any) -> Any:
    with contextlib.suppress(OSError):
        connection.send(request)
    return receive(connection)


def receive(connection: multiprocessing.connection.Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        raise UserError("a worker of the benchmark stopped; its message is above") from None


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
        faster = [describe_ratio(times[way] / times["jaxgen"]) for way in WAYS[:2]]
        share = np.mean([flops[ratio] for ratio in group]) / np.median(times["jaxgen"]) / peak
        models = {way: sum(len(accuracy[way, ratio]) for ratio in group) for way in WAYS}
        means = {way: np.mean([np.mean(accuracy[way, ratio]) for ratio in group]) for way in WAYS}
        accuracies = ", ".join(f"{means[way]:.4f} ({models[way]})" for way in WAYS)
        lines.append(
            f"| {name} | {' | '.join(f'{np.median(times[way]):.3g}' for way in WAYS)} | "
            f"{' | '.join(faster)} | {share:.0%} | {accuracies} |"
        )
    return "\n".join(lines)


def describe_ratio(ratios: np.ndarray) -> str:
    return f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"


def describe_machine() -> str:
    """The processor and what else a figure depends on."""
    import jax

    name = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return f"{available_cores()} cores {name}, jax {jax.__version__}".replace("  ", " ")


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
        chosen = words.values(job) | {"subset_ratios": ratios, "num_runs": runs, "out": folder}
        command = [sys.executable, "-m", "jaxgen.cscore"]
        command += [f"--{name}={words.format_value(value)}" for name, value in chosen.items()]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        # wait4 and not wait: it tells the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise UserError(errors.decode().strip().splitlines()[-1])
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
