"""C-scores worked by hand, their laws, and standard errors held against the spread of repeated ensembles."""

import numpy as np
import pytest

from jaxgen.scores import heldout
from support.outcomes import KEY, ensembles, estimate, outcome


def test_scores_by_hand():
    trained_on = [[1, 0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1, 1, 0]]
    correct = [[1, 1, 0, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 1, 1, 1]]
    found = estimate([outcome(trained_on, correct)])
    np.testing.assert_array_equal(found.counts[0], [2, 2, 2, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(found.scores[:4], [0.5, 0.5, 0, 1])
    assert np.isnan(found.scores[4:7]).all(), "never held out is NaN, not 0"
    assert found.scores[7] == 1
    # p (1 - p) / (K - 1) = 0.25; one observation says nothing about its error.
    np.testing.assert_allclose(found.stderr[:3], [0.5, 0.5, 0])
    assert np.isnan(found.stderr[3:]).all()
    # Held-out answers: 1 of 2 in run 0, 1 of 2 in run 1, 2 of 4 in run 2.
    np.testing.assert_allclose(found.heldout_accuracy, [[0.5, 0.5, 0.5]])


def test_the_score_is_the_plain_mean_over_ratios():
    always = outcome([[0] * 8] * 4, [[1] * 8] * 4)
    once = outcome([[0] * 8] * 4, [[1] * 8, [0] * 8, [0] * 8, [0] * 8])
    found = estimate([always, once])
    np.testing.assert_allclose(found.scores, 0.625)
    np.testing.assert_allclose(found.stderr, np.sqrt(0.25 * 0.75 / 3) / 2)


def test_an_example_missed_at_one_ratio_has_no_score():
    seen = outcome([[0] * 8] * 2, [[1] * 8] * 2)
    unseen = outcome([[1] + [0] * 7] * 2, [[1] * 8] * 2)
    found = estimate([seen, unseen])
    assert np.isnan(found.scores[0])
    assert np.isfinite(found.scores[1:]).all()


def test_a_diverged_run_counts_for_nothing():
    rows, answers = np.zeros((3, 8)), np.array([[1] * 8, [0] * 8, [1] * 8])
    found = estimate([outcome(rows, answers, finite=[True, False, True])])
    np.testing.assert_array_equal(found.scores, 1)
    np.testing.assert_array_equal(found.counts, 2)
    assert np.isnan(found.heldout_accuracy[0, 1])


def test_an_oracle_that_is_right_on_every_second_example():
    outcomes, _ = ensembles(0, [0.5], 40)
    oracle = outcomes[0]._replace(correct=np.packbits(np.tile(np.arange(16) % 2 == 0, (40, 1)), axis=1))
    found = estimate([oracle])
    np.testing.assert_array_equal(found.scores, [1, 0] * 8)
    np.testing.assert_array_equal(found.stderr, 0)
    np.testing.assert_allclose(found.reliability, 1)


@pytest.mark.parametrize(("design", "block"), [("independent", 1), ("balanced", 10), ("nested", 1)])
def test_the_batches_in_which_runs_come_change_nothing(design, block):
    outcomes, _ = ensembles(1, [0.3, 0.7], 130, design=design)
    whole, pieces = (estimate(outcomes, [block] * 2, shared=design == "nested", batch=batch) for batch in (None, 7))
    for name in heldout.Estimate._fields:
        np.testing.assert_allclose(getattr(whole, name), getattr(pieces, name), rtol=1e-12, err_msg=name)


def test_permuting_examples_permutes_scores():
    outcomes, _ = ensembles(2, [0.3, 0.7], 50)
    order = np.random.default_rng(0).permutation(16)
    unpack = lambda bits: np.unpackbits(bits, axis=1).astype(bool)  # noqa: E731
    moved = [outcome(unpack(o.trained_on)[:, order], unpack(o.correct)[:, order]) for o in outcomes]
    before, after = estimate(outcomes), estimate(moved)
    np.testing.assert_array_equal(before.scores[order], after.scores)
    np.testing.assert_allclose(before.stderr[order], after.stderr)


def test_an_error_does_not_vanish_where_blocks_happen_to_agree():
    """Two blocks of ten runs with three right answers of seven in each: the runs disagree, and that is what counts."""
    trained_on = np.tile(np.array([0] * 7 + [1] * 3), 2)
    right = np.tile(np.array([1] * 3 + [0] * 7), 2)
    found = estimate([outcome(np.tile(trained_on[:, None], 8), np.tile(right[:, None], 8))], [10])
    np.testing.assert_allclose(found.scores, 3 / 7)
    np.testing.assert_allclose(found.stderr, np.sqrt(4 / 5 * (3 / 7) * (4 / 7) / 13))


@pytest.mark.parametrize(
    ("ratio", "runs", "block"),
    [
        (0.5, 4, 2),
        (0.7, 20, 10),
        pytest.param(0.9, 20, 10, marks=pytest.mark.slow),
        pytest.param(0.8, 20, 5, marks=pytest.mark.slow),
    ],
)
def test_errors_from_few_blocks_are_a_little_too_large_at_most(ratio, runs, block):
    found = [
        estimate(ensembles(seed, [ratio], runs, design="balanced", spread=0.06)[0], [block]) for seed in range(300)
    ]
    claimed, spread = np.mean([f.stderr**2 for f in found]), np.mean(np.var([f.scores for f in found], axis=0, ddof=1))
    assert 0.95 < claimed / spread < 1.25
    assert all((f.stderr[(f.scores > 0) & (f.scores < 1)] > 0.01).all() for f in found)


def test_the_standard_error_of_two_blocks_that_disagree_by_hand():
    """Blocks of two runs, the first right and the second wrong: variances 1/4 of blocks and 1/12 of observations."""
    found = estimate([outcome(np.zeros((4, 8)), np.repeat([[1], [1], [0], [0]], 8, axis=1))], [2])
    np.testing.assert_allclose(found.scores, 0.5)
    # One degree of freedom of the blocks, four of the observations: (1/4 + 4/12) / 5.
    np.testing.assert_allclose(found.stderr, np.sqrt(7 / 60))


def test_standard_error_is_brute_force_cluster_variance():
    outcomes, _ = ensembles(3, [0.7], 25, design="balanced")
    trained_on = np.unpackbits(outcomes[0].trained_on, axis=1).astype(bool)
    correct = np.unpackbits(outcomes[0].correct, axis=1).astype(bool)
    found = estimate(outcomes, [10])
    for i in range(16):
        held, hit = ~trained_on[:, i], ~trained_on[:, i] & correct[:, i]
        share = hit.sum() / held.sum()
        blocks = [slice(0, 10), slice(10, 20), slice(20, 25)]
        observed = [b for b in blocks if held[b].any()]
        squares = sum(((hit[b].sum() - share * held[b].sum()) / held.sum()) ** 2 for b in observed)
        # Two degrees of freedom from the blocks, four of the variance of independent observations.
        cluster, single = squares * len(observed) / (len(observed) - 1), share * (1 - share) / (held.sum() - 1)
        own = len(observed) - 1
        expected = np.sqrt((own * cluster + 4 * single) / (own + 4))
        np.testing.assert_allclose(found.stderr[i], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("design", "ratios", "block"),
    [
        ("balanced", [0.7, 0.9], 10),
        ("nested", [0.4, 0.8], 1),
        pytest.param("independent", [0.4, 0.8], 1, marks=pytest.mark.slow),
        pytest.param("balanced", [0.5], 2, marks=pytest.mark.slow),
    ],
)
def test_standard_error_is_the_spread_between_repeated_ensembles(design, ratios, block):
    found = [
        estimate(ensembles(seed, ratios, 60, design=design, spread=0.06)[0], [block] * len(ratios), design == "nested")
        for seed in range(300)
    ]
    claimed = np.sqrt(np.nanmean([f.stderr**2 for f in found], axis=0))
    spread = np.nanstd([f.scores for f in found], axis=0, ddof=1)
    np.testing.assert_allclose(np.median(claimed / spread), 1, atol=0.06)
    np.testing.assert_allclose(claimed / spread, 1, atol=0.25)


@pytest.mark.slow
def test_the_nested_error_is_right_with_few_runs_too():
    """At ratio 0.8 an example is held out four times in twenty: the correction for few blocks must be that ratio's."""
    found = [
        estimate(ensembles(seed, [0.5, 0.8], 20, design="nested", spread=0.2)[0], shared=True) for seed in range(1200)
    ]
    errors = np.asarray([f.stderr for f in found])
    values = np.where(np.isfinite(errors), [f.scores for f in found], np.nan)
    ratio = np.nanmean(errors**2) / np.nanmean(np.nanvar(values, axis=0, ddof=1))
    assert 0.95 < ratio < 1.05


def test_nested_runs_as_if_independent_would_claim_too_small_an_error():
    """The check above can fail: shared draws over ratios do correlate."""
    nested = [ensembles(seed, [0.4, 0.5], 60, design="nested", spread=0.2)[0] for seed in range(150)]
    honest = np.nanmean([estimate(outcomes, shared=True).stderr ** 2 for outcomes in nested])
    naive = np.nanmean([estimate(outcomes, shared=False).stderr ** 2 for outcomes in nested])
    assert naive < 0.97 * honest


def test_reliability_rises_with_runs_and_is_about_right():
    true = np.linspace(0.1, 0.9, 16)
    few, many = (estimate(ensembles(4, [0.5], runs)[0]) for runs in (40, 800))
    assert 0.8 < few.reliability.mean() < many.reliability.mean() < 1
    error = true * (1 - true) / 400
    np.testing.assert_allclose(many.reliability.mean(), 1 - error.mean() / true.var(), atol=0.005)


@pytest.mark.parametrize(
    ("parts", "blocks"), [([10], 3), ([2, 10], 15), ([2], 7), ([2], 20)], ids=["3 blocks", "15 and 3", "7", "20"]
)
def test_reliability_is_the_correlation_of_two_such_ensembles(parts, blocks):
    """Three blocks by 2 r / (1 + r), as if one were half of them, would be told 0.12 too low."""
    rng, examples, runs = np.random.default_rng(0), 800, blocks * parts[0]
    accuracy = rng.uniform(0.2, 1, examples)

    def draw(size):
        # Each run of a block holds another part of the examples out.
        part = rng.integers(0, size, (-(-runs // size), examples)).repeat(size, axis=0)[:runs]
        return outcome(part != (np.arange(runs) % size)[:, None], rng.uniform(size=part.shape) < accuracy)

    found = [estimate([draw(size) for size in parts], parts) for _ in range(12)]
    scored = np.isfinite([each.scores for each in found]).all(0)
    correlations = np.corrcoef(np.stack([each.scores[scored] for each in found]))
    told = np.mean([each.reliability.mean() for each in found])
    assert told == pytest.approx(correlations[np.triu_indices(12, 1)].mean(), abs=0.03)


def test_one_block_cannot_be_halved():
    assert not len(estimate([outcome([[0] * 8], [[1] * 8])]).reliability)
    assert not len(estimate(ensembles(0, [0.9], 10, design="balanced")[0], [10]).reliability)


def test_halves_do_not_part_a_block():
    halves = heldout.half_masks(KEY, 25, 10)
    assert halves.shape == (heldout.NUM_SPLITS, 2, 25)
    assert (halves[..., :10] == halves[..., :1]).all()
    assert (halves[..., 10:20] == halves[..., 10:11]).all()
    blocks = halves[..., ::10]
    assert not (blocks[:, 0] & blocks[:, 1]).any()
    # Three blocks: one in each half, and one in none.
    assert (blocks.sum(2) == 1).all()
