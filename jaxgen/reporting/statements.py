"""Statements about results: significance tests, corrected together for a job, and formatting."""

import collections
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.paired import compare
from jaxgen.scores.ranking import holm
from jaxgen.wording import mean_and_deviation

# The family-wise error rate of all tests behind a job's statements.
ALPHA = 0.05
# Runs that a statement needs.
MIN_RUNS = 3


class TestFamily:
    """The tests behind a job's statements: paired t tests over runs, corrected together by Holm's method.

    Statements are made twice (`state_together`). The first time every mean difference counts as significant, so that
    all tests that a statement may rest on are collected; then each is judged by its corrected p-value. Tests of equal
    differences count each: two settings may be right and wrong alike.
    """

    # Not a class of tests for pytest.
    __test__ = False

    def __init__(self) -> None:
        self.p_values: dict[tuple, float] = {}
        self.num_tests: collections.Counter[tuple] = collections.Counter()
        self.num_runs: collections.Counter[int] = collections.Counter()
        self.corrected: dict[tuple, float] | None = None

    def significant(self, differences: Sequence[float], resolution: float = 0.0) -> bool:
        """Whether the mean over runs differs significantly from 0, by `jaxgen.scores.paired.compare`.

        Args:
          differences: one a run.
          resolution: as in `jaxgen.scores.paired.compare`.
        """
        if len(differences) < MIN_RUNS:
            return False
        p = self.p_value(differences, resolution)
        if self.corrected is not None:
            return p < ALPHA
        self.num_tests[as_test(differences, resolution)] += 1
        return True

    def p_value(self, differences: Sequence[float], resolution: float = 0.0) -> float:
        """The corrected p-value of a test; while tests are collected, its own."""
        test = as_test(differences, resolution)
        if self.corrected is not None:
            return self.corrected[test]
        if test not in self.p_values:
            self.p_values[test] = compare(differences, resolution).p
            self.num_runs[len(differences)] += 1
        return self.p_values[test]

    def correct(self) -> None:
        """Corrects the p-values for the number of tests; from now on they decide."""
        tests = self.list_tests()
        # Holm's values of equal tests are equal.
        self.corrected = dict(zip(tests, holm(np.array([self.p_values[test] for test in tests])), strict=True))

    def list_tests(self) -> list[tuple]:
        """All tests, each as often as it was asked whether it is significant."""
        return [test for test in self.p_values for _ in range(max(self.num_tests[test], 1))]

    @property
    def size(self) -> int:
        """The number of tests."""
        return len(self.list_tests())

    def detectable(self, num_runs: int) -> float:
        """The mean, in standard deviations of the differences, that is significant as the largest of all tests.

        Args:
          num_runs: number of differences, 2 or more.
        """
        from scipy.special import stdtrit

        return float(-stdtrit(num_runs - 1, ALPHA / max(self.size, 1) / 2) / np.sqrt(num_runs))


def as_test(differences: Sequence[float], resolution: float) -> tuple:
    """What a test is known by."""
    return (*map(float, differences), float(resolution))


class Statements(NamedTuple):
    """What a job's results support, and the tests behind it."""

    lines: list[str]
    tests: TestFamily


def state_together(make: Callable[..., Iterable[str]], *arguments: object, **named: object) -> Statements:
    """Statements whose tests are corrected for all tests of the job.

    Args:
      make: ``make(tests, *arguments, **named)`` yields the statements that hold by ``tests.significant``.
      arguments, named: its other arguments.
    """
    tests = TestFamily()
    collections.deque(make(tests, *arguments, **named), maxlen=0)
    tests.correct()
    return Statements(list(make(tests, *arguments, **named)), tests)


def describe_tests(tests: TestFamily) -> str:
    """How many tests were corrected together, and what they could have shown."""
    if not tests.size:
        return "No difference was tested."
    several = f"all {tests.size:,} tests of this job together" if tests.size > 1 else "the one test of this job"
    n = max(tests.num_runs, key=lambda count: (tests.num_runs[count], count))
    return (
        f"A difference is stated where p < {ALPHA:g} after Holm's correction for {several} (paired t tests over "
        f"runs): the chance of a single false one is {100 * ALPHA:g} % at most. With n = {n} runs the clearest must be "
        f"{tests.detectable(n):.1f} standard deviations of the differences; more --num_runs show smaller ones. "
        "Intervals are of each difference alone, not of all at once."
    )


def list_statements(statements: Sequence[str], num_runs: int) -> str:
    """The statements as a Markdown list, or the reason why there are none."""
    if statements:
        return "\n".join(f"- {statement}" for statement in statements)
    if num_runs < MIN_RUNS:
        return f"Nothing can be stated of fewer than {MIN_RUNS} runs, and these are {num_runs}: give more --num_runs."
    return "The results show nothing that can be stated."


def describe(values: Sequence[float], factor: float = 100, unit: str = " %", decimals: int = 1) -> str:
    """Values as text: mean ± sd and n, scaled by `factor`."""
    scaled = factor * np.asarray(values, float)
    deviation = scaled.std(ddof=1) if len(scaled) > 1 else np.nan
    return f"{mean_and_deviation(scaled.mean(), deviation, decimals)}{unit} (n = {len(scaled)})"


def rank_resolution(count: int) -> float:
    """Half the smallest difference between two Spearman correlations over `count` values without ties."""
    return 6 / (count * (count**2 - 1))
