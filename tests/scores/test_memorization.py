"""Memorization and intervals: worked by brute force, their laws, and what they claim against repeated ensembles."""

import re

import jax
import numpy as np
import pytest

from jaxgen.data.score_files import load_scores, write_scores
from jaxgen.scores import designs, heldout, intervals, memorization
from jaxgen.scores.from_answers import from_answers, score_interval
from jaxgen.scores.registry import REGISTRY
from jaxgen.scores.suspicion import suspicion
from jaxgen.views.summary import summarize
from support.data import make_images
from support.outcomes import EXAMPLES, draw, ensembles, estimate, outcome
from support.scores import make_scores


def memorize(outcomes, ratios, blocks=None, batch=7):
    def runs(i):
        for at in range(0, len(outcomes[i].finite), batch):
            yield jax.tree.map(lambda field, at=at: field[at : at + batch], outcomes[i])

    return memorization.estimate(runs, EXAMPLES, ratios, blocks or [1] * len(ratios))


def bits(packed):
    return np.unpackbits(packed, axis=1, count=EXAMPLES).astype(bool)


def test_memorization_is_accuracy_trained_on_less_that_held_out():
    """By plain loops, with a run that diverged and with examples kept for validation."""
    outcomes, _ = ensembles(0, [0.3, 0.7], 40)
    rng = np.random.default_rng(0)
    validation = bits(outcomes[1].trained_on) & (rng.uniform(size=(40, EXAMPLES)) < 0.2)
    finite = np.arange(40) != 3
    outcomes[1] = outcomes[1]._replace(validation=np.packbits(validation, axis=1), finite=finite)
    found = memorize(outcomes, [0.3, 0.7])
    assert found.memorization_ratio == 0.7
    np.testing.assert_array_equal(found.memorization, found.memorization_by_ratio[1])
    trained_on, correct = bits(outcomes[1].trained_on), bits(outcomes[1].correct)
    for i in range(EXAMPLES):
        inside = [correct[r, i] for r in range(40) if trained_on[r, i] and not validation[r, i] and r != 3]
        outside = [correct[r, i] for r in range(40) if not trained_on[r, i] and r != 3]
        np.testing.assert_allclose(found.memorization[i], np.mean(inside) - np.mean(outside))
        error = np.sqrt(np.var(inside) / (len(inside) - 1) + np.var(outside) / (len(outside) - 1))
        np.testing.assert_allclose(found.memorization_stderr[i], error)


def test_memorization_is_accuracy_trained_on_less_the_c_score_at_its_ratio():
    outcomes, _ = ensembles(1, [0.3, 0.6], 50)
    found, scores = memorize(outcomes, [0.3, 0.6]), estimate(outcomes)
    for i, each in enumerate(outcomes):
        trained_on, correct = bits(each.trained_on), bits(each.correct)
        inside = (trained_on & correct).sum(0) / trained_on.sum(0)
        np.testing.assert_allclose(found.memorization_by_ratio[i], inside - scores.scores_by_ratio[i])


def test_permuting_examples_permutes_memorization():
    outcomes, _ = ensembles(2, [0.7], 30, design="balanced")
    order = np.random.default_rng(0).permutation(EXAMPLES)
    moved = [outcome(bits(each.trained_on)[:, order], bits(each.correct)[:, order]) for each in outcomes]
    before, after = (memorize(each, [0.7], [10]) for each in (outcomes, moved))
    np.testing.assert_array_equal(before.memorization[order], after.memorization)
    np.testing.assert_allclose(before.memorization_stderr[order], after.memorization_stderr)


def test_what_is_right_only_when_trained_on_is_memorized_wholly():
    masks = np.asarray(draw(jax.random.key(0), designs.subset_rows("independent", 0.5, EXAMPLES, np.arange(30))))
    found = memorize([outcome(masks, masks)], [0.5])
    np.testing.assert_array_equal(found.memorization, 1)
    np.testing.assert_array_equal(found.memorization_stderr, 0)


def test_what_was_never_held_out_has_no_memorization():
    masks = np.ones((4, EXAMPLES), bool)
    masks[0, 1:] = False
    found = memorize([outcome(masks, masks)], [0.7])
    assert np.isnan(found.memorization).tolist() == [True] + [False] * (EXAMPLES - 1)
    assert np.isnan(found.memorization_stderr).all(), "one observation says nothing about its error"


