"""Tests of how the choice of a threshold depends on the number of selection examples."""

import types

import jax
import numpy as np
import pytest

from jaxgen.experiments.longtail.measure import ClassifierResult
from jaxgen.experiments.longtail.selection_size import (
    NUM_DRAWS,
    best_thresholds,
    choose_by_fewer,
    draw_members,
    size_table,
)

# Two classes of six selection examples each, and 4 and 3 training examples.
SELECTION = np.array([0, 1] * 6)
NOTHING = np.zeros(0)


def fake_job(thresholds=(1.0, 2.0, 3.0)):
    dataset = types.SimpleNamespace(labels=np.array([0] * 4 + [1] * 3), num_classes=2)
    flips = types.SimpleNamespace(threshold=thresholds)
    return types.SimpleNamespace(
        spec=types.SimpleNamespace(flips=flips, seed=0), tail=types.SimpleNamespace(labels=SELECTION, dataset=dataset)
    )


def result(threshold, run, right, test, finite=True):
    row = {"method": "lnr", "threshold": threshold, "run": run, "finite": finite, "balanced_accuracy": test}
    return ClassifierResult(row, NOTHING, NOTHING, np.arange(12) < right)


def fake_results(*measured, chosen):
    return types.SimpleNamespace(measured=list(measured), chosen={"lnr": chosen})


def test_draws_take_as_many_of_each_class_and_nobody_twice():
    members = [np.array([3, 5, 7, 9]), np.array([0, 1, 2])]
    drawn = draw_members(jax.random.key(0), members, 2)
    assert drawn.shape == (NUM_DRAWS, 4)
    for part, own in zip((drawn[:, :2], drawn[:, 2:]), members, strict=True):
        assert np.isin(part, own).all()
        assert (part[:, 0] != part[:, 1]).all()
        # Every member comes as often: five standard deviations of a share of 500 draws are 0.112.
        shares = np.array([(part == member).any(1).mean() for member in own])
        assert np.abs(shares - 2 / len(own)).max() < 0.112


def test_ties_go_to_the_highest_threshold_also_where_means_differ_by_rounding():
    accuracies = np.array([[0.1 + 0.2, 0.5, 0.2], [0.3, 0.5, 0.1], [0.2, 0.5, 0.1]])
    assert best_thresholds(accuracies).tolist() == [1, 2, 0]


def test_a_threshold_that_is_right_on_all_is_chosen_by_any_number_of_examples():
    measured = [result(1.0, 0, 0, 0.5), result(2.0, 0, 12, 0.75), result(3.0, 0, 0, 0.9)]
    choices = choose_by_fewer(fake_job(), fake_results(*measured, chosen=2.0))
    # Sizes below six, that of the smallest training class among them.
    assert [choice.size for choice in choices] == [1, 2, 3, 5]
    for choice in choices:
        assert set(choice.thresholds) == {2.0}
        assert set(choice.differences) == {0.0}


def test_fewer_examples_choose_worse_by_the_share_of_draws_that_say_so():
    # The lower threshold is right on example 0 beside all that the higher one is right on, so it is chosen by the draws
    # that hold it, one of six of size 1, and by ties the higher one.
    def classifier(threshold, right, test):
        correct = np.zeros(12, bool)
        correct[:right] = True
        row = {"method": "lnr", "threshold": threshold, "run": 0, "finite": True, "balanced_accuracy": test}
        return ClassifierResult(row, NOTHING, NOTHING, correct)

    measured = classifier(1.0, 1, 0.8), classifier(2.0, 0, 0.6)
    choices = choose_by_fewer(fake_job((1.0, 2.0)), fake_results(*measured, chosen=1.0))
    for choice in choices:
        share = (choice.thresholds == 1.0).mean()
        assert share == pytest.approx(choice.size / 6, abs=5 * np.sqrt(0.25 / NUM_DRAWS))
        assert choice.differences.mean() == pytest.approx((1 - share) * (0.6 - 0.8))
    line = size_table(choices).splitlines()[2]
    assert line.split("|")[2].strip() == "2 (1 to 2)"


def test_diverged_runs_choose_nothing():
    measured = [result(1.0, 0, 6, 0.5), result(2.0, 0, 12, 0.1, finite=False), result(3.0, 0, 2, 0.4)]
    (choice, *_) = choose_by_fewer(fake_job(), fake_results(*measured, chosen=1.0))
    assert 2.0 not in choice.thresholds


def test_one_threshold_is_no_choice():
    assert choose_by_fewer(fake_job((1.0,)), fake_results(result(1.0, 0, 6, 0.5), chosen=1.0)) == []
    job = fake_job()
    assert choose_by_fewer(job, types.SimpleNamespace(measured=[], chosen={})) == []
