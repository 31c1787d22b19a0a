"""The robustness experiment that ``python -m jaxgen.robustness`` runs."""

from jaxgen.config import RobustnessSpec, sweep
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.experiments.robustness.job import make_job
from jaxgen.experiments.robustness.run import measure_job
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.member_table import make_workload
from jaxgen.types import Dataset


def load(spec: RobustnessSpec) -> Dataset:
    """Loads the dataset, with a test set."""
    return hold_out_test(load_dataset(spec.data), spec.corruption.test_share, spec.seed)


def folder(spec: RobustnessSpec, dataset: Dataset) -> tuple[str, ...]:
    """Names of the output folders: the dataset, and the modifications that members train on."""
    modifications = [name for name in sweep.alternatives(spec.corruption.train_modification) if name != "none"]
    return dataset.name, "+".join(modifications)


EXPERIMENT = Experiment(
    name="robustness",
    load=load,
    folder=folder,
    plan=lambda dataset, spec, session: make_job(dataset, spec, log=session.log),
    describe=lambda job, session: describe_workload(make_workload(job), session),
    measure=measure_job,
    report="jaxgen.experiments.robustness.report",
)
