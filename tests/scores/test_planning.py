"""How many more runs: the prophecies against their formulae and against ensembles, and a job that keeps to them."""

import numpy as np
import pytest

from jaxgen import UserError, estimate_scores
from jaxgen.config import SubsetSpec
from jaxgen.scores import planning
from jaxgen.views.summary import describe_need
from support.data import blobs, make_images
from support.outcomes import ensembles, estimate
from support.scores import make_scores


def test_so_many_runs_step_reliability_up_to_the_target():
    # Spearman and Brown: 4 * 0.8 / (1 + 3 * 0.8), and nine times the runs make 0.9 of 0.5.
    assert planning.stepped_up(0.8, 4) == pytest.approx(16 / 17)
    assert planning.runs_for_reliability(0.5, 10, 0.9) == pytest.approx(90)
    for reliability in (0.3, 0.8, 0.98):
        needed = planning.runs_for_reliability(reliability, 20, 0.95)
        assert planning.stepped_up(reliability, needed / 20) == pytest.approx(0.95)
    assert planning.runs_for_reliability(0.5, 10, 0.5) == pytest.approx(10)
    assert planning.runs_for_error(0.02, 100, 0.01) == pytest.approx(400)


def test_the_prophecy_comes_true_on_a_known_population():
    few, many = (
        np.mean([estimate(ensembles(seed, [0.5], runs)[0]).reliability.mean() for seed in range(20)])
        for runs in (40, 160)
    )
    assert planning.stepped_up(few, 4) == pytest.approx(many, abs=0.01)


@pytest.mark.parametrize(
    ("found", "have", "most", "wanted"),
    [
        ([0.96], 20, 500, 20),
        ([0.9], 20, 500, 40),
        ([0.9], 20, 30, 30),
        ([0.949], 100, 500, 110),
        ([], 10, 500, 20),
        ([0.2], 500, 500, 500),
        ([-0.1], 10, 500, 20),
    ],
)
def test_the_next_number_of_runs_is_whole_blocks_and_at_most_twice_as_many(found, have, most, wanted):
    assert planning.next_num_runs(np.array(found), have, 0.95, 10, most) == wanted


FLAGS = {"subset_ratios": (0.5,), "num_runs": 4, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}


@pytest.mark.slow
def test_a_job_trains_on_until_its_target_and_goes_on_where_it_was(tmp_path):
    images, labels = blobs(60)
    aim = {"target_reliability": 0.7, "max_runs": 64, "out": str(tmp_path), "track": ("dynamics",)}
    found = estimate_scores(images, labels, **FLAGS, **aim)
    assert found.num_runs > 4
    assert found.reliability.mean() >= 0.7 or found.num_runs == 64
    assert found.metadata["models_now"] == found.num_runs == found.heldout_accuracy.shape[1]
    again = estimate_scores(images, labels, **FLAGS, **aim)
    assert again.metadata["models_now"] == 0
    plain = estimate_scores(images, labels, **{**FLAGS, "num_runs": found.num_runs}, track=("dynamics",))
    for other in (again, plain):
        np.testing.assert_array_equal(found.scores, other.scores)
        np.testing.assert_array_equal(found.more["csl"], other.more["csl"])
    ended = estimate_scores(
        images, labels, **FLAGS, **{**aim, "target_reliability": 0.9999, "max_runs": found.num_runs}
    )
    assert ended.num_runs == found.num_runs


def test_targets_that_cannot_be_are_refused():
    images, labels = blobs(60)
    with pytest.raises(UserError, match=r"--max_runs=5: is less than --num_runs=10.*raise it"):
        SubsetSpec(num_runs=10, target_reliability=0.9, max_runs=5)
    with pytest.raises(
        UserError, match=r"--target_reliability=0.9: is for one setting, and --learning_rate has a list"
    ):
        estimate_scores(images, labels, **FLAGS, target_reliability=0.9, learning_rate=(0.1, 0.2))


def test_the_summary_says_what_more_runs_would_give():
    dataset = make_images()
    said = describe_need(make_scores(dataset, reliability=np.full(10, 0.8)))
    assert "half of it takes about 40 runs at each ratio instead of 10" in said
    assert "a reliability of 0.9 takes about 23 (Spearman-Brown)" in said
    nothing = make_scores(dataset, reliability=np.zeros(0), stderr=np.full(60, np.nan))
    assert describe_need(nothing) == ""