@pytest.mark.parametrize(("ratios", "nearest"), [((0.1, 0.6, 0.9), 0.6), ((0.6, 0.8), 0.8), ((0.3,), 0.3)])
def test_the_ratio_of_memorization_is_the_nearest_to_the_papers(ratios, nearest):
    assert ratios[memorization.nearest_ratio(ratios)] == nearest


@pytest.mark.slow
@pytest.mark.parametrize(("design", "block"), [("independent", 1), ("balanced", 10)])
def test_the_error_of_memorization_is_the_spread_between_repeated_ensembles(design, block):
    found = [memorize(ensembles(seed, [0.7], 60, design=design, spread=0.06)[0], [0.7], [block]) for seed in range(300)]
    claimed = np.mean([f.memorization_stderr**2 for f in found], axis=0)
    spread = np.var([f.memorization for f in found], axis=0, ddof=1)
    # Over 16 examples and 300 ensembles the ratio's own standard deviation is about 0.025.
    assert 0.9 < claimed.mean() / spread.mean() < 1.1
    np.testing.assert_allclose(np.sqrt(claimed / spread), 1, atol=0.3)


def test_memorization_and_its_error_of_two_blocks_by_hand():
    """Trained on in runs 0 and 2, and right in all but the last: variances 1/4 of blocks and 1/4 of observations."""
    trained_on = np.repeat([[1], [0], [1], [0]], EXAMPLES, axis=1)
    correct = np.repeat([[1], [1], [1], [0]], EXAMPLES, axis=1)
    found = memorize([outcome(trained_on, correct)], [0.5], [2])
    np.testing.assert_allclose(found.memorization, 1 - 1 / 2)
    np.testing.assert_allclose(found.memorization_stderr, 1 / 2)


def test_the_error_over_blocks_is_brute_force_cluster_variance():
    [each], _ = ensembles(3, [0.7], 25, design="balanced")
    found = memorize([each], [0.7], [10], batch=4)
    trained_on, correct = bits(each.trained_on), bits(each.correct)
    for i in range(EXAMPLES):
        own, hit = trained_on[:, i], correct[:, i].astype(float)
        means = {kind: hit[own == kind].mean() for kind in (True, False)}
        sizes = {kind: (own == kind).sum() for kind in (True, False)}
        residual = np.array([(h - means[o]) / sizes[o] * (1 if o else -1) for h, o in zip(hit, own, strict=True)])
        squares = sum(residual[block].sum() ** 2 for block in (slice(0, 10), slice(10, 20), slice(20, 25)))
        single = sum(means[kind] * (1 - means[kind]) / (sizes[kind] - 1) for kind in (True, False))
        np.testing.assert_allclose(found.memorization_stderr[i] ** 2, (3 * squares + 4 * single) / (2 + 4), atol=1e-12)


def test_the_interval_of_one_share_is_wilsons():
    from scipy.stats import binomtest

    hits, counts = np.array([0, 3, 10, 7]), np.array([10, 10, 10, 200])
    ends = np.stack(intervals.wilson(hits, counts))
    for i in range(4):
        expected = binomtest(int(hits[i]), int(counts[i])).proportion_ci(method="wilson")
        np.testing.assert_allclose(ends[:, i], [expected.low, expected.high], atol=1e-12)
    assert np.isnan(intervals.wilson(np.array([0]), np.array([0]))).all()


def test_newcombes_interval_as_published():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80; 9/10 - 3/10; 10/10 - 0/20; 10/10 - 0/10.
    hits = np.array([[56, 9, 10, 10], [48, 3, 0, 0]])
    counts = np.array([[70, 10, 10, 10], [80, 10, 20, 10]])
    low, high = intervals.newcombe(hits, counts)
    np.testing.assert_allclose(low, [0.0524, 0.1705, 0.6791, 0.6075], atol=5e-5)
    np.testing.assert_allclose(high, [0.3339, 0.8090, 1.0, 1.0], atol=5e-5)
    assert np.isnan(intervals.newcombe(np.zeros((2, 1)), np.array([[0], [5]]))).all()


@pytest.mark.parametrize(("design", "blocks"), [("independent", [1]), ("balanced", [10])])
def test_the_interval_of_memorization_covers_that_of_a_known_population(design, blocks):
    covered = []
    for seed in range(100):
        outcomes, _ = ensembles(seed, [0.7], 60, design=design)
        found = memorize(outcomes, [0.7], blocks)
        assert (found.memorization_high - found.memorization_low > 0.05).all()
        covered.append((found.memorization_low <= 0) & (found.memorization_high >= 0))
    assert 0.93 < np.mean(covered) < 0.99


