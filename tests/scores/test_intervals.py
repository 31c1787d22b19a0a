"""Intervals against known answers, and their coverage by simulation."""

import numpy as np
import pytest

from jaxgen.scores import intervals

RATIOS = np.arange(1, 10) / 10


def error_rates(kind, rate):
    """The error rate at each of nine ratios, ``[9, 1]``, whose mean is `rate`."""
    if kind == "alike":
        rates = np.full(9, rate)
    elif kind == "falling":
        rates = np.exp(-4 * RATIOS)
    else:
        rates = (0.9 if kind == "largest ratio" else 0.1) == RATIOS
    return (rate * rates / rates.mean())[:, None]


@pytest.mark.parametrize("kind", ["alike", "falling", "largest ratio", "smallest ratio"])
@pytest.mark.parametrize("runs", [20, 60, 200])
def test_the_interval_of_a_mean_over_ratios_covers_it(kind, runs):
    """Wilson's limits of each ratio, put together, cover 0.84 to 0.94, and miss on one side."""
    rng, draws, widths = np.random.default_rng(0), 1500, []
    counts = np.repeat(np.round((1 - RATIOS) * runs)[:, None], draws, axis=1).astype(int)
    for rate in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        rates = error_rates(kind, rate)
        if rates.max() > 1:
            continue
        hits = counts - rng.binomial(counts, rates)
        low, high = intervals.mean_share(hits, counts)
        covered = ((low <= 1 - rate) & (1 - rate <= high)).mean()
        assert covered > 0.94, (rate, covered)
        widths += [(high - low).mean(), wilsons_put_together(hits, counts).mean()]
    assert np.sum(widths[::2]) < 1.1 * np.sum(widths[1::2])


@pytest.mark.parametrize("runs", [20, 60, 200])
def test_the_interval_of_a_mean_near_one_half_covers_it_too(runs):
    """It is a little short of 95 % there: 93.8 % at the least."""
    rng, draws = np.random.default_rng(1), 20_000
    counts = np.repeat(np.round((1 - RATIOS) * runs)[:, None], draws, axis=1).astype(int)
    for rate in (0.3, 0.4, 0.5):
        hits = counts - rng.binomial(counts, rate)
        low, high = intervals.mean_share(hits, counts)
        covered = ((low <= 1 - rate) & (1 - rate <= high)).mean()
        assert covered > 0.935, (rate, covered)


def wilsons_put_together(hits, counts):
    """Widths of the intervals that combine the groups' own in quadrature (Zou and Donner 2008)."""
    low, high = intervals.wilson(hits, counts)
    share = hits / counts
    return (np.sqrt(((high - share) ** 2).sum(0)) + np.sqrt(((share - low) ** 2).sum(0))) / len(counts)


def test_a_group_without_errors_leaves_room_for_one():
    """The rule of three for a mean over k ratios: 3 / (k * smallest count), not 3 / n."""
    counts = np.round((1 - RATIOS) * 200)[:, None].astype(int)
    low, high = intervals.mean_share(counts, counts)[:, 0]
    assert high == 1
    assert 1 - low == pytest.approx(3.84 / (9 * (20 + 3.84)), rel=0.05)
    assert 1 - low > 4 * 3 / counts.sum()


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (3, 10), (10, 10), (7, 200), (100, 200)])
def test_the_score_interval_of_one_group_is_wilsons(hits, count):
    from scipy.stats import binomtest

    found = intervals.stratified_score(np.array([[float(hits)]]), np.array([[float(count)]]))[:, 0]
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(found, [expected.low, expected.high], atol=1e-6)
    whole = intervals.mean_share(np.array([[hits]]), np.array([[count]]))[:, 0]
    assert whole[0] <= expected.low + 1e-9
    assert whole[1] >= expected.high - 1e-9


def test_gamma_limits_of_equal_groups_are_those_of_poisson_counts():
    from scipy.stats import chi2

    hits, counts = np.array([[1.0], [2.0], [0.0]]), np.full((3, 1), 1000.0)
    # A Poisson count of 3: the exact lower limit is half the 2.5 % quantile of chi-square with 6 degrees of freedom.
    np.testing.assert_allclose(intervals.gamma_lower(hits, counts), chi2.ppf(0.025, 6) / 2 / 3000, rtol=2e-3)
    assert intervals.gamma_lower(0 * hits, counts) == 0
    assert intervals.gamma_lower(counts, counts) == 1


def test_right_and_wrong_mirror_each_other_and_the_order_of_groups_does_not_matter():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 40, (5, 200))
    hits = rng.binomial(counts, rng.uniform(size=(5, 200)))
    low, high = intervals.mean_share(hits, counts)
    mirrored = intervals.mean_share(counts - hits, counts)
    np.testing.assert_allclose(mirrored, 1 - np.stack([high, low]), atol=1e-9)
    np.testing.assert_allclose(intervals.mean_share(hits[::-1], counts[::-1]), [low, high], atol=1e-9)
    mean = (hits / counts).mean(0)
    assert ((low <= mean) & (mean <= high) & (low >= 0) & (high <= 1)).all()


def test_unobserved_groups_have_no_interval_and_correlated_ones_a_longer_one():
    hits, counts = np.array([[3, 0], [4, 2]]), np.array([[5, 0], [5, 5]])
    limits = intervals.mean_share(hits, counts)
    assert np.isfinite(limits[:, 0]).all()
    assert np.isnan(limits[:, 1]).all()
    wide = intervals.mean_share(hits, counts, np.array([1.2, 1.2]))
    assert wide[1, 0] - wide[0, 0] == pytest.approx(1.2 * (limits[1, 0] - limits[0, 0]), abs=1e-9)
    assert np.isnan(intervals.mean_share(np.zeros((2, 3)), np.zeros((2, 3)))).all()
