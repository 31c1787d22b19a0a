"""Seconds a model, compared with what a user would otherwise do.

In a round each contender trains a few models at every subset ratio; ratios of seconds are taken within a round. The
seconds of a model include drawing the subset, training, examining all examples and fetching the answers; compiling is
in them only where a user would pay it for every model (the demo).
"""

import itertools
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxgen.benchmarks.engine import make_compiled_trainer, train_chunks
from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, Turn, describe_machine, describe_ratio
from jaxgen.benchmarks.sequential import SequentialTrainer, make_contenders, seconds_a_model
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.data import load_dataset
from jaxgen.engine.batch import StepIndex
from jaxgen.experiments.cscore.job import check_job, make_run_groups, run_group_name
from jaxgen.jobs.program import make_programs
from jaxgen.runs.plan import Chunk
from jaxgen.types import Dataset
from jaxgen.wording import count_of


def make_sequential(dataset: Dataset, spec: CscoreSpec, *, fresh_jit: bool) -> SequentialTrainer:
    """A sequential trainer of the models of a C-score job."""
    [program] = make_programs(spec)
    return SequentialTrainer(dataset, program, fresh_jit=fresh_jit)


def train_on_subset(trainer: SequentialTrainer, ratio: float, seed: int) -> float:
    """Trains a model on a random subset and examines it on all examples; returns its held-out accuracy."""
    functions, rng, count = trainer.functions_of_a_model(), np.random.default_rng(seed), len(trainer.train.labels)
    subset = rng.choice(count, int(count * ratio), replace=False)
    state = trainer.fit(functions, trainer.train, subset, rng, seed)
    correct = trainer.evaluate_all(functions, state, trainer.train)
    if trainer.test is not None:
        trainer.evaluate_all(functions, state, trainer.test)
    return float(np.delete(correct, subset).mean())


def count_flops(trainer: SequentialTrainer, ratio: float) -> float:
    """Floating-point operations of one model's training and evaluation, as the compiler counts them."""
    [hparams], size, (images, labels) = trainer.hparams, trainer.spec.batch_size, trainer.train
    key, step_index = jax.random.key(0), StepIndex(np.int32(0), np.int32(0), np.int32(1))
    state = trainer.functions.init(key, hparams)
    update = trainer.functions.update.lower(key, hparams, state, images[:size], labels[:size], step_index)
    evaluate = trainer.functions.evaluate.lower(state, images[:1000], labels[:1000])
    a_step, an_evaluation = (lowered.compile().cost_analysis()["flops"] for lowered in (update, evaluate))
    num_evaluated = len(labels) + (0 if trainer.test is None else len(trainer.test.labels))
    num_steps = trainer.spec.epochs * int(len(labels) * ratio) / size
    return a_step * num_steps + an_evaluation / len(images[:1000]) * num_evaluated


def matmul_rate(size: int = 2048, repeats: int = 5) -> float:
    """This process's best float32 matrix-product rate, in operations a second."""
    product = jax.jit(lambda a, b: a @ b)
    a = jax.random.normal(jax.random.key(0), (size, size))
    product(a, a).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def sequential_contender(spec: BenchSpec, *, fresh_jit: bool) -> Prepared:
    """A few models at the subset ratio that is asked for; what is compiled once reports the rates of this machine."""
    trainer = make_sequential(load_dataset(spec.job.data), spec.job, fresh_jit=fresh_jit)
    ratios, num_models = spec.job.subsets.subset_ratios, spec.demo_models if fresh_jit else spec.plain_models
    for ratio in ratios:
        # Each ratio has a short last batch of its own shape, and so a program of its own.
        train_on_subset(trainer, ratio, seed=0)
    rates = None if fresh_jit else (matmul_rate(), {ratio: count_flops(trainer, ratio) for ratio in ratios})
    seeds = itertools.count(1)

    def run(ratio: float) -> list[float]:
        return [train_on_subset(trainer, ratio, next(seeds)) for _ in range(num_models)]

    return Prepared(run, rates)


