"""Stage 2 of the long-tail experiment three times: a fresh program a classifier, one for all of them, one table.

All train the same classifiers: the row of a classifier fixes its features, labels, order, loss and step sizes. In a
round the two that train one classifier after another train a few; jaxgen trains those of every method, threshold and
run. Labels are flipped before, for all three.
"""

import functools
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.benchmarks.engine import make_compiled_trainer, train_chunks
from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, describe_machine, describe_ratio
from jaxgen.benchmarks.sequential import contender_rows, make_contenders
from jaxgen.config import BenchSpec, LnrSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.engine.evaluation import finish_members
from jaxgen.engine.members import Data, Examples
from jaxgen.engine.training import draw_order, start_members, step_member
from jaxgen.experiments.longtail.job import RUN_GROUP, LongTailJob, make_job
from jaxgen.experiments.longtail.measure import logits_of
from jaxgen.experiments.longtail.run import train_stage1
from jaxgen.experiments.longtail.stage2 import make_stage2, num_heads, stage2_run_groups
from jaxgen.jobs.member_table import make_rows
from jaxgen.jobs.program import Program, make_ensemble_config, make_kernels
from jaxgen.jobs.session import QUIET
from jaxgen.runs.plan import Span, cut_chunks
from jaxgen.types import Dataset, Outcome
from jaxgen.wording import count_of

# Classifiers in a round of those that train one after another: compiling each anew, and compiling once.
NUM_FRESH, NUM_PLAIN = 2, 10


def make_experiment(spec: BenchSpec) -> tuple[LongTailJob, Dataset, Program]:
    """The job of ``python -m jaxgen.lnr`` with the flags that were given, and the data and the program of its stage 2,
    for which stage 1 is trained."""
    known = flag_values(LnrSpec())
    chosen = {name: value for name, value in flag_values(spec.job).items() if name in {*spec.given, "dataset"}}
    chosen = {name: value for name, value in chosen.items() if name in known}
    with tempfile.TemporaryDirectory() as folder:
        asked = spec_from_values(LnrSpec, {**chosen, "out": folder})
        job = make_job(hold_out_test(load_dataset(asked.data), asked.longtail.test_share, asked.seed), asked)
        outputs = train_stage1(job, QUIET)[1]
    dataset, programs = make_stage2(job, outputs)
    return job, dataset, programs[0]


def add_member_axis(tree: Any) -> Any:
    """The arrays of one member as those of an ensemble of one: a leading axis of length 1."""
    return jax.tree.map(lambda leaf: leaf[None], tree)


def drop_member_axis(tree: Any) -> Any:
    """The arrays of the member of an ensemble of one."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


class MemberTrainer:
    """Trains the same members as the engine, one after another, by a loop over their steps.

    A member's configuration, orders, steps and evaluation are the engine's functions of one member. Data and orders
    stay on the device, so that a step costs one call.
    """

    def __init__(self, dataset: Dataset, program: Program):
        self.config = make_ensemble_config(dataset, program, make_kernels(program))
        self.data = jax.device_put(Data(Examples(dataset.images, dataset.labels), None))
        self.steps = -(-len(dataset.labels) // self.config.batch_size)
        self.start = jax.jit(lambda row, data: drop_member_axis(start_members(self.config, add_member_axis(row), data)))
        self.order = jax.jit(functools.partial(draw_order, self.config))
        self.compile()

    def compile(self) -> None:
        """Makes new functions of a step and of the evaluation, which are compiled when they are first called."""
        config = self.config
        self.step = jax.jit(lambda *state: step_member(config, *state), donate_argnums=1)
        self.finish = jax.jit(
            lambda *state, data: drop_member_axis(finish_members(config, *map(add_member_axis, state), data))
        )

    def train(self, row: Any) -> Outcome:
        """Trains the member of a row, a tree of scalars."""
        member, state = self.start(row, self.data)
        for epoch in range(self.config.epochs):
            order = self.order(member, epoch)
            for step in range(self.steps):
                state = self.step(member, state, order, self.data, step)
            state = state._replace(epoch=jnp.int32(epoch + 1))
        return jax.device_get(self.finish(member, state, data=self.data))


def test_accuracy(job: LongTailJob, program: Program, number: int, params: np.ndarray) -> float:
    """The share of the test examples that a classifier gets right, by its number and its parameters."""
    stage2 = program.context
    logits = logits_of(stage2.split(params), stage2.outputs.test[number // len(program.settings)])
    return float(np.mean(logits.argmax(1) == job.tail.dataset.test_labels))


def sequential_contender(spec: BenchSpec, *, fresh_jit: bool) -> Prepared:
    """Some of all classifiers, drawn by the number of the round: test accuracies."""
    job, dataset, program = make_experiment(spec)
    total, trainer = num_heads(job, program), MemberTrainer(dataset, program)
    count = min(NUM_FRESH if fresh_jit else NUM_PLAIN, total)

    def train(number: int) -> float:
        if fresh_jit:
            trainer.compile()
        outcome = trainer.train(jax.tree.map(lambda field: field[0], make_rows(program, [number])))
        return test_accuracy(job, program, number, outcome.measures["params"])

    def run(seed: int) -> list[float]:
        return [train(int(number)) for number in np.random.default_rng(seed).choice(total, count, replace=False)]

    if not fresh_jit:
        train(0)
    return Prepared(run)


def engine_contender(spec: BenchSpec) -> Prepared:
    """All classifiers: test accuracies. Reports the seconds of compiling, and how many classifiers there are."""
    job, dataset, program = make_experiment(spec)
    count = num_heads(job, program)
    trainer, seconds = make_compiled_trainer(dataset, program, stage2_run_groups(job, program), {RUN_GROUP: count})
    chunks = cut_chunks({RUN_GROUP: [Span(0, count)]}, trainer.chunk_size)

    def run(seed: int) -> list[float]:
        numbers, params = train_chunks(trainer, chunks, "run", "params")
        pairs = zip(numbers, params, strict=True)
        return [test_accuracy(job, program, int(number), flat_params) for number, flat_params in pairs]

    return Prepared(run, (seconds, count))


CONTENDERS = make_contenders(sequential_contender, engine_contender)


def measure_heads(spec: BenchSpec) -> str:
    """The table of classifiers a second of the three contenders.

    Raises:
      UserError: for data or flags that cannot be used.
    """
    with InterleavedBenchmark(CONTENDERS, spec) as benchmark:
        turns = benchmark.run_rounds(range(1, spec.rounds + 1))
    compiling, count = benchmark.facts["jaxgen"]
    head = LnrSpec().head
    lines = [
        f"{spec.job.data.dataset}, {count_of(count, 'classifier')} on features, {head.head_epochs} epochs, batch "
        f"{head.head_batch_size}; one program, compiled and arranged in {compiling:.1f} s (not counted); "
        f"{count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| way | classifiers/s | jaxgen / this | test accuracy (n classifiers) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a classifier", "plain": "compiled once", "jaxgen": "jaxgen, all methods"}
    table = contender_rows(titles, turns, lambda seconds: 1 / seconds)
    # Wall-clock time on a busy machine measures the other processes too.
    plain, jaxgen = (
        np.array([turn.processor_seconds / len(turn.result) for turn in turns[name]]) for name in ("plain", "jaxgen")
    )
    ratio = f"Processor time of a classifier, compiled once / jaxgen: {describe_ratio(plain / jaxgen)}"
    return "\n".join([*lines, *table, "", ratio])
