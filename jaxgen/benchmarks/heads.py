"""Stage 2 of the long-tail experiment three ways: a fresh program a classifier, one for all of them, one table.

All train the same classifiers, each as its row has it: features, labels, order, loss, step sizes. In a round the two
that train one classifier after another train a few; jaxgen trains those of every method, threshold and run. Labels are
flipped before, for all three.
"""

import functools
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, describe_ratio, way_lines
from jaxgen.config import BenchSpec, LnrSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.engine.evaluation import finish_members
from jaxgen.engine.members import Data, Examples
from jaxgen.engine.training import draw_order, start_members, step_member
from jaxgen.experiments.longtail.job import RUN_GROUP, make_job
from jaxgen.experiments.longtail.measure import logits_of
from jaxgen.experiments.longtail.run import train_first
from jaxgen.experiments.longtail.stage2 import make_stage2, num_heads, second_run_groups
from jaxgen.jobs.program import Program, make_ensemble_config, make_kernels
from jaxgen.jobs.session import QUIET
from jaxgen.jobs.table import make_rows
from jaxgen.jobs.train import make_trainer
from jaxgen.reporting.console import log
from jaxgen.runs.plan import Span, cut_chunks
from jaxgen.types import Dataset, Outcome

# A round's classifiers of the ways that train one after another.
FRESH, ONCE = 2, 10


def make_experiment(spec: BenchSpec) -> tuple[Any, Any, Any, Any]:
    """The job of ``python -m jaxgen.lnr`` with the flags that were given, what its stage 1 found, and its stage 2."""
    known = flag_values(LnrSpec())
    chosen = {name: value for name, value in flag_values(spec.job).items() if name in {*spec.given, "dataset"}}
    chosen = {name: value for name, value in chosen.items() if name in known}
    with tempfile.TemporaryDirectory() as folder:
        asked = spec_from_values(LnrSpec, {**chosen, "out": folder})
        job = make_job(hold_out_test(load_dataset(asked.data), asked.longtail.test_share, asked.seed), asked)
        found = train_first(job, QUIET)[1]
    dataset, programs = make_stage2(job, found)
    return job, found, dataset, programs[0]


def demo_way(spec: BenchSpec) -> Iterator[Any]:
    """One classifier after another, each compiling its own programs."""
    return sequential_way(spec, FRESH, fresh_jit=True)


def plain_way(spec: BenchSpec) -> Iterator[Any]:
    """One classifier after another, by programs that are compiled once."""
    return sequential_way(spec, ONCE, fresh_jit=False)


def alone(tree: Any) -> Any:
    """One member as a table of one."""
    return jax.tree.map(lambda leaf: leaf[None], tree)


