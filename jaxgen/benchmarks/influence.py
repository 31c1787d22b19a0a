"""The strongest influences of synthetic runs: seconds and peak memory, beside the plain dense way on a tenth of either
side.

* ``jaxgen``: `jaxgen.scores.influence.strongest`, from packed masks.
* ``dense``: as the MNIST demo of Feldman and Zhang has it (https://github.com/google-research/heldout-influence-estimation):
  two products of whole float32 arrays make the whole matrix, whose rows and columns are sorted.

Each measurement has a process of its own, whose peak memory it is; making the masks is not in the seconds.
"""

import multiprocessing.connection
import resource
import sys
import time

import numpy as np

from jaxgen.benchmarks import interleaved as turns
from jaxgen.config import BenchSpec
from jaxgen.errors import UserError
from jaxgen.scores import influence
from jaxgen.types import Outcome

PAIRS = 5
RATIO, ACCURACY = 0.7, 0.9
RUNS_AT_ONCE = 50


def draw_runs(runs: int, train: int, test: int) -> Outcome:
    """Random masks and answers of so many runs, packed as in a store; drawn in parts, so that memory stays small."""
    rng = np.random.default_rng(0)
    masks = []
    for count, share in ((train, RATIO), (test, ACCURACY)):
        parts = [min(RUNS_AT_ONCE, runs - start) for start in range(0, runs, RUNS_AT_ONCE)]
        rows = [np.packbits(rng.random((part, count), np.float32) < share, axis=1) for part in parts]
        masks.append(np.concatenate(rows))
    trained_on, correct = masks
    nothing = np.zeros((runs, 0), np.uint8)
    curve, epochs = np.zeros((runs, 1), np.float32), np.zeros(runs, np.int32)
    return Outcome(trained_on, trained_on, correct, curve, epochs, np.ones(runs, bool), nothing)


def by_blocks(outcome: Outcome, train: int, test: int) -> float:
    """The largest influence, as jaxgen finds it."""
    return float(influence.strongest(influence.gather([outcome], train, test), PAIRS).values.max(initial=0))


def by_matrix(outcome: Outcome, train: int, test: int) -> float:
    """The largest influence, of the whole matrix and its sorted rows and columns."""
    masks = np.unpackbits(outcome.trained_on, axis=1, count=train).astype(np.float32)
    correct = np.unpackbits(outcome.test_correct, axis=1, count=test).astype(np.float32).T
    others = 1 - masks
    found = correct @ masks / masks.sum(0) - correct @ others / others.sum(0)
    best = np.argsort(-found, axis=1)[:, :PAIRS]
    np.argsort(-found, axis=0)[:PAIRS]
    return float(np.take_along_axis(found, best, axis=1).max())


WAYS = {"jaxgen": by_blocks, "dense": by_matrix}


def answer(way: str, shape: tuple[int, ...], connection: multiprocessing.connection.Connection) -> None:
    """Sends seconds, peak resident bytes and the largest influence."""
    outcome = draw_runs(*shape)
    began = time.perf_counter()
    found = WAYS[way](outcome, *shape[1:])
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    connection.send((seconds, peak, found))


def ask(way: str, shape: tuple[int, ...]) -> tuple[float, float, float]:
    """`answer` of a process of its own."""
    ours, theirs = turns.PROCESSES.Pipe()
    process = turns.PROCESSES.Process(target=answer, args=(way, shape, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise UserError(f"a worker of the benchmark ({way}) stopped; its message is above") from None
    finally:
        process.join()


def measure_influence(spec: BenchSpec) -> str:
    """The table of seconds and memory: both ways on a tenth of either side, and jaxgen on the whole."""
    runs, train, test = spec.influence_shape
    small = (runs, max(train // 10, 1), max(test // 10, 1))
    asked = [("jaxgen", small), ("dense", small), ("jaxgen", (runs, train, test))]
    found = {each: [] for each in asked}
    for _ in range(spec.rounds):
        for each in asked:
            found[each].append(ask(*each))
    lines = [
        f"{runs:,} runs, the {PAIRS} strongest of each example; {spec.rounds} rounds; {turns.describe_machine()}",
        "",
        "| training x test examples | way | seconds, median (smallest to largest) | peak memory, MB | dense / jaxgen | "
        "largest influence |",
        "| --- " * 6 + "|",
    ]
    for way, shape in asked:
        seconds, peaks, largest = np.array(found[way, shape]).T
        faster = turns.describe_ratio(seconds / np.array(found["jaxgen", small])[:, 0]) if way == "dense" else ""
        lines.append(
            f"| {shape[1]:,} x {shape[2]:,} | {way} | {turns.describe_ratio(seconds)} | {peaks.max() / 1e6:.0f} | "
            f"{faster} | {largest[0]:.4f} |"
        )
    return "\n".join(lines)
