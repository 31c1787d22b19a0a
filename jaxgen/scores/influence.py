"""Influence of training examples on test examples, from the correct predictions of an ensemble.

    infl(i -> j) = P[test j correct | i trained on] - P[test j correct | i held out]

(Feldman, Zhang, NeurIPS 2020, https://arxiv.org/abs/2008.03703, equation 2), with both terms estimated over the m runs
of one subset ratio. At ratio 0.5 this is the maximum-sample-reuse estimate of Banzhaf values (Wang, Jia, AISTATS 2023,
https://arxiv.org/abs/2205.15466), with each test example's correctness as the utility.

With 60,000 training and 10,000 test examples the matrix has 600 million entries, of which few are needed. It is
computed in blocks, each a product of 0/1 matrices (counts, exact in float32), and only the largest entries are kept.
The selection depends neither on the block size nor on the order of summation. Ties go to the lower index, and are
detected from the counts: with c1 correct of k1 runs and c0 correct of k0 runs, influence is computed as (c1 k0 - c0 k1)
/ (k1 k0), whose numerator is exact, so equal fractions give equal quotients. Masks stay packed, eight runs to a byte:
2,000 runs of that size take 33 MB.

Axes: m runs, n training examples, t test examples, p pairs.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jaxgen.scores import intervals
from jaxgen.scores.heldout import divide
from jaxgen.types import Outcome

# Thresholds of the published pairs: memorization of the training example, and influence.
MEMORIZED, INFLUENTIAL = 0.25, 0.15
# Examples in a block: its float32 values take 32 MB, and its sort keys twice that.
TRAIN_BLOCK, TEST_BLOCK = 4096, 2048
PAIRS_AT_ONCE = 65536
# Extra candidates, for influences that are equal in float32 but not exactly.
SPARE = 8
# A sort key holds the bits of a positive value above, and the distance of the index from the largest index below.
SHIFT, LAST = 32, 2**32 - 1


class PackedRuns(NamedTuple):
    """Subsets and correct predictions of m runs of one ratio, one row an example, eight runs to a byte.

    Attributes:
      trained: uint8 ``[n, ceil(m/8)]``: the runs that trained on the example.
      heldout: uint8 ``[n, ceil(m/8)]``: the runs that held it out. Validation examples of a run are in neither.
      correct: uint8 ``[t, ceil(m/8)]``: the runs that predict the test example correctly.
      num_runs: m, without diverged runs.
    """

    trained: np.ndarray
    heldout: np.ndarray
    correct: np.ndarray
    num_runs: int


class InfluencePairs(NamedTuple):
    """Influences of pairs, largest first.

    Attributes:
      train, test: int32 ``[p]``: indices of the training and of the test example.
      values: float64 ``[p]``: influence, in [-1, 1].
      stderr: float64 ``[p]``: standard error, sqrt(p1 q1 / (k1 - 1) + p0 q0 / (k0 - 1)) for k1 runs that trained on the
        example and k0 that held it out; NaN if k1 or k0 is 1.
      low, high: float64 ``[p]``: limits of the 95 % interval of a pair (`intervals.newcombe`). They do not account for
        the choice of the strongest among many pairs, which are too large on average; how much so is told by
        `jaxgen.scores.influence_by_chance`.
    """

    train: np.ndarray
    test: np.ndarray
    values: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray


class PairCounts(NamedTuple):
    """Counts of pairs above the thresholds of Feldman and Zhang.

    Attributes:
      pairs: number of pairs.
      test_examples: number of test examples in them.
      single: number of test examples that are in exactly one pair.
    """

    pairs: int
    test_examples: int
    single: int


def gather(outcomes: Iterable[Outcome], num_examples: int, num_tests: int) -> PackedRuns:
    """Packs runs by example, from batches of any size; diverged runs are left out."""
    trained, heldout, correct = [], [], []
    for outcome in outcomes:
        trained_on = outcome.trained_on[outcome.finite]
        heldout.append(~trained_on)
        has_validation = outcome.validation.shape[1] > 0
        trained.append(trained_on & ~outcome.validation[outcome.finite] if has_validation else trained_on)
        correct.append(outcome.test_correct[outcome.finite])
    parts = ((trained, num_examples), (heldout, num_examples), (correct, num_tests))
    return PackedRuns(*(by_example(np.concatenate(rows), count) for rows, count in parts), sum(map(len, trained)))


def by_example(rows: np.ndarray, count: int) -> np.ndarray:
    """Transposes packed bits: uint8 ``[m, ceil(count/8)]`` to ``[count, ceil(m/8)]``."""
    transposed = np.zeros((count, -(-len(rows) // 8)), np.uint8)
    for start in range(0, count, TRAIN_BLOCK):
        stop = min(start + TRAIN_BLOCK, count)
        bits = np.unpackbits(rows[:, start // 8 : -(-stop // 8)], axis=1, count=stop - start)
        transposed[start:stop] = np.packbits(bits, axis=0).T
    return transposed


def count_runs(packed: np.ndarray) -> np.ndarray:
    """The number of runs marked in each row of ``packed [r, ceil(m/8)]``: int64 ``[r]``."""
    return np.bitwise_count(packed).sum(axis=1, dtype=np.int64)


def test_accuracy(runs: PackedRuns) -> np.ndarray:
    """The fraction of runs that predict each test example correctly: float64 ``[t]``; NaN without runs."""
    return divide(count_runs(runs.correct), np.asarray(runs.num_runs))


def unpack(packed: np.ndarray, num_runs: int) -> np.ndarray:
    """``packed [r, ceil(m/8)]`` as zeros and ones: float32 ``[r, m]``."""
    return np.unpackbits(packed, axis=1, count=num_runs).astype(np.float32)


def known_examples(runs: PackedRuns) -> np.ndarray:
    """Indices of the training examples that some run trained on and some run held out."""
    return np.flatnonzero((count_runs(runs.trained) > 0) & (count_runs(runs.heldout) > 0))


def blocks(
    runs: PackedRuns, train: np.ndarray, test: np.ndarray, shift: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Influences of training examples on test examples, block by block.

    Args:
      runs: of one ratio.
      train, test: indices, ascending; training examples as from `known_examples`.
      shift: each run's subset is paired with the predictions of the run `shift` positions later, cyclically.

    Yields:
      Indices ``[a]`` of training examples, indices ``[b]`` of test examples, and influences float32 ``[b, a]``.
    """
    num_runs = runs.num_runs
    for i in range(0, len(train), TRAIN_BLOCK):
        columns = train[i : i + TRAIN_BLOCK]
        trained, heldout = runs.trained[columns], runs.heldout[columns]
        inside, outside = count_runs(trained), count_runs(heldout)
        complete = bool((inside + outside == num_runs).all())
        trained_on = unpack(trained, num_runs).T
        held_out = None if complete else unpack(heldout, num_runs).T
        for j in range(0, len(test), TEST_BLOCK):
            rows = test[j : j + TEST_BLOCK]
            correct = np.roll(unpack(runs.correct[rows], num_runs), -shift, axis=1)
            values = correct @ trained_on
            # Without validation examples, runs that did not train on an example held it out.
            without = correct.sum(1, keepdims=True) - values if held_out is None else correct @ held_out
            exact = values * outside.astype(np.float64)
            exact -= without * inside.astype(np.float64)
            exact /= inside * outside
            yield columns, rows, exact.astype(np.float32)


