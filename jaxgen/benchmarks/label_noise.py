"""The label-noise sweep three times: a fresh program for every run, one program for all runs, one table of members.

All three measure accuracy and loss on training and test examples after every epoch, and stop when a model has fitted
its labels. In a round the two that train one model after another train one member of each rate, drawn at random;
jaxgen trains one run of every setting.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.benchmarks.engine import make_compiled_trainer, train_chunks
from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, describe_machine
from jaxgen.benchmarks.sequential import SequentialTrainer, contender_rows, make_contenders
from jaxgen.config import BenchSpec, RandomizationSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.engine.learner import LearnerState
from jaxgen.experiments.randomization.job import make_job
from jaxgen.jobs.member_table import TableJob, make_run_groups, run_group_name
from jaxgen.jobs.program import Program
from jaxgen.runs.plan import Chunk
from jaxgen.training.losses import cross_entropy
from jaxgen.wording import count_of

# Of every setting.
NUM_RUNS = 5


class Task(NamedTuple):
    """What is trained in a round.

    Attributes:
      numbers: members that are trained one after another.
      run: the run of which the engine trains all settings.
    """

    numbers: list[int]
    run: int


def make_sweep(spec: BenchSpec) -> TableJob:
    """The job of ``--preset=label_noise`` on the benchmark's data, network and training."""
    values = {**flag_values(spec.job), "preset": "label_noise", "num_runs": NUM_RUNS}
    asked = spec_from_values(RandomizationSpec, values, spec.given)
    return make_job(hold_out_test(load_dataset(asked.data), asked.fit.test_share, asked.seed), asked)


def accuracy_and_loss(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The means over all examples, two scalars."""
    return jnp.mean(jnp.argmax(logits, -1) == labels), jnp.mean(cross_entropy(logits, labels))


class SequentialSweep:
    """Trains one member of the sweep after another; with `fresh_jit` each compiles its own program."""

    def __init__(self, job: TableJob, *, fresh_jit: bool):
        self.job = job
        [self.program] = job.programs
        self.trainer = SequentialTrainer(job.dataset, self.program, accuracy_and_loss, fresh_jit=fresh_jit)

    def train(self, number: int) -> float:
        """Trains one member until it has fitted its labels; returns its test accuracy."""
        trainer, dataset = self.trainer, self.job.dataset
        functions = trainer.functions_of_a_model()
        run, setting = divmod(number, len(self.program.settings))
        rng = np.random.default_rng(run)
        drawn = rng.integers(0, dataset.num_classes, len(dataset.labels)).astype(np.int32)
        flipped = rng.random(len(drawn)) < self.program.settings[setting].spec.noise.label_noise
        noisy = trainer.train._replace(labels=np.where(flipped, drawn, dataset.labels))
        test_accuracy = 0.0

        def has_fitted(state: LearnerState) -> bool:
            nonlocal test_accuracy
            accuracy, _ = functions.evaluate(state, *noisy)
            test_accuracy, _ = functions.evaluate(state, *trainer.test)
            return accuracy >= 1

        trainer.fit(functions, noisy, np.arange(len(drawn)), rng, run, setting=setting, stop=has_fitted)
        return float(test_accuracy)


def sequential_contender(spec: BenchSpec, *, fresh_jit: bool) -> Prepared:
    """Members by their numbers: test accuracies."""
    sweep = SequentialSweep(make_sweep(spec), fresh_jit=fresh_jit)
    sweep.train(0)
    return Prepared(lambda task: [sweep.train(number) for number in task.numbers])


def engine_contender(spec: BenchSpec) -> Prepared:
    """One run of every setting: test accuracies. Reports the seconds of compiling."""
    job = make_sweep(spec)
    [program] = job.programs
    name, count = run_group_name(program), len(program.settings)
    trainer, seconds = make_compiled_trainer(
        job.versions.dataset, program, make_run_groups(job, program), {name: NUM_RUNS * count}
    )

    def run(task: Task) -> list[float]:
        chunk = Chunk(name, task.run * count, (task.run + 1) * count)
        [accuracies] = train_chunks(trainer, [chunk], "test_accuracy")
        return accuracies.tolist()

    return Prepared(run, seconds)


CONTENDERS = make_contenders(sequential_contender, engine_contender)


def measure_label_noise(spec: BenchSpec) -> str:
    """The table of seconds a model of the three contenders.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    job, rng = make_sweep(spec), np.random.default_rng(0)
    [program] = job.programs
    tasks = [Task(draw_numbers(program, rng), number % NUM_RUNS) for number in range(spec.rounds)]
    with InterleavedBenchmark(CONTENDERS, spec) as benchmark:
        turns = benchmark.run_rounds(tasks)
    train = program.spec
    shape = f"{len(job.dataset.labels):,} training and {len(job.dataset.test_labels):,} test examples"
    lines = [
        f"{spec.job.data.dataset}, {shape}, {train.model.model}, at most {train.train.epochs} epochs, batch "
        f"{train.train.batch_size}; {count_of(len(program.settings), 'setting')}, one program, compiled and "
        f"arranged in {benchmark.facts['jaxgen']:.1f} s (not counted); "
        f"{count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| way | s a model | this / jaxgen | test accuracy (n models) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a run", "plain": "compiled once", "jaxgen": "jaxgen"}
    return "\n".join([*lines, *contender_rows(titles, turns, lambda seconds: seconds)])


def draw_numbers(program: Program, rng: np.random.Generator) -> list[int]:
    """One member of each rate of label noise."""
    rates = np.array([setting.spec.noise.label_noise for setting in program.settings])
    settings = [int(rng.choice(np.flatnonzero(rates == rate))) for rate in np.unique(rates)]
    return [setting + len(rates) * int(rng.integers(NUM_RUNS)) for setting in settings]
