"""The oversampling experiment three ways: a fresh program for every model, one program for all, one table of members.

Samples of every size, plain and with a noisy copy of each training example, as the lecture has it. In a round the two
that train one model after another train one of each size and arm; jaxgen trains every run of all.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, way_lines
from jaxgen.config import BenchSpec, CscoreSpec, OversamplingSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.runs.plan import Span, cut_chunks

ARMS = ("plain", "uniform")


def make_experiment(spec: BenchSpec) -> Any:
    """The job of ``python -m jaxgen.oversampling --arm=plain,uniform`` with the flags that were given."""
    from jaxgen.experiments.oversampling.job import make_job

    chosen = {name: value for name, value in flag_values(spec.job).items() if name in {*spec.given, "dataset"}}
    asked = spec_from_values(OversamplingSpec, {**chosen, "arm": ARMS})
    return make_job(load_dataset(asked.data), asked)


class SequentialSamples:
    """Trains one model of the experiment after another; with `fresh_jit` each compiles its own programs."""

    def __init__(self, job: Any, *, fresh_jit: bool):
        from jaxgen.benchmarks.sequential import SequentialTrainer

        same = spec_from_values(CscoreSpec, flag_values(job.settings[0].spec))
        self.copies, self.dataset = job.spec.copies, job.dataset
        self.trainer = SequentialTrainer(job.dataset, same, fresh_jit=fresh_jit)

    def train(self, size: int, arm: str, seed: int) -> float:
        """Trains a model on a sample, and examines it on what it was trained on, its development part and the test set;
        returns its test accuracy."""
        trainer, rng = self.trainer, np.random.default_rng(seed)
        functions = trainer.functions_of_a_model()
        sample = rng.choice(len(trainer.labels), size, replace=False)
        num_dev = round(size * self.copies.dev_share)
        images, labels = trainer.images[sample[num_dev:]], trainer.labels[sample[num_dev:]]
        if arm != "plain":
            noise = rng.uniform(0, self.copies.uniform_noise, images.shape).astype(np.float32)
            images, labels = np.concatenate([images, images + noise]), np.concatenate([labels, labels])
        state = trainer.fit(functions, images, labels, np.arange(len(labels)), rng, seed)
        parts = [
            (images, labels),
            (trainer.images[sample[:num_dev]], trainer.labels[sample[:num_dev]]),
            (trainer.tests, self.dataset.test_labels),
        ]
        accuracies = [float(np.mean(trainer.examine(functions[2], state, x) == y)) for x, y in parts if len(y)]
        return accuracies[-1]


def demo_way(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, each compiling its own programs."""
    return sequential_way(spec, fresh_jit=True)


def plain_way(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, by one program for each shape."""
    return sequential_way(spec, fresh_jit=False)


def sequential_way(spec: BenchSpec, *, fresh_jit: bool) -> Iterator[Any]:
    """Models asked for by seed, one of each size and arm: seconds a model and test accuracies."""
    job = make_experiment(spec)
    trainer = SequentialSamples(job, fresh_jit=fresh_jit)
    run_groups = [(size, arm) for size in job.spec.copies.sample_sizes for arm in ARMS]
    if not fresh_jit:
        # What is compiled for a size is compiled before it is timed.
        for size, arm in run_groups:
            trainer.train(size, arm, 0)
    answer = None
    while True:
        seed = yield answer
        began = time.perf_counter()
        accuracies = [trainer.train(size, arm, seed) for size, arm in run_groups]
        answer = (time.perf_counter() - began) / len(run_groups), accuracies


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """All runs of every size and arm: seconds a model and test accuracies; first, seconds of compiling."""
    from jaxgen.experiments.oversampling.job import make_run_groups
    from jaxgen.jobs.train import make_trainer
    from jaxgen.reporting.console import log

    job = make_experiment(spec)
    [program] = job.programs
    run_groups = make_run_groups(job, program)
    count = job.spec.num_runs * len(program.settings)
    trainer = make_trainer(job.dataset, program, run_groups, log)
    began = time.perf_counter()
    trainer.configure(dict.fromkeys(run_groups, count))
    trainer.compile_rest()
    answer = time.perf_counter() - began
    yield None
    chunks = cut_chunks({run_group: [Span(0, count)] for run_group in run_groups}, trainer.chunk_size)
    while True:
        yield answer
        began = time.perf_counter()
        trained = [trainer.train(chunk, lambda amount, earlier=False: None) for chunk in chunks]
        seconds = (time.perf_counter() - began) / (count * len(run_groups))
        answer = seconds, np.concatenate([arrays["test_accuracy"] for arrays in trained]).tolist()


WAYS = {"demo": demo_way, "plain": plain_way, "jaxgen": engine_way}


def measure_oversampling(spec: BenchSpec) -> str:
    """The table of models a second three ways.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    job = make_experiment(spec)
    seconds, accuracies = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    with InterleavedBenchmark(WAYS, spec) as turns:
        compiling = turns.ask("jaxgen", 0)
        for number in range(spec.rounds):
            for way in WAYS:
                taken, found = turns.ask(way, number + 1)
                seconds[way].append(taken)
                accuracies[way] += found
    asked, sizes = job.spec, job.spec.copies.sample_sizes
    lines = [
        f"{spec.job.data.dataset}, samples of {', '.join(f'{size:,}' for size in sizes)}, "
        f"{len(job.dataset.test_labels):,} test examples, {asked.model.model}, {asked.train.epochs} epochs, "
        f"batch {asked.train.batch_size}; "
        f"{len(sizes) * len(ARMS) * asked.num_runs:,} models, one program, compiled and arranged in {compiling:.1f} s "
        f"(not counted); {spec.rounds} rounds; {describe_machine()}",
        "",
        "| way | models/s | jaxgen / this | test accuracy (n models) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a model", "plain": "compiled once", "jaxgen": "jaxgen"}
    return "\n".join([*lines, *way_lines(titles, seconds, accuracies, lambda taken: 1 / taken)])
