"""The test of predictions against chance: exact answers, size and power by simulation."""

import numpy as np
import pytest
from scipy.stats import binom

from jaxgen.scores.chance import p_of_recall, predicted_shares

SIZES = {
    "two": (30, 30),
    "two, unequal": (95, 5),
    "ten": (40,) * 10,
    "a long tail": (100, 60, 40, 25, 15, 10, 6, 4, 3, 2),
    "small classes": (5, 5, 5),
}


def predictors(counts):
    """How often each class is predicted by some that know nothing: alike, by size, the largest nearly always."""
    counts = np.array(counts)
    largest = np.where(np.arange(len(counts)) == counts.argmax(), 0.95, 0.05 / (len(counts) - 1))
    return [np.full(len(counts), 1 / len(counts)), counts / counts.sum(), largest]


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_predictions_that_do_not_depend_on_the_labels_are_as_rarely_taken_for_knowledge_as_promised(sizes):
    rng, counts, draws = np.random.default_rng(0), np.array(sizes), 600
    for shares in predictors(sizes):
        values = np.array(
            [p_of_recall(hits.astype(float), counts) for hits in rng.binomial(counts, shares, (draws, len(counts)))]
        )
        assert (values < 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
        assert (values < 0.01).mean() < 0.01 + 3 * np.sqrt(0.01 * 0.99 / draws)


def test_the_tail_of_two_classes_of_one_size_is_that_of_the_binomial_distribution():
    """Predicted alike, their mean recall is the share of right answers."""
    counts = np.array([200, 200])
    for right in (115, 125, 135):
        found = p_of_recall(np.array([right, right], float), counts)
        assert found == pytest.approx(binom.sf(2 * right - 1, 400, 0.5), rel=0.25)


def test_knowledge_is_shown():
    """Three quarters of 60 examples of two classes, and half of 178 of three, are enough, also as the best of 28."""
    assert 28 * p_of_recall(np.array([22.0, 23.0]), np.array([30, 30])) < 0.01
    assert 28 * p_of_recall(np.array([30.0, 30.0, 29.0]), np.array([59, 71, 48])) < 0.01
    assert p_of_recall(np.array([10.0, 10.0]), np.array([10, 10])) == pytest.approx(0.5**20, rel=1e-6)


def test_no_more_than_chance_is_no_knowledge():
    assert p_of_recall(np.array([95.0, 0.0]), np.array([95, 5])) == 1
    assert p_of_recall(np.array([0.0, 0.0]), np.array([95, 5])) == 1


def test_shares_add_up_to_1_and_follow_the_larger_class():
    shares = predicted_shares(np.array([90.0, 3.0]), np.array([1000, 5]))
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(0.09, abs=0.02)