def groups(runs: PackedRuns, labels: tuple[np.ndarray, np.ndarray] | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the training and test examples to pair: all of them, or class by class if `labels` are given."""
    train, test = known_examples(runs), np.arange(len(runs.correct))
    if labels is None:
        yield train, test
        return
    for label in np.intersect1d(labels[0][train], labels[1]):
        yield train[labels[0][train] == label], test[labels[1] == label]


def strongest(runs: PackedRuns, count: int, *, labels: tuple[np.ndarray, np.ndarray] | None = None) -> InfluencePairs:
    """The pairs among the `count` largest influences of their test example or of their training example.

    Only positive influences are kept, so a test example that all runs predict correctly has none. Ties go to the lower
    index.

    Args:
      runs: of one ratio.
      count: pairs kept for each example.
      labels: of the training examples ``[n]`` and of the test examples ``[t]``, to pair only examples of one class.
    """
    num_examples, num_tests = len(runs.trained), len(runs.correct)
    kept = count + SPARE
    of_test, of_train = np.zeros((num_tests, kept), np.int64), np.zeros((num_examples, kept), np.int64)
    for train, test in groups(runs, labels):
        for columns, rows, values in blocks(runs, train, test):
            of_test[rows] = largest(np.hstack([of_test[rows], largest(make_keys(values, columns), kept)]), kept)
            new = largest(make_keys(np.ascontiguousarray(values.T), rows), kept)
            of_train[columns] = largest(np.hstack([of_train[columns], new]), kept)
    test, train = read_keys(of_test)
    more_train, more_test = read_keys(of_train)
    both = np.unique(np.concatenate([test * num_examples + train, more_test * num_examples + more_train]))
    pairs = estimate_pairs(runs, both % num_examples, both // num_examples)
    chosen = among_first(pairs.test, count) | among_first(pairs.train, count)
    return InfluencePairs(*(array[chosen] for array in pairs))


def among_first(groups: np.ndarray, count: int) -> np.ndarray:
    """A mask of the first `count` entries of each group: bool ``[p]`` from ``groups [p]``."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.zeros(len(groups), bool)
    first[order] = np.arange(len(ordered)) - np.searchsorted(ordered, ordered) < count
    return first


def make_keys(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Integer sort keys ``[a, b]`` of float32 ``values [a, b]``; ties are ordered by descending ``indices [b]``.

    Keys of positive values are at least 2^32, all others are below.
    """
    # As integers, the bits of positive floats keep their order; those of negative floats are negative.
    return values.view(np.int32).astype(np.int64) << SHIFT | (LAST - indices.astype(np.int64))


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest keys of each row, in any order."""
    if keys.shape[1] <= count:
        return keys
    keys.partition(keys.shape[1] - count, axis=1)
    return keys[:, -count:]


def read_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and index of each key that belongs to a positive value."""
    rows, columns = np.nonzero(keys > LAST)
    return rows, LAST - (keys[rows, columns] & LAST)


def estimate_pairs(runs: PackedRuns, train: np.ndarray, test: np.ndarray) -> InfluencePairs:
    """Exact influences and standard errors of given pairs ``[p]``, largest first, then by test example."""
    values, variances, low, high = np.full((4, len(train)), np.nan)
    for start in range(0, len(train), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        correct = runs.correct[test[chunk]]
        hits, counts, errors = [], [], []
        for mask in (runs.trained, runs.heldout):
            counts.append(count_runs(mask[train[chunk]]))
            hits.append(count_runs(mask[train[chunk]] & correct))
            rate = divide(hits[-1], counts[-1])
            errors.append(divide(rate * (1 - rate), counts[-1] - 1))
        values[chunk] = divide(hits[0] * counts[1] - hits[1] * counts[0], counts[0] * counts[1])
        variances[chunk] = errors[0] + errors[1]
        low[chunk], high[chunk] = intervals.newcombe(np.stack(hits), np.stack(counts))
    order = np.lexsort((train, test, -values))
    indices = train[order].astype(np.int32), test[order].astype(np.int32)
    return InfluencePairs(*indices, *(array[order] for array in (values, np.sqrt(variances), low, high)))


def influential(values: np.ndarray) -> np.ndarray:
    """Which influences reach the published threshold, of which rounding may take a value of 0.15 away."""
    return values >= INFLUENTIAL - 1e-6


def select_pairs(
    runs: PackedRuns,
    memorization: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    shift: int = 0,
) -> PairCounts:
    """Counts the pairs with influence of at least 0.15 and ``memorization [n]`` of at least 0.25.

    With a `shift`, each run's subset is paired with another run's predictions, so that pairs arise by chance only.
    """
    counts = np.zeros(len(runs.correct), np.int64)
    for train, test in groups(runs, labels):
        memorized = train[memorization[train] >= MEMORIZED]
        for _, rows, values in blocks(runs, memorized, test, shift):
            counts[rows] += influential(values).sum(axis=1)
    return PairCounts(int(counts.sum()), int((counts > 0).sum()), int((counts == 1).sum()))


def influence_matrix(runs: PackedRuns) -> np.ndarray:
    """All influences, float32 ``[t, n]``; NaN for examples that no run trained on or that none held out.

    It takes 4 t n bytes; for large data use `strongest`.
    """
    matrix = np.full((len(runs.correct), len(runs.trained)), np.nan, np.float32)
    for columns, rows, values in blocks(runs, known_examples(runs), np.arange(len(matrix))):
        matrix[np.ix_(rows, columns)] = values
    return matrix