def engine_contender(spec: BenchSpec) -> Prepared:
    """A full chunk of members at the subset ratio that is asked for, as `jaxgen.cscore` trains them."""
    [program], dataset = make_programs(spec.job), load_dataset(spec.job.data)
    names = {ratio: run_group_name(program, ratio) for ratio in spec.job.subsets.subset_ratios}
    runs = dict.fromkeys(names.values(), spec.job.subsets.num_runs)
    trainer, _ = make_compiled_trainer(dataset, program, make_run_groups(dataset, program), runs)
    starts = itertools.count(0, trainer.chunk_size)

    def run(ratio: float) -> list[float]:
        start = next(starts)
        chunk = Chunk(names[ratio], start, start + trainer.chunk_size)
        [accuracies] = train_chunks(trainer, [chunk], "heldout_accuracy")
        return accuracies.tolist()

    return Prepared(run)


CONTENDERS = make_contenders(sequential_contender, engine_contender)


def measure_speed(spec: BenchSpec) -> str:
    """The table of seconds a model of the three contenders, with both ratios and their spread over rounds.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    check_job(load_dataset(spec.job.data), spec.job)
    ratios = spec.job.subsets.subset_ratios
    with InterleavedBenchmark(CONTENDERS, spec) as benchmark:
        peak_rate, flops = benchmark.facts["plain"]
        turns = benchmark.run_rounds(ratios * spec.rounds)
    lines = [
        f"{spec.job.data.dataset}, {spec.job.model.model}, {spec.job.train.epochs} epochs, batch "
        f"{spec.job.train.batch_size}; {count_of(spec.rounds, 'round')}; {describe_machine()}; best matrix product "
        f"{peak_rate / 1e9:.0f} GFLOP/s",
        "",
        "| subset ratio | demo, s a model | compiled once | jaxgen | demo / jaxgen | compiled once / jaxgen | "
        "share of matrix rate | held-out accuracy: demo, once, jaxgen (n models) |",
        "| --- " * 8 + "|",
    ]
    # The ratios alternate, so every len(ratios)-th turn is at the same one.
    by_ratio = {
        ratio: {name: all_turns[i :: len(ratios)] for name, all_turns in turns.items()}
        for i, ratio in enumerate(ratios)
    }
    for title, group in [(f"{ratio:g}", (ratio,)) for ratio in ratios] + [("all", ratios)] * (len(ratios) > 1):
        best_seconds = np.mean([flops[ratio] for ratio in group]) / peak_rate
        lines.append(f"| {title} | {speed_cells([by_ratio[ratio] for ratio in group], best_seconds)} |")
    return "\n".join(lines)


def speed_cells(group: Sequence[Mapping[str, Sequence[Turn]]], best_seconds: float) -> str:
    """A row's cells after the first: medians over rounds, ratios as median (min to max).

    Args:
      group: for each subset ratio of the row, the turns by contender.
      best_seconds: of a model at the machine's best rate of matrix products.
    """
    seconds = {name: np.mean([seconds_a_model(turns[name]) for turns in group], axis=0) for name in CONTENDERS}
    accuracies = {
        name: [np.concatenate([turn.result for turn in turns[name]]) for turns in group] for name in CONTENDERS
    }
    means = {name: (np.mean([a.mean() for a in each]), sum(map(len, each))) for name, each in accuracies.items()}
    cells = [f"{np.median(seconds[name]):.3g}" for name in CONTENDERS]
    cells += [describe_ratio(seconds[name] / seconds["jaxgen"]) for name in ("demo", "plain")]
    cells.append(f"{best_seconds / np.median(seconds['jaxgen']):.0%}")
    cells.append(", ".join(f"{mean:.4f} ({num_models})" for mean, num_models in means.values()))
    return " | ".join(cells)
