"""The randomization experiment that ``python -m jaxgen.randomization`` runs."""

from jaxgen.config import RandomizationSpec
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.experiments.randomization.job import make_job
from jaxgen.experiments.randomization.presets import describe_departure
from jaxgen.experiments.randomization.run import measure_job
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.member_table import TableJob, make_workload
from jaxgen.jobs.session import Session
from jaxgen.types import Dataset


def plan(dataset: Dataset, spec: RandomizationSpec, session: Session) -> TableJob:
    """The job of a spec; tells where a preset departs from its paper."""
    if departure := describe_departure(spec, dataset.images.shape[1:]):
        session.tell(departure)
    return make_job(dataset, spec)


EXPERIMENT = Experiment(
    name="randomization",
    load=lambda spec: hold_out_test(load_dataset(spec.data), spec.fit.test_share, spec.seed),
    folder=lambda spec, dataset: (dataset.name, spec.noise.preset if spec.noise.preset != "none" else ""),
    plan=plan,
    describe=lambda job, session: describe_workload(make_workload(job), session),
    measure=measure_job,
    report="jaxgen.experiments.randomization.report",
)