@pytest.mark.parametrize(
    ("design", "ratios", "runs"), [("independent", [0.5], 40), ("balanced", [0.5, 0.9], 40), ("nested", [0.3, 0.5], 40)]
)
def test_the_interval_covers_the_score_of_a_known_population(design, ratios, runs):
    nested, covered = design == "nested", []
    for seed in range(200):
        outcomes, accuracy = ensembles(seed, ratios, runs, design=design)
        blocks = [designs.block_size(design, ratio) for ratio in ratios]
        found = estimate(outcomes, blocks, shared=nested)
        low, high = score_interval(found, shared_blocks=nested)
        assert ((low <= found.scores) & (found.scores <= high) & (high - low > 0.02)).all()
        covered.append((low <= accuracy) & (accuracy <= high))
    # Of 200 times 16 intervals; a standard error is 0.4 %.
    assert 0.94 < np.mean(covered) < 0.995


def test_the_interval_is_longer_where_a_runs_answers_are_shared_by_ratios():
    outcomes, _ = ensembles(0, [0.4, 0.5], 60, design="nested", spread=0.2)
    found = estimate(outcomes, shared=True)
    alone, shared = (np.diff(score_interval(found, shared_blocks=each), axis=0)[0] for each in (False, True))
    assert (shared >= alone).all()
    assert np.median(shared / alone) > 1.03
    certain = found._replace(scores_by_ratio=np.ones_like(found.scores_by_ratio), stderr=np.zeros(EXAMPLES))
    assert np.isfinite(score_interval(certain, shared_blocks=True)).all()


def test_further_scores_survive_a_round_trip_and_older_files_load(tmp_path):
    outcomes, _ = ensembles(0, [0.3, 0.7], 30)
    found = estimate(outcomes)
    more = from_answers(lambda i: [outcomes[i]], found, [0.3, 0.7], [1, 1], shared_blocks=False)
    dataset = make_images()
    write_scores(make_scores(dataset, more=more), tmp_path / "new.npz")
    write_scores(make_scores(dataset), tmp_path / "old.npz")
    loaded = load_scores(tmp_path / "new.npz").more
    assert loaded.keys() == more.keys() >= {"memorization", "memorization_stderr", "scores_low", "scores_high"}
    for name in more:
        np.testing.assert_array_equal(loaded[name], more[name])
    assert not load_scores(tmp_path / "old.npz").more
    with pytest.raises(ValueError, match="scores: is a field"):
        write_scores(make_scores(dataset, more={"scores": np.zeros(3)}), tmp_path / "bad.npz")


def test_the_summary_names_the_ratio_of_memorization_and_who_leads():
    dataset = make_images()
    values = np.linspace(0, 0.5, 60)
    more = {"memorization": values, "memorization_low": values - 0.1, "memorization_high": values + 0.2}
    more["memorization_ratio"] = np.float64(0.7)
    text = summarize(dataset, make_scores(dataset, more=more))
    assert re.search(r"memorization.* at ratio 0\.7: 30 of 60 .* 0\.25", text)
    assert "59 0.500 [0.400, 0.700]" in text
    assert "memoriz" not in summarize(dataset, make_scores(dataset))


@pytest.mark.parametrize("name", ["confidence", "variability", "correctness", "learning_speed"])
def test_a_label_that_is_never_learnt_is_more_suspicious_than_an_ambiguous_one(name):
    """Cartography's label errors are hard to learn: low confidence, and low variability (Swayamdipta et al. 2020)."""
    epochs = np.arange(20)
    never, ambiguous = np.full(20, 0.05), 0.5 + 0.4 * np.sin(epochs)
    values = {
        "confidence": [path.mean() for path in (never, ambiguous)],
        "variability": [path.std() for path in (never, ambiguous)],
        "correctness": [(path > 0.5).sum() for path in (never, ambiguous)],
        "learning_speed": [(path > 0.5).mean() for path in (never, ambiguous)],
    }[name]
    suspicions = suspicion(np.array(values), REGISTRY[name].suspicious)
    assert suspicions[0] > suspicions[1]


def test_every_score_of_the_registry_says_what_it_is():
    for name, score in REGISTRY.items():
        assert name == score.name
        assert score.suspicious in (-1, 1)
        assert "http" in score.source
        assert score.meaning
    assert REGISTRY["scores"].stderr == "stderr"
    assert heldout.Estimate._fields[:2] == ("scores", "stderr")
