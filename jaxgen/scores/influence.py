"""Influence of training examples on test examples, from what the runs of an ensemble got right.

    infl(i -> j) = P[test j correct | i trained on] - P[test j correct | i held out]

(Feldman, Zhang, NeurIPS 2020, https://arxiv.org/abs/2008.03703, equation 2), both estimated over the m runs of one
subset ratio. At ratio 0.5 this is the maximum-sample-reuse estimate of Banzhaf values (Wang, Jia, AISTATS 2023,
https://arxiv.org/abs/2205.15466), with each test example's correctness as the utility.

With 60,000 training and 10,000 test examples the matrix has 600 million entries, of which few are wanted. So it is made
in blocks, each a product of zeros and ones (counts, exact in float32), of which only the largest entries are kept.
Which are kept depends neither on the blocks nor on the order of sums: equal influences go to the lower index, and what
is equal is told from counts, as (c1 k0 - c0 k1) / (k1 k0) of c1 right answers of k1 runs and c0 of k0, where the
numerator is exact and the quotient of equal fractions the same. Masks
stay packed, eight runs to a byte: 2,000 runs of that size are 33 MB.

Axes: m runs, n training examples, t test examples, p pairs.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jaxgen.scores.heldout import divide
from jaxgen.types import Outcome

# The pairs that they publish: of memorized training examples, with a large influence.
MEMORIZED, INFLUENTIAL = 0.25, 0.15
# Examples of a block: its float32 values are 32 MB, and its keys twice that.
TRAIN_BLOCK, TEST_BLOCK = 4096, 2048
PAIRS_AT_ONCE = 65536
# Candidates beyond those wanted, for influences that differ by less than float32 tells.
SPARE = 8
# A key holds a positive value's bits above, and below them how far the index is from the last one.
SHIFT, LAST = 32, 2**32 - 1


class Answers(NamedTuple):
    """What m runs of one ratio saw and got right, one row an example, eight runs to a byte.

    Attributes:
      trained: uint8 ``[n, ceil(m/8)]``: which runs trained on the example.
      heldout: uint8 ``[n, ceil(m/8)]``: which held it out; by what a run was only stopped it did neither.
      correct: uint8 ``[t, ceil(m/8)]``: which got the test example right.
      num_runs: m, diverged runs left out.
    """

    trained: np.ndarray
    heldout: np.ndarray
    correct: np.ndarray
    num_runs: int


class Pairs(NamedTuple):
    """Influences of pairs, the largest first.

    Attributes:
      train, test: int32 ``[p]``: which training example, which test example.
      values: float64 ``[p]``, in [-1, 1].
      stderr: float64 ``[p]``: standard error, sqrt(p1 q1 / (k1 - 1) + p0 q0 / (k0 - 1)) for k1 runs that trained on the
        example and k0 that held it out; NaN where either is one.
    """

    train: np.ndarray
    test: np.ndarray
    values: np.ndarray
    stderr: np.ndarray


class Selection(NamedTuple):
    """How many pairs are as those that Feldman and Zhang publish, of how many test examples, and how many of these have
    but one."""

    pairs: int
    test_examples: int
    single: int


def gather(outcomes: Iterable[Outcome], num_examples: int, num_tests: int) -> Answers:
    """Collects runs, in batches of any size; diverged ones are left out."""
    trained, heldout, correct = [], [], []
    for outcome in outcomes:
        own = outcome.trained_on[outcome.finite]
        heldout.append(~own)
        trained.append(own & ~outcome.validation[outcome.finite] if outcome.validation.shape[1] else own)
        correct.append(outcome.test_correct[outcome.finite])
    parts = ((trained, num_examples), (heldout, num_examples), (correct, num_tests))
    return Answers(*(by_example(np.concatenate(rows), count) for rows, count in parts), sum(map(len, trained)))


def by_example(rows: np.ndarray, count: int) -> np.ndarray:
    """From a row a run, eight of `count` examples to a byte, to a row an example, eight runs to a byte."""
    found = np.zeros((count, -(-len(rows) // 8)), np.uint8)
    for start in range(0, count, TRAIN_BLOCK):
        stop = min(start + TRAIN_BLOCK, count)
        bits = np.unpackbits(rows[:, start // 8 : -(-stop // 8)], axis=1, count=stop - start)
        found[start:stop] = np.packbits(bits, axis=0).T
    return found


def count_runs(packed: np.ndarray) -> np.ndarray:
    """How many runs are marked, of each row."""
    return np.bitwise_count(packed).sum(axis=1, dtype=np.int64)


def test_accuracy(answers: Answers) -> np.ndarray:
    """The share of the runs that get each test example right: float64 ``[t]``; NaN of no runs."""
    return divide(count_runs(answers.correct), np.asarray(answers.num_runs))


def unpack(packed: np.ndarray, num_runs: int) -> np.ndarray:
    """Zeros and ones: float32 ``[rows, m]``."""
    return np.unpackbits(packed, axis=1, count=num_runs).astype(np.float32)


def known_examples(answers: Answers) -> np.ndarray:
    """Positions of the training examples that some run trained on and some run held out."""
    return np.flatnonzero((count_runs(answers.trained) > 0) & (count_runs(answers.heldout) > 0))


def blocks(
    answers: Answers, train: np.ndarray, test: np.ndarray, shift: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Influences of known examples `train` on `test`, block by block.

    Args:
      answers: of the runs.
      train, test: positions, ascending.
      shift: each run's subset is paired with the answers of the run so many places on.

    Yields:
      Positions ``[a]`` of training examples, ``[b]`` of test examples, and float32 ``[b, a]``.
    """
    runs = answers.num_runs
    for i in range(0, len(train), TRAIN_BLOCK):
        columns = train[i : i + TRAIN_BLOCK]
        trained, heldout = answers.trained[columns], answers.heldout[columns]
        inside, outside = count_runs(trained), count_runs(heldout)
        complete = bool((inside + outside == runs).all())
        marks = unpack(trained, runs).T
        others = None if complete else unpack(heldout, runs).T
        for j in range(0, len(test), TEST_BLOCK):
            rows = test[j : j + TEST_BLOCK]
            correct = np.roll(unpack(answers.correct[rows], runs), -shift, axis=1)
            values = correct @ marks
            # Right without the example: all that are right but those with it, or counted as those are.
            without = correct.sum(1, keepdims=True) - values if others is None else correct @ others
            exact = values * outside.astype(np.float64)
            exact -= without * inside.astype(np.float64)
            exact /= inside * outside
            yield columns, rows, exact.astype(np.float32)


