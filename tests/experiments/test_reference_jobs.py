"""Small jobs of every experiment write the numbers that they wrote when they were recorded.

Where numbers are changed on purpose: `python tests/support/reference_jobs.py --record JOB ...`, and say why.
"""

import copy

import pytest

from support import records
from support.reference_jobs import JOBS, RECORD, run_job, write_data

# A quarter of a minute of one core; the others take about six minutes.
QUICK = {"cscore"}
RECORDED = records.read_record(RECORD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    write_data(folder)
    return folder


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in JOBS])
def test_a_job_writes_what_it_wrote_when_it_was_recorded(folder, name):
    assert records.compare(RECORDED[name], run_job(folder, name)) == []


def test_the_record_is_of_these_jobs():
    assert RECORDED.keys() == JOBS.keys()
    for name, summary in RECORDED.items():
        assert len(records.as_columns(summary)) > 30, name


@pytest.fixture
def changed():
    """A record, and a copy to be changed."""
    summary = {
        "machine": ["processor", "jax 1"],
        "files": {"a.npz": {"trained_on": ["aa", 0.5], "loss": ["bb", 2.0]}, "a.png": {}},
    }
    return summary, copy.deepcopy(summary)


def test_on_the_machine_that_recorded_every_digest_counts(changed):
    recorded, summary = changed
    assert records.compare(recorded, summary) == []
    summary["files"]["a.npz"]["loss"][0] = "cc"
    assert records.compare(recorded, summary) == ["a.npz:loss differs"]


def test_elsewhere_draws_are_exact_and_the_rest_is_close(changed):
    recorded, summary = changed
    summary["machine"] = ["processor", "jax 2"]
    summary["files"]["a.npz"]["loss"] = ["cc", 2.0 + records.TOLERANCE]
    assert records.compare(recorded, summary) == []
    summary["files"]["a.npz"] = {"trained_on": ["dd", 0.5], "loss": ["cc", 2.1 + 2 * records.TOLERANCE]}
    drawn, learnt = records.compare(recorded, summary)
    assert drawn == "a.npz:trained_on differs"
    assert learnt.startswith("a.npz:loss has mean 2.")


def test_files_and_columns_that_come_and_go_are_named(changed):
    recorded, summary = changed
    summary["files"] = {"a.npz": {"trained_on": ["aa", 0.5], "loss": ["bb", None]}, "b.png": {}}
    assert records.compare(recorded, summary) == ["a.png is gone", "b.png is new"]
    assert records.compare(None, summary) == ["is not in the record"]
