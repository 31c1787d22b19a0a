"""Statements of a job: all tests behind them are corrected together."""

import numpy as np
import pytest

from jaxgen.reporting.statements import ALPHA, TestFamily, describe_tests, state_together
from jaxgen.scores.paired import compare


def state_all(family, table):
    """Names the columns whose mean differs from 0; a positive one is tested against half of it too."""
    for name, differences in table.items():
        if family.significant(differences):
            half = [value / 2 for value in differences]
            yield f"{name}{'!' if family.significant(half, 0.01) else ''}"


def test_a_lone_test_is_judged_by_its_own_p_and_one_of_many_by_holms():
    clear, weak = [1.0, 1.01, 0.99, 1.02], [0.5, 0.8, 0.4, 0.5]
    assert compare(weak).p < ALPHA
    assert state_together(state_all, {"weak": weak}).lines == ["weak!"]
    rng = np.random.default_rng(0)
    others = {f"noise {i}": rng.normal(size=4).tolist() for i in range(20)}
    found = state_together(state_all, {"clear": clear, "weak": weak, **others})
    assert found.lines == ["clear!"]
    # Also those tests count that only a significant one leads to.
    assert found.tests.size == 2 * 22
    assert found.tests.p_value(clear) == pytest.approx(min(1, compare(clear).p * 44), rel=1e-9)
    assert found.tests.p_value(weak) > ALPHA


def test_fewer_than_three_runs_are_not_tested():
    found = state_together(state_all, {"two": [1.0, 1.0]})
    assert (found.lines, found.tests.size) == ([], 0)
    assert describe_tests(found.tests) == "No difference was tested."


def test_false_statements_are_as_rare_as_promised():
    """Thirty differences of no effect in each of 200 jobs of five runs; tested one by one at 0.01, a quarter would."""
    rng = np.random.default_rng(1)
    wrong = alone = 0
    for _ in range(200):
        table = {str(i): values.tolist() for i, values in enumerate(rng.normal(size=(30, 5)))}
        wrong += bool(state_together(state_all, table).lines)
        alone += any(compare(values).p < 0.01 for values in table.values())
    assert wrong / 200 < ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 200)
    assert alone / 200 > 0.15


@pytest.mark.parametrize("runs", [5, 10])
def test_what_can_be_detected_is_told(runs):
    family = TestFamily()
    rng = np.random.default_rng(2)
    for _ in range(40):
        family.significant(rng.normal(size=runs).tolist())
    family.correct()
    told = describe_tests(family)
    assert "for all 40 tests of this job together (paired t tests over runs)" in told
    assert f"With n = {runs} runs the clearest must be {family.detectable(runs):.1f} standard deviations" in told
    assert "not of all at once" in told
    # The least mean that is significant as the first of 40: at its border p is alpha / 40.
    spread = rng.normal(size=runs)
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    border = compare((spread + family.detectable(runs)).tolist()).p
    assert border == pytest.approx(ALPHA / 40, rel=1e-6)


def test_tests_of_equal_differences_count_each():
    values, other = [0.1, 0.3, 0.2, 0.25], [0.5, 0.4, -0.1, 0.2]
    family = TestFamily()
    for differences in (values, values, values, other):
        assert family.significant(differences)
    # Its p-value is asked for beside the test, not as one more.
    family.p_value(values)
    assert family.size == 4
    family.correct()
    assert family.p_value(values) == pytest.approx(min(1, 4 * compare(values).p))
    assert "for all 4 tests" in describe_tests(family)