def groups(answers: Answers, labels: tuple[np.ndarray, np.ndarray] | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which known training examples meet which test examples: all, or with `labels` of both those of each class."""
    train, test = known_examples(answers), np.arange(len(answers.correct))
    if labels is None:
        yield train, test
        return
    for label in np.intersect1d(labels[0][train], labels[1]):
        yield train[labels[0][train] == label], test[labels[1] == label]


def strongest(answers: Answers, count: int, *, labels: tuple[np.ndarray, np.ndarray] | None = None) -> Pairs:
    """The pairs of largest influence: the `count` largest of each test example and of each training example.

    Only those above 0 are kept: a test example that all runs get right has none. Of equal ones that of the lower index
    comes first.

    Args:
      answers: of the runs.
      count: k.
      labels: of the training examples ``[n]`` and of the test examples ``[t]``, to pair examples of one class only.
    """
    num_examples, num_tests = len(answers.trained), len(answers.correct)
    kept = count + SPARE
    of_test, of_train = np.zeros((num_tests, kept), np.int64), np.zeros((num_examples, kept), np.int64)
    for train, test in groups(answers, labels):
        for columns, rows, values in blocks(answers, train, test):
            of_test[rows] = largest(np.hstack([of_test[rows], largest(make_keys(values, columns), kept)]), kept)
            new = largest(make_keys(np.ascontiguousarray(values.T), rows), kept)
            of_train[columns] = largest(np.hstack([of_train[columns], new]), kept)
    test, train = read_keys(of_test)
    more_train, more_test = read_keys(of_train)
    both = np.unique(np.concatenate([test * num_examples + train, more_test * num_examples + more_train]))
    pairs = estimate_pairs(answers, both % num_examples, both // num_examples)
    chosen = among_first(pairs.test, count) | among_first(pairs.train, count)
    return Pairs(*(array[chosen] for array in pairs))


def among_first(groups: np.ndarray, count: int) -> np.ndarray:
    """Which entries are among the first `count` of their group: bool ``[p]`` from ``groups [p]``."""
    order = np.argsort(groups, kind="stable")
    own = groups[order]
    found = np.zeros(len(groups), bool)
    found[order] = np.arange(len(own)) - np.searchsorted(own, own) < count
    return found


def make_keys(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Integers ``[a, b]`` in the order of float32 ``values [a, b]``, and where these are equal against the order of
    ``indices [b]``; those of values above 0 are at least 2^32, the others below."""
    # The bits of positive floats, read as integers, are in the order of the floats; those of others are negative.
    return values.view(np.int32).astype(np.int64) << SHIFT | (LAST - indices.astype(np.int64))


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest of each row, in any order."""
    if keys.shape[1] <= count:
        return keys
    keys.partition(keys.shape[1] - count, axis=1)
    return keys[:, -count:]


def read_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and index of each key of a value above 0."""
    rows, places = np.nonzero(keys > LAST)
    return rows, LAST - (keys[rows, places] & LAST)


def estimate_pairs(answers: Answers, train: np.ndarray, test: np.ndarray) -> Pairs:
    """Exact influences and standard errors of given pairs ``[p]``, the largest first, then by test example."""
    values, variances = np.full((2, len(train)), np.nan)
    for start in range(0, len(train), PAIRS_AT_ONCE):
        here = slice(start, start + PAIRS_AT_ONCE)
        correct = answers.correct[test[here]]
        right, counts, errors = [], [], []
        for marks in (answers.trained, answers.heldout):
            counts.append(count_runs(marks[train[here]]))
            right.append(count_runs(marks[train[here]] & correct))
            rate = divide(right[-1], counts[-1])
            errors.append(divide(rate * (1 - rate), counts[-1] - 1))
        values[here] = divide(right[0] * counts[1] - right[1] * counts[0], counts[0] * counts[1])
        variances[here] = errors[0] + errors[1]
    order = np.lexsort((train, test, -values))
    chosen = train[order].astype(np.int32), test[order].astype(np.int32)
    return Pairs(*chosen, values[order], np.sqrt(variances[order]))


def select_pairs(
    answers: Answers,
    memorization: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    shift: int = 0,
) -> Selection:
    """Counts pairs of ``memorization [n]`` of 0.25 and more with an influence of 0.15 and more.

    With `shift` each run's subset meets another run's answers: such pairs are chance alone.
    """
    counts = np.zeros(len(answers.correct), np.int64)
    for train, test in groups(answers, labels):
        chosen = train[memorization[train] >= MEMORIZED]
        for _, rows, values in blocks(answers, chosen, test, shift):
            # What is 0.15 exactly may be rounded below it.
            counts[rows] += (values >= INFLUENTIAL - 1e-6).sum(axis=1)
    return Selection(int(counts.sum()), int((counts > 0).sum()), int((counts == 1).sum()))


def influence_matrix(answers: Answers) -> np.ndarray:
    """All influences: float32 ``[t, n]``, four bytes each; NaN where no run trained on an example or none held it out.

    For small data only: `strongest` keeps what is wanted of large ones.
    """
    found = np.full((len(answers.correct), len(answers.trained)), np.nan, np.float32)
    for columns, rows, values in blocks(answers, known_examples(answers), np.arange(len(found))):
        found[np.ix_(rows, columns)] = values
    return found
