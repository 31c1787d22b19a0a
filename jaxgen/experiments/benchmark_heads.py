"""Stage 2 of the long-tail experiment three ways: a fresh program a classifier, one for all of them, one table.

All train classifiers on the same features of a network of stage 1. In a round the two that train one classifier after
another train a few; jaxgen trains those of every method, threshold and run.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen import spec as words
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.experiments.turns import Turns, describe_machine, way_lines
from jaxgen.runs.plan import Span, cut_chunks
from jaxgen.spec import BenchSpec, CscoreSpec, LnrSpec

# A round's classifiers of the ways that train one after another.
FRESH, ONCE = 2, 10


def make_experiment(spec: BenchSpec) -> tuple[Any, Any, Any, Any]:
    """The job of ``python -m jaxgen.lnr`` with the flags that were given, what its stage 1 found, and its stage 2."""
    from jaxgen.experiments.lnr import train_first
    from jaxgen.experiments.lnr_job import make_job
    from jaxgen.experiments.lnr_stage2 import make_stage2

    known = words.values(LnrSpec())
    chosen = {name: value for name, value in words.values(spec.job).items() if name in (*spec.keep, "dataset")}
    chosen = {name: value for name, value in chosen.items() if name in known}
    with tempfile.TemporaryDirectory() as folder:
        asked = words.from_values(LnrSpec, {**chosen, "out": folder})
        job = make_job(hold_out_test(load_dataset(asked.data), asked.longtail.test_share, asked.seed), asked)
        found = train_first(job, resume="", say=None)[1]
    dataset, programs = make_stage2(job, found)
    return job, found, dataset, programs[0]


def demo_way(spec: BenchSpec) -> Iterator[Any]:
    """One classifier after another, each compiling its own programs."""
    return sequential_way(spec, FRESH, fresh_jit=True)


def plain_way(spec: BenchSpec) -> Iterator[Any]:
    """One classifier after another, by one program."""
    return sequential_way(spec, ONCE, fresh_jit=False)


def sequential_way(spec: BenchSpec, count: int, *, fresh_jit: bool) -> Iterator[Any]:
    """Classifiers asked for by seed: seconds of one and test accuracies."""
    from jaxgen.experiments.baselines import SequentialTrainer

    job, found, dataset, program = make_experiment(spec)
    # The features of the first run's network.
    size, tests = len(dataset.labels), job.of_base(found).test[0]
    own = dataclasses.replace(dataset, images=dataset.images[:size])
    same = words.from_values(CscoreSpec, words.values(program.spec))
    trainer = SequentialTrainer(own, same, fresh_jit=fresh_jit)

    def train(seed: int) -> float:
        functions, rng = trainer.functions_of_a_model(), np.random.default_rng(seed)
        state = trainer.fit(functions, trainer.images, trainer.labels, np.arange(size), rng, seed)
        predictions = trainer.examine(functions[2], state, tests)
        return float(np.mean(predictions == job.tail.dataset.test_labels))

    if not fresh_jit:
        train(0)
    answer = None
    while True:
        seed = yield answer
        began = time.perf_counter()
        accuracies = [train(seed * count + i) for i in range(count)]
        answer = (time.perf_counter() - began) / count, accuracies


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """All classifiers: seconds of one and test accuracies; first, seconds of compiling and how many they are."""
    from jaxgen.experiments.lnr_job import CELL
    from jaxgen.experiments.lnr_rows import split_params
    from jaxgen.experiments.lnr_stage2 import num_heads, second_cells
    from jaxgen.experiments.members import tell
    from jaxgen.experiments.start import make_trainer

    job, _, dataset, program = make_experiment(spec)
    stage2, count = program.enrol.args[0], num_heads(job, program)
    trainer = make_trainer(dataset, program, second_cells(job, program), tell)
    began = time.perf_counter()
    trainer.settle({CELL: count})
    answer = time.perf_counter() - began, count
    yield None
    chunks = cut_chunks({CELL: [Span(0, count)]}, trainer.chunk_size)
    while True:
        yield answer
        began = time.perf_counter()
        trained = [trainer.train(chunk, lambda amount, earlier=False: None) for chunk in chunks]
        runs, params = (np.concatenate([arrays[name] for arrays in trained]) for name in ("run", "params"))
        accuracies = []
        for number, own in zip(runs, params, strict=True):
            bias, kernel, scale = split_params(own, *stage2.found.kernels.shape[1:])
            logits = (stage2.found.test[int(number) // len(stage2.heads)] @ kernel + bias) * scale
            accuracies.append(float(np.mean(logits.argmax(1) == job.tail.dataset.test_labels)))
        answer = (time.perf_counter() - began) / count, accuracies


WAYS = {"demo": demo_way, "plain": plain_way, "jaxgen": engine_way}


def measure_heads(spec: BenchSpec) -> str:
    """The table of classifiers a second three ways.

    Raises:
      UserError: for data or flags that cannot be used.
    """
    seconds, accuracies = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    with Turns(WAYS, spec) as turns:
        compiling, count = turns.ask("jaxgen", 0)
        for number in range(spec.rounds):
            for way in WAYS:
                taken, found = turns.ask(way, number + 1)
                seconds[way].append(taken)
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
    return "\n".join([*lines, *way_lines(titles, seconds, accuracies, lambda taken: 1 / taken)])
