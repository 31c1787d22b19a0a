"""The label-noise sweep three ways: a fresh program for every run, one program for all runs, one table of members.

All three measure accuracy and loss on training and test examples after every epoch, and stop when a model has fitted
its labels. In a round the two that train one model after another train one member of each rate, drawn at random;
jaxgen trains one run of every setting.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, way_lines
from jaxgen.config import BenchSpec, RandomizationSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.runs.plan import Chunk

# Of every setting.
NUM_RUNS = 5
COMPILING = "compiling"


def make_sweep(spec: BenchSpec) -> Any:
    """The job of ``--preset=label_noise`` on the benchmark's data, network and training."""
    from jaxgen.experiments.randomization.job import make_job

    values = {**flag_values(spec.job), "preset": "label_noise", "num_runs": NUM_RUNS}
    asked = spec_from_values(RandomizationSpec, values, spec.given)
    return make_job(hold_out_test(load_dataset(asked.data), asked.fit.test_share, asked.seed), asked)


class SequentialSweep:
    """Trains one member of the table after another; with `fresh_jit` each compiles its own program."""

    def __init__(self, job: Any, *, fresh_jit: bool):
        import jax

        from jaxgen.benchmarks.sequential import inputs_of
        from jaxgen.jobs.program import hparam_table, make_ensemble_config, make_kernels

        self.job, self.fresh_jit = job, fresh_jit
        [self.program] = job.programs
        dataset = job.dataset
        self.learner = make_ensemble_config(
            dataset, self.program, make_kernels(self.program, otherwise="grouped")
        ).learner
        self.hparams = hparam_table(self.program)
        self.images, self.tests = (inputs_of(dataset, images) for images in (dataset.images, dataset.test_images))
        self.functions = self.compile_functions(jax)

    def compile_functions(self, jax: Any) -> tuple[Callable, Callable, Callable]:
        """(init, update, look), not yet compiled; strengths are arguments."""
        import jax.numpy as jnp

        from jaxgen.engine.learner import Batch, final_variables
        from jaxgen.training.losses import cross_entropy

        learner = self.learner

        @jax.jit
        def update(key, hparams, state, images, labels, moment):
            return learner.step(key, hparams, state, Batch(images, labels, jnp.ones(len(labels))), moment)[0]

        @jax.jit
        def look(state, images, labels):
            logits = learner.predict(final_variables(state), images)
            return jnp.mean(jnp.argmax(logits, -1) == labels), jnp.mean(cross_entropy(logits, labels))

        return (learner.init if self.fresh_jit else jax.jit(learner.init)), update, look

    def train(self, number: int) -> float:
        """Trains one member of the table; returns its test accuracy."""
        import jax

        from jaxgen.engine.learner import StepIndex

        init, update, look = self.compile_functions(jax) if self.fresh_jit else self.functions
        run, setting = divmod(number, len(self.program.settings))
        spec, dataset, rng = self.program.settings[setting].spec, self.job.dataset, np.random.default_rng(run)
        hparams = {name: values[setting] for name, values in self.hparams.items()}
        drawn = rng.integers(0, dataset.num_classes, len(dataset.labels)).astype(np.int32)
        labels = np.where(rng.random(len(drawn)) < spec.noise.label_noise, drawn, dataset.labels)
        key, size = jax.random.key(run), spec.train.batch_size
        state, steps = init(key, hparams), -(-len(labels) // size)
        for epoch in range(spec.train.epochs):
            order = rng.permutation(len(labels))
            for step in range(steps):
                batch = order[step * size : (step + 1) * size]
                moment = StepIndex(np.int32(epoch), np.int32(step), np.int32(steps))
                state = update(key, hparams, state, self.images[batch], labels[batch], moment)
            accuracy, _ = look(state, self.images, labels)
            test_accuracy, _ = look(state, self.tests, dataset.test_labels)
            if accuracy >= 1:
                break
        return float(test_accuracy)


def demo_way(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, each compiling its own program."""
    return sequential_way(spec, fresh_jit=True)


def plain_way(spec: BenchSpec) -> Iterator[Any]:
    """One model after another, by one program."""
    return sequential_way(spec, fresh_jit=False)


def sequential_way(spec: BenchSpec, *, fresh_jit: bool) -> Iterator[Any]:
    """Members asked for by number: seconds of each, and test accuracies."""
    trainer = SequentialSweep(make_sweep(spec), fresh_jit=fresh_jit)
    trainer.train(0)
    answer = None
    while True:
        numbers = yield answer
        seconds, accuracies = [], []
        for number in numbers:
            began = time.perf_counter()
            accuracies.append(trainer.train(number))
            seconds.append(time.perf_counter() - began)
        answer = seconds, accuracies


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """One run of every setting: seconds a model, and all test accuracies."""
    from jaxgen.jobs.table import make_run_groups, run_group_name
    from jaxgen.jobs.train import make_trainer
    from jaxgen.reporting.console import log

    job = make_sweep(spec)
    [program] = job.programs
    name, count = run_group_name(program), len(program.settings)
    trainer = make_trainer(job.versions.dataset, program, make_run_groups(job, program), log)
    began = time.perf_counter()
    trainer.configure({name: NUM_RUNS * count})
    trainer.compile_rest()
    compiling, answer = time.perf_counter() - began, None
    while True:
        run = yield answer
        if run == COMPILING:
            answer = compiling
            continue
        began = time.perf_counter()
        chunk = Chunk(name, run * count, (run + 1) * count)
        arrays = trainer.train(chunk, lambda amount, earlier=False: None)
        answer = (time.perf_counter() - began) / count, arrays["test_accuracy"].tolist()


WAYS = {"demo": demo_way, "plain": plain_way, "jaxgen": engine_way}


def measure_label_noise(spec: BenchSpec) -> str:
    """The table of seconds a model three ways.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    job = make_sweep(spec)
    [program] = job.programs
    rng, seconds, accuracies = np.random.default_rng(0), {way: [] for way in WAYS}, {way: [] for way in WAYS}
    with InterleavedBenchmark(WAYS, spec) as turns:
        compiling = turns.ask("jaxgen", COMPILING)
        for number in range(spec.rounds):
            numbers = draw_numbers(program, rng)
            for way in ("demo", "plain"):
                taken, found = turns.ask(way, numbers)
                seconds[way].append(np.mean(taken))
                accuracies[way] += found
            taken, found = turns.ask("jaxgen", number % NUM_RUNS)
            seconds["jaxgen"].append(taken)
            accuracies["jaxgen"] += found
    train = program.spec
    shape = f"{len(job.dataset.labels):,} training and {len(job.dataset.test_labels):,} test examples"
    lines = [
        f"{spec.job.data.dataset}, {shape}, {train.model.model}, at most {train.train.epochs} epochs, batch "
        f"{train.train.batch_size}; {len(program.settings)} settings, one program, compiled and "
        f"arranged in {compiling:.1f} s (not counted); {spec.rounds} rounds; {describe_machine()}",
        "",
        "| way | s a model | this / jaxgen | test accuracy (n models) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a run", "plain": "compiled once", "jaxgen": "jaxgen"}
    return "\n".join([*lines, *way_lines(titles, seconds, accuracies, lambda taken: taken)])


def draw_numbers(program: Any, rng: np.random.Generator) -> list[int]:
    """One member of each rate of label noise."""
    rates = np.array([setting.spec.noise.label_noise for setting in program.settings])
    settings = [int(rng.choice(np.flatnonzero(rates == rate))) for rate in np.unique(rates)]
    return [setting + len(rates) * int(rng.integers(NUM_RUNS)) for setting in settings]
