"""The tau-normalized classifier: weights by hand, how tau is chosen, what is told of it."""

import numpy as np
import pytest

from jaxgen.experiments.longtail.job import make_job
from jaxgen.experiments.longtail.measure import ClassifierResult
from jaxgen.experiments.longtail.method_report import method_rows, report_job, results_of
from jaxgen.experiments.longtail.run import measure_job, train_stage1
from jaxgen.experiments.longtail.tau import TAUS, choose_tau, describe_taus, tau_normalized
from jaxgen.jobs.session import QUIET
from support.long_tail import long_tail_data, spec_of
from support.written import written

METHOD = "tau_normalization"


@pytest.fixture(scope="module")
def data():
    return long_tail_data()


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    job = make_job(data, spec_of(tmp_path_factory.mktemp("tau"), methods=("ce", METHOD), num_runs=2, width=2))
    return job, measure_job(job, QUIET)


def test_two_classes_by_hand():
    # The columns are the classes: of norm 5 and 0.5.
    kernel = np.array([[3.0, 0.3], [4.0, 0.4]])
    np.testing.assert_array_equal(tau_normalized(kernel, 0.0), kernel)
    np.testing.assert_allclose(tau_normalized(kernel, 1.0), [[0.6, 0.6], [0.8, 0.8]])
    np.testing.assert_allclose(tau_normalized(kernel, 2.0), [[3 / 25, 1.2], [4 / 25, 1.6]])
    half = tau_normalized(kernel, 0.5)
    np.testing.assert_allclose(half, [[3 / 5**0.5, 0.3 / 0.5**0.5], [4 / 5**0.5, 0.4 / 0.5**0.5]])
    # The larger class wins at first, and the smaller one in the end.
    assert [int((np.array([1.0, 1.0]) @ tau_normalized(kernel, tau)).argmax()) for tau in (0.0, 0.9, 1.1)] == [0, 0, 1]
    assert not tau_normalized(np.zeros((2, 2)), 1.0).any()


def test_tau_goes_as_far_as_in_the_authors_code():
    np.testing.assert_allclose(TAUS, np.linspace(0, 2, 21))


def result(run, selection, finite=True):
    row = {"run": run, "finite": finite, "selection_accuracy": selection, "balanced_accuracy": 0.5}
    return ClassifierResult({**row, "few_accuracy": 0.5}, np.zeros(0), np.zeros(0), np.zeros(0, bool))


def test_tau_is_chosen_by_the_mean_over_runs_and_the_lowest_of_as_good_ones():
    by_tau = {0.0: [result(0, 0.1), result(1, 0.2)], 0.5: [result(0, 0.8), result(1, 0.9)]}
    by_tau[1.0] = [result(0, 0.9), result(1, 0.8)]
    assert choose_tau(by_tau) == 0.5
    assert choose_tau(by_tau | {2.0: [result(0, 0.7), result(1, 1.0, finite=False)]}) == 0.5
    assert choose_tau(by_tau | {2.0: [result(0, 0.9), result(1, 0.0, finite=False)]}) == 2.0
    assert choose_tau({0.5: [result(0, 1.0, finite=False)]}) is None


def test_it_is_the_classifier_of_plain_networks_without_bias(ran):
    job, results = ran
    assert job.kinds == ["ce"]
    _, outputs = train_stage1(job, QUIET)
    for run, found in enumerate(results_of(results, METHOD)):
        kernel = outputs.kernels[run]
        logits = outputs.test[run] @ (kernel / np.linalg.norm(kernel, axis=0) ** results.tau)
        assert found.row["test_accuracy"] == np.mean(logits.argmax(1) == job.tail.dataset.test_labels)
        assert found.row["flips"] == 0
    assert not results.stage2.measured


@pytest.mark.slow
def test_beside_other_methods_it_is_what_it_is_alone(ran, data, tmp_path):
    _, results = ran
    job = make_job(data, spec_of(tmp_path, methods=("ldam_drw", METHOD, "plain"), num_runs=2, width=2))
    assert job.kinds == ["ce", "mixup", "ldam_drw"]
    beside = measure_job(job, QUIET)
    rows = [[one.row for one in results_of(found, METHOD)] for found in (results, beside)]
    for own, other in zip(*rows, strict=True):
        assert own["balanced_accuracy"] == other["balanced_accuracy"]
        assert own["ece"] == pytest.approx(other["ece"], abs=1e-3)
    assert beside.tau == results.tau


def test_networks_are_trained_for_the_methods_that_need_them(data):
    kinds = {
        (METHOD,): ["ce"],
        ("lnr", METHOD): ["ce", "mixup"],
        ("lnr",): ["mixup"],
        ("ldam_drw", METHOD): ["ce", "ldam_drw"],
        ("remix",): ["remix"],
    }
    assert {methods: make_job(data, spec_of(methods=methods)).kinds for methods in kinds} == kinds
    assert make_job(data, spec_of(methods=("lnr", METHOD), mixup=0.0)).kinds == ["ce"]


def test_the_table_tells_tau(ran):
    job, results = ran
    rows = {row["method"]: row for row in method_rows(job, results)}
    assert rows[METHOD]["n"] == 2
    assert rows[METHOD]["threshold"] == ""
    text, files = written(report_job(job, results), "jaxgen.lnr", "command")
    assert f"| {METHOD} |" in text
    files = {file.name: file.read_text() for file in files if file.suffix in (".md", ".csv")}
    assert f"tau = {results.tau:g} has the highest balanced accuracy on the selection examples" in files["table.md"]
    assert "| tau | selection | test | few | n |" in files["table.md"]
    assert len(files["tau.csv"].splitlines()) == 1 + 2 * len(TAUS)


def test_of_diverged_networks_no_tau_is_chosen(ran):
    _, results = ran
    diverged = {
        tau: [result._replace(row={**result.row, "finite": False}) for result in part]
        for tau, part in results.by_tau.items()
    }
    assert choose_tau(diverged) is None
    assert describe_taus(None).endswith("All networks of ce diverged, so that none was chosen.")
