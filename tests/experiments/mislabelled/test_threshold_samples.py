"""Models with threshold samples: what they train on, planted wrong labels, resumption, shares, what is told."""

import csv
import dataclasses
import io
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgen
from jaxgen import UserError
from jaxgen.config import MislabelledSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.engine.members import Examples
from jaxgen.errors import Unfinished
from jaxgen.experiments.mislabelled.benchmark import run_benchmark
from jaxgen.experiments.mislabelled.experiment import describe
from jaxgen.experiments.mislabelled.flagging import describe_share, flag_table, judge_flags
from jaxgen.experiments.mislabelled.job import MislabelledJob
from jaxgen.experiments.mislabelled.report import describe_benchmark, describe_search, make_report
from jaxgen.experiments.mislabelled.search import search
from jaxgen.experiments.mislabelled.threshold_samples import (
    describe_flagged,
    flag_by_threshold_samples,
    make_threshold_workload,
)
from jaxgen.jobs.session import QUIET, Session
from jaxgen.keys import JobDraw, job_key
from jaxgen.scores.threshold_samples import draw_threshold_samples, flag_examples
from support.data import blobs

SMALL = {"hidden": (16,), "epochs": 10, "batch_size": 8, "learning_rate": 0.1, "width": 2, "num_runs": 5}
COUNT, NUM_WRONG = 200, 20


def make_spec(out, **flags):
    return spec_from_values(MislabelledSpec, {**SMALL, "out": str(out), **flags})


@pytest.fixture(scope="module")
def planted():
    """Three classes that a small network tells apart; every tenth label is wrong."""
    images, labels = blobs(COUNT, seed=2)
    images[np.arange(COUNT), labels // 4, labels % 4] = 255
    wrong = np.arange(COUNT) % (COUNT // NUM_WRONG) == 0
    noisy = np.where(wrong, (labels + 1) % 3, labels)
    tests = {"test_images": images[:10], "test_labels": labels[:10]}
    return make_dataset("blobs", images, noisy, source="blobs", class_names=["a", "b", "c"], **tests), wrong


@pytest.fixture(scope="module")
def found(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("search")
    spec = make_spec(out, threshold_samples=8)
    return search(planted[0], spec), spec


def test_a_member_trains_on_all_examples_some_of_them_in_a_made_up_class(planted, tmp_path):
    dataset = planted[0]
    workload = make_threshold_workload(dataset, make_spec(tmp_path, threshold_samples=8))
    [(program, groups)] = workload.programs
    assert workload.dataset.class_names == ("a", "b", "c", "threshold samples")
    assert workload.dataset.test_images is None
    [(name, group)] = groups.items()
    assert workload.plan.run_groups[name] == 8
    rows = group.rows(np.array([0, 5]))
    train = Examples(jnp.asarray(dataset.images), jnp.asarray(dataset.labels))
    for i, run in enumerate((0, 5)):
        member = program.make_member(program, jax.tree.map(operator.itemgetter(i), rows), train)
        samples = draw_threshold_samples(job_key(0, JobDraw.THRESHOLD_SAMPLES), run, COUNT, 3)
        assert member.trained_on.all()
        np.testing.assert_array_equal(member.labels, np.where(samples, 3, dataset.labels))
        assert samples.sum() == COUNT // 4


def test_most_planted_wrong_labels_are_flagged_and_few_others(planted, found):
    flagged = found[0].threshold_samples.found.flagged
    judged = judge_flags(flagged, planted[1])
    assert judged["precision"] > 0.8
    assert judged["recall"] > 0.8


def test_the_answer_is_a_sentence_with_its_numbers_and_columns_of_the_table(planted, found):
    result, spec = found
    flags = result.threshold_samples.found
    text = describe_search(planted[0], result)
    assert (
        f"flagged by threshold samples: {flags.flagged.sum()} of {COUNT} examples, those whose AUM is at most" in text
    )
    assert f"{flags.threshold:.3g} ± " in text
    assert "over n = 8 models; one model alone flags" in text
    report = make_report(MislabelledJob(planted[0], spec), result)
    rows = list(csv.DictReader(io.StringIO(report.files["mislabelled.csv"])))
    by_id = {int(row["id"]): row for row in rows}
    for i in range(COUNT):
        assert by_id[i]["flagged"] == str(int(flags.flagged[i]))
        assert float(by_id[i]["threshold_aum"]) == pytest.approx(flags.aum[i], abs=1e-4)
        # Two blocks of four models: a threshold sample in two.
        assert by_id[i]["threshold_n"] == "6"
    assert report.summary.startswith("13 models trained in")
    assert "13 in all" in report.summary
    plain = dataclasses.replace(result, threshold_samples=None)
    assert "threshold" not in describe_search(planted[0], plain)
    assert not {"flagged", "threshold_aum"} & next(plain.rows()).keys()


@pytest.mark.slow
def test_models_are_trained_once_and_more_of_them_leave_the_others_as_they_are(planted, found, tmp_path):
    again = search(planted[0], found[1])
    assert (again.threshold_samples.models_now, again.scores.metadata["models_now"]) == (0, 0)
    np.testing.assert_array_equal(again.threshold_samples.found.aum, found[0].threshold_samples.found.aum)
    few, more = (
        flag_by_threshold_samples(planted[0], make_spec(tmp_path, threshold_samples=count), QUIET) for count in (4, 8)
    )
    assert (few.models_now, more.models_now) == (4, 4)
    np.testing.assert_array_equal(more.found.thresholds[:4], few.found.thresholds)
    np.testing.assert_allclose(more.found.thresholds, found[0].threshold_samples.found.thresholds, rtol=1e-3)


def test_the_scores_are_those_of_a_search_without(planted, found, tmp_path):
    plain = search(planted[0], make_spec(tmp_path))
    assert plain.threshold_samples is None
    np.testing.assert_array_equal(plain.order, found[0].order)
    np.testing.assert_array_equal(plain.values, found[0].values)


@pytest.mark.slow
def test_two_shares_train_all_models_between_them(planted, found, tmp_path):
    first, second = (make_spec(tmp_path, threshold_samples=8, shard=f"{i}/2") for i in (0, 1))
    with pytest.raises(Unfinished):
        search(planted[0], first)
    result = search(planted[0], second)
    assert 0 < result.threshold_samples.models_now < 8
    aum = found[0].threshold_samples.found.aum
    np.testing.assert_allclose(result.threshold_samples.found.aum, aum, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_dry_run_counts_the_models_and_trains_none(planted, tmp_path):
    spec = make_spec(tmp_path, threshold_samples=6)
    text = describe(MislabelledJob(planted[0], spec), QUIET)
    assert "| 1 | 5 | 0 |" in text
    assert "| 1 | 6 | 0 |" in text
    assert not list(tmp_path.rglob("*-*.npz"))


def test_validation_examples_are_not_judged_by_the_models_that_left_them_out(planted, tmp_path):
    flags = {"threshold_samples": 4, "validation_share": 0.2, "patience": 3}
    counts = flag_by_threshold_samples(planted[0], make_spec(tmp_path, **flags), QUIET).found.counts
    assert counts.min() < 3
    assert 4 * COUNT * 0.75 * 0.75 < counts.sum() < 4 * COUNT * 0.75 * 0.85


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"threshold_samples": 1}, r"--threshold_samples=1: must be 0 \(none\), or 2 to 10,000"),
        ({"threshold_samples": -2}, r"--threshold_samples=-2: must be 0"),
    ],
)
def test_too_few_models_are_refused(flags, said):
    with pytest.raises(UserError, match=said):
        spec_from_values(MislabelledSpec, flags)