def lone(tree: Any) -> Any:
    """The member of a table of one."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


class OneByOne:
    """Trains one row of a table of members after another: the same members as the engine's, a loop over their steps.

    Who a member is, its orders, its steps and what it gets right are the engine's functions of one member. Data and
    orders stay on the device, so that the loop costs a call a step and nothing else.
    """

    def __init__(self, dataset: Dataset, program: Program):
        self.config = make_ensemble_config(dataset, program, make_kernels(program))
        self.data = jax.device_put(Data(Examples(dataset.images, dataset.labels), None))
        self.steps = -(-len(dataset.labels) // self.config.batch_size)
        self.start = jax.jit(lambda row, data: lone(start_members(self.config, alone(row), data)))
        self.order = jax.jit(functools.partial(draw_order, self.config))
        self.compile()

    def compile(self) -> None:
        """Makes the programs of a step and of the end anew; they are compiled when they are first used."""
        config = self.config
        self.step = jax.jit(lambda *state: step_member(config, *state), donate_argnums=1)
        self.finish = jax.jit(lambda *state, data: lone(finish_members(config, *map(alone, state), data)))

    def train(self, row: Any) -> Outcome:
        """What a member came to, by its row of scalars."""
        member, progress = self.start(row, self.data)
        for epoch in range(self.config.epochs):
            order = self.order(member, epoch)
            for step in range(self.steps):
                progress = self.step(member, progress, order, self.data, step)
            progress = progress._replace(epoch=jnp.int32(epoch + 1))
        return jax.device_get(self.finish(member, progress, data=self.data))


def sequential_way(spec: BenchSpec, count: int, *, fresh_jit: bool) -> Iterator[Any]:
    """Some of all classifiers, drawn by the number of the round: seconds of one (`clocks`) and test accuracies."""
    job, _, dataset, program = make_experiment(spec)
    total, trainer = num_heads(job, program), OneByOne(dataset, program)

    def train(number: int) -> float:
        outcome = trainer.train(jax.tree.map(lambda field: field[0], make_rows(program, [number])))
        return test_accuracy(job, program, number, outcome.measures["params"])

    if not fresh_jit:
        train(0)
    answer = None
    while True:
        seed = yield answer
        accuracies, numbers = [], np.random.default_rng(seed).choice(total, min(count, total), replace=False)
        began = clocks()
        for number in numbers:
            if fresh_jit:
                trainer.compile()
            accuracies.append(train(int(number)))
        answer = (clocks() - began) / len(numbers), accuracies


def clocks() -> np.ndarray:
    """Seconds gone by, and seconds of this process on all cores."""
    return np.array([time.perf_counter(), time.process_time()])


def test_accuracy(job: Any, program: Program, number: int, params: np.ndarray) -> float:
    """The share of the test examples that a classifier gets right, by its number and its parameters."""
    stage2 = program.context
    logits = logits_of(stage2.split(params), stage2.found.test[number // len(program.settings)])
    return float(np.mean(logits.argmax(1) == job.tail.dataset.test_labels))


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """All classifiers: seconds of one (`clocks`) and test accuracies; first, seconds of compiling and their number."""
    job, _, dataset, program = make_experiment(spec)
    count = num_heads(job, program)
    trainer = make_trainer(dataset, program, second_run_groups(job, program), log)
    began = time.perf_counter()
    trainer.configure({RUN_GROUP: count})
    trainer.compile_rest()
    answer = time.perf_counter() - began, count
    yield None
    chunks = cut_chunks({RUN_GROUP: [Span(0, count)]}, trainer.chunk_size)
    while True:
        yield answer
        began = clocks()
        trained = [trainer.train(chunk, lambda amount, earlier=False: None) for chunk in chunks]
        numbers, params = (np.concatenate([arrays[name] for arrays in trained]) for name in ("run", "params"))
        accuracies = [test_accuracy(job, program, int(n), own) for n, own in zip(numbers, params, strict=True)]
        answer = (clocks() - began) / count, accuracies


WAYS = {"demo": demo_way, "plain": plain_way, "jaxgen": engine_way}


def measure_heads(spec: BenchSpec) -> str:
    """The table of classifiers a second three ways.

    Raises:
      UserError: for data or flags that cannot be used.
    """
    seconds, accuracies = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    busy = {way: [] for way in WAYS}
    with InterleavedBenchmark(WAYS, spec) as turns:
        compiling, count = turns.ask("jaxgen", 0)
        for number in range(spec.rounds):
            for way in WAYS:
                (taken, worked), found = turns.ask(way, number + 1)
                seconds[way].append(taken)
                busy[way].append(worked)
                accuracies[way] += found
    own = LnrSpec().head
    lines = [
        f"{spec.job.data.dataset}, {count} classifiers on features, {own.head_epochs} epochs, batch "
        f"{own.head_batch_size}; one program, compiled and arranged in {compiling:.1f} s (not counted); "
        f"{spec.rounds} rounds; {describe_machine()}",
        "",
        "| way | classifiers/s | jaxgen / this | test accuracy (n classifiers) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a classifier", "plain": "compiled once", "jaxgen": "jaxgen, all methods"}
    table = way_lines(titles, seconds, accuracies, lambda taken: 1 / taken)
    # On a busy machine the time that goes by says how busy it is.
    ratio = describe_ratio(np.array(busy["plain"]) / np.array(busy["jaxgen"]))
    return "\n".join([*lines, *table, "", f"Processor time of a classifier, compiled once / jaxgen: {ratio}"])
