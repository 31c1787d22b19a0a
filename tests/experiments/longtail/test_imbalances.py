"""Several imbalance ratios in one job: what fails in one, and what ends all."""

import pytest

from jaxgen.errors import Diverged, FailedRuns, Interrupted, UserError
from jaxgen.experiments.longtail import imbalances
from jaxgen.jobs.session import QUIET
from support.long_tail import spec_of


@pytest.mark.parametrize(
    ("error", "others", "said"),
    [
        (Diverged("all 9 results diverged"), [20.0], "--imbalance=10: all 9 results diverged"),
        (FailedRuns("a chunk failed"), [20.0], "a chunk failed"),
        (Interrupted("stopped; 3 of 9 models are kept"), [], "stopped; 3 of 9 models are kept"),
        (UserError("--out=here: cannot be written"), [], "--out=here: cannot be written"),
    ],
)
def test_other_ratios_are_trained_after_a_failure_of_one_but_not_after_a_stop(
    tmp_path, monkeypatch, error, others, said
):
    trained = []

    def measure_job(job, session):
        if job == 10.0:
            raise error
        trained.append(job)

    monkeypatch.setattr(imbalances, "measure_job", measure_job)
    spec = spec_of(tmp_path, imbalance=(10.0, 20.0))
    jobs = imbalances.ImbalanceJobs(spec, {ratio: ratio for ratio in spec.longtail.imbalance})
    with pytest.raises(type(error)) as raised:
        imbalances.measure(jobs, QUIET)
    assert str(raised.value) == said
    assert trained == others
