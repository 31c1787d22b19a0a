"""Threshold samples: their draw, the rule by hand, its laws, and a population in which the right answer is known."""

import jax
import numpy as np
import pytest

from jaxgen.keys import JobDraw, job_key
from jaxgen.scores.threshold_samples import draw_threshold_samples, flag_examples

NAN = float("nan")


def draw(runs, count=100, classes=3, seed=0):
    root = job_key(seed, JobDraw.THRESHOLD_SAMPLES)
    return np.stack([np.asarray(draw_threshold_samples(root, run, count, classes)) for run in range(runs)])


@pytest.mark.parametrize(("count", "classes"), [(100, 3), (101, 3), (25, 9)])
def test_every_example_is_a_threshold_sample_in_one_model_of_a_block(count, classes):
    samples = draw(2 * (classes + 1), count, classes)
    first, second = samples[: classes + 1], samples[classes + 1 :]
    for block in (first, second):
        np.testing.assert_array_equal(block.sum(0), 1)
        assert {*block.sum(1)} <= {count // (classes + 1), -(-count // (classes + 1))}
    assert (first != second).any()
    # Of two models or more, each example keeps its label in some.
    assert not samples[:2].all(0).any()


def test_the_draw_goes_by_seed_and_run_alone():
    np.testing.assert_array_equal(draw(6)[:4], draw(4))
    assert (draw(4) != draw(4, seed=1)).any()
    root = job_key(0, JobDraw.THRESHOLD_SAMPLES)
    together = jax.vmap(lambda run: draw_threshold_samples(root, run, 100, 3))(np.arange(4))
    np.testing.assert_array_equal(np.asarray(together), draw(4))


def test_flags_by_hand():
    """Two models; of threshold samples 0 and 1, and of 4 and 2, the 99th percentiles are 0.99 and 3.98."""
    margins = np.array([[0.0, 1, 5, 0.9, 2, 9], [3, 7, 4, 2, 4, 2]])
    samples = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], bool)
    found = flag_examples(margins, np.ones((2, 6), bool), samples)
    np.testing.assert_allclose(found.thresholds, [0.99, 3.98])
    assert found.threshold == pytest.approx(2.485)
    # Means over the models in which they keep their labels.
    np.testing.assert_allclose(found.aum, [3, 7, 4.5, 1.45, 2, 9])
    assert found.counts.tolist() == [1, 1, 2, 2, 1, 1]
    assert found.flagged.tolist() == [False, False, False, True, True, False]
    # The first model alone flags the fourth example; the second the first and the fourth.
    assert found.by_model.tolist() == [1, 2]


def test_the_99th_percentile_of_a_hundred_and_one_samples_leaves_one_above():
    margins = np.arange(102.0)[None]
    found = flag_examples(margins, np.ones((1, 102), bool), np.arange(102)[None] < 101)
    assert found.threshold == 99


def test_an_aum_at_the_threshold_is_flagged_and_an_unknown_one_is_not():
    margins = np.array([[1.0, 1, 0]])
    found = flag_examples(margins, np.array([[True, True, False]]), np.array([[False, True, False]]))
    assert found.flagged.tolist() == [True, False, False]
    assert np.isnan(found.aum[1:]).all()
    assert found.counts.tolist() == [1, 0, 0]


def test_diverged_models_and_validation_examples_have_no_part():
    rng = np.random.default_rng(0)
    margins, samples = rng.normal(size=(3, 40)), draw(3, 40)
    trained = np.ones((3, 40), bool)
    trained[1], trained[2, :7] = False, False
    found = flag_examples(margins, trained, samples)
    assert np.isnan(found.thresholds[1])
    assert found.by_model[1] == 0
    spoilt = margins.copy()
    spoilt[1], spoilt[2, :7] = NAN, 1e9
    for one, other in zip(found, flag_examples(spoilt, trained, samples), strict=True):
        np.testing.assert_array_equal(one, other)


def test_permuting_examples_and_scaling_margins_changes_nothing_else():
    rng = np.random.default_rng(1)
    margins, samples, order = rng.normal(size=(4, 60)), draw(4, 60), rng.permutation(60)
    trained = np.ones((4, 60), bool)
    found = flag_examples(margins, trained, samples)
    moved = flag_examples(3 * margins[:, order], trained, samples[:, order])
    np.testing.assert_array_equal(moved.flagged, found.flagged[order])
    np.testing.assert_allclose(moved.aum, 3 * found.aum[order])
    np.testing.assert_array_equal(moved.by_model, found.by_model)


def test_margins_of_known_distributions_give_the_known_rates():
    """Wrong labels and threshold samples have margins from N(0, 1), right ones from N(6, 1), means of ten N(., 0.1).

    The threshold is the 0.99 quantile of N(0, 1), 2.33: 1 % of the wrong labels lie above, and 0.01 % of the right ones
    below.
    """
    rng = np.random.default_rng(2)
    count, wrong = 20_000, np.arange(20_000) < 2_000
    example = np.where(wrong, 0, 6) + rng.normal(size=count)
    samples = draw(10, count, 9)
    margins = np.where(samples, rng.normal(size=count), example) + 0.1 * rng.normal(size=(10, count))
    found = flag_examples(margins, np.ones((10, count), bool), samples)
    assert found.threshold == pytest.approx(2.34, abs=0.05)
    assert found.flagged[wrong].mean() == pytest.approx(0.99, abs=0.01)
    assert found.flagged[~wrong].mean() < 0.001
