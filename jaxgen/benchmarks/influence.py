"""The strongest influences of synthetic runs: seconds and peak memory, beside the plain dense way on a tenth of either
side.

* ``jaxgen``: `jaxgen.scores.influence.strongest`, from packed masks.
* ``dense``: as the MNIST demo of Feldman and Zhang has it (https://github.com/google-research/heldout-influence-estimation):
  two products of whole float32 arrays make the whole matrix, whose rows and columns are sorted.

Each measurement has a process of its own, whose peak memory it is; making the masks is not in the seconds.
"""

import numpy as np

from jaxgen.benchmarks.interleaved import Prepared, describe_machine, describe_ratio, run_alone
from jaxgen.config import BenchSpec
from jaxgen.scores import influence
from jaxgen.types import Outcome
from jaxgen.wording import count_of

PAIRS = 5
RATIO, ACCURACY = 0.7, 0.9
RUNS_AT_ONCE = 50
# Runs, training examples, test examples.
Shape = tuple[int, int, int]


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
    """The largest influence, from the whole matrix ``[test, train]`` and its sorted rows and columns."""
    masks = np.unpackbits(outcome.trained_on, axis=1, count=train).astype(np.float32)
    correct = np.unpackbits(outcome.test_correct, axis=1, count=test).astype(np.float32).T
    others = 1 - masks
    influences = correct @ masks / masks.sum(0) - correct @ others / others.sum(0)
    strongest = np.argsort(-influences, axis=1)[:, :PAIRS]
    np.argsort(-influences, axis=0)[:PAIRS]
    return float(np.take_along_axis(influences, strongest, axis=1).max())


METHODS = {"jaxgen": by_blocks, "dense": by_matrix}


def draw_first(shape: Shape) -> Prepared:
    """By the name of a method: the largest influence among runs that are drawn before."""
    outcome = draw_runs(*shape)
    return Prepared(lambda method: METHODS[method](outcome, *shape[1:]))


def measure_influence(spec: BenchSpec) -> str:
    """The table of seconds and memory: both methods on a tenth of either side, and jaxgen on the whole."""
    runs, train, test = spec.influence_shape
    small = (runs, max(train // 10, 1), max(test // 10, 1))
    cases = [("jaxgen", small), ("dense", small), ("jaxgen", (runs, train, test))]
    turns = {case: [] for case in cases}
    for _ in range(spec.rounds):
        for method, shape in cases:
            turns[method, shape].append(run_alone(method, draw_first, shape, method))
    lines = [
        f"{runs:,} runs, the {PAIRS} strongest of each example; {count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| training x test examples | way | seconds, median (smallest to largest) | peak memory, MB | dense / jaxgen | "
        "largest influence |",
        "| --- " * 6 + "|",
    ]
    seconds = {case: np.array([turn.seconds for turn in turns[case]]) for case in cases}
    for method, shape in cases:
        peak = max(turn.peak_bytes for turn in turns[method, shape])
        ratio = describe_ratio(seconds[method, shape] / seconds["jaxgen", small]) if method == "dense" else ""
        lines.append(
            f"| {shape[1]:,} x {shape[2]:,} | {method} | {describe_ratio(seconds[method, shape])} | {peak / 1e6:.0f} | "
            f"{ratio} | {turns[method, shape][0].result:.4f} |"
        )
    return "\n".join(lines)