def test_fewer_examples_than_classes_and_one_are_refused(tmp_path):
    images, labels = blobs(3)
    dataset = make_dataset("three", images, labels, source="three")
    with pytest.raises(UserError, match=r"--threshold_samples=2: takes 1 of 4 examples, and there are 3; leave it out"):
        make_threshold_workload(dataset, make_spec(tmp_path, threshold_samples=2))


@pytest.mark.slow
def test_the_function_takes_the_flag(planted):
    result = jaxgen.find_mislabelled(planted[0].images[..., 0], planted[0].labels, threshold_samples=2, **SMALL)
    assert len(result.threshold_samples.found.thresholds) == 2


def test_diverged_models_are_told():
    margins, samples = np.arange(12.0).reshape(3, 4), np.eye(3, 4, dtype=bool)
    trained = np.array([[True] * 4, [False] * 4, [True] * 4])
    text = describe_flagged(flag_examples(margins, trained, samples))
    assert "n = 2 models, 1 diverged" in text


def test_judged_flags_by_hand():
    flagged, wrong = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 1, 1, 1], bool)
    assert judge_flags(flagged, wrong) == {"flagged": 3, "precision": 2 / 3, "recall": 1 / 2}
    nothing = judge_flags(np.zeros(5, bool), wrong)
    assert nothing["recall"] == 0
    assert np.isnan(nothing["precision"])
    assert describe_share(np.array([np.nan])) == "—"
    assert describe_share(np.array([0.5, np.nan])) == "50.0 (n = 1)"
    rows = [
        {"noise": "pair:0.2", "way": "x", "wrong": 10, "flagged": count, "precision": share, "recall": 0.5}
        for count, share in ((8, 0.8), (12, 0.9))
    ]
    assert f"| pair:0.2 | x | 10 | 10 | 85.0 ± {1270.6 * 0.05:.1f} | 50.0 |" in flag_table(rows)


@pytest.mark.slow
def test_a_benchmark_judges_the_flagged_beside_other_ways(tmp_path):
    images, labels = blobs(120, seed=2)
    images[np.arange(120), labels // 4, labels % 4] = 255
    dataset = make_dataset("blobs", images, labels, source="blobs")
    spec = make_spec(tmp_path, inject=("symmetric:0.1",), repeats=1, threshold_samples=4)
    said = []
    benchmark = run_benchmark(dataset, spec, Session(log=said.append))
    ways = {row["way"]: row for row in benchmark.flags}
    assert {"threshold samples", "first by csl, as many as estimated"} <= ways.keys()
    for row in ways.values():
        assert row["noise"] == "symmetric:0.1"
        assert 0 <= row["recall"] <= 1
    assert ways["threshold samples"]["recall"] > 0.6
    text = describe_benchmark(benchmark, spec)
    assert "Which labels are flagged" in text
    assert "| symmetric:0.1 | threshold samples |" in text
    assert "5 models for each noise and repeat, and 4 with threshold samples" in text
    report = make_report(MislabelledJob(dataset, spec), benchmark)
    assert "flagged.csv" in report.files
    assert "flagged.csv" not in make_report(MislabelledJob(dataset, spec), benchmark._replace(flags=())).files
    assert any("threshold samples: 4 models with 4 outputs" in line for line in said)
