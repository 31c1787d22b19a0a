"""The experiment behind ``python -m jaxgen.lnr`` for binary tables."""

from jaxgen.experiments.tabular.job import TabularJob, load_tables, make_table_job
from jaxgen.experiments.tabular.run import describe_folds, expect_table_flips, measure_job
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.session import Session


def answer(job: TabularJob, session: Session) -> str | None:
    """With ``--what_if``, the expected number of flips at each threshold; else None."""
    return expect_table_flips(job) if job.spec.flips.what_if else None


EXPERIMENT = Experiment(
    name="lnr",
    load=load_tables,
    folder=lambda spec, datasets: ("keel",) if spec.tabular.keel else (datasets[0].name, "table"),
    plan=lambda datasets, spec, session: make_table_job(datasets, spec, log=session.log),
    describe=lambda job, session: describe_folds(job),
    measure=measure_job,
    report="jaxgen.experiments.tabular.report",
    answers=answer,
)
