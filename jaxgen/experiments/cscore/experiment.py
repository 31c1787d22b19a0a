"""The experiment behind ``python -m jaxgen.cscore``."""

from jaxgen.data import load_dataset
from jaxgen.experiments.cscore.job import make_job, make_workload
from jaxgen.experiments.cscore.pilot import choose_training
from jaxgen.experiments.cscore.run import measure_job
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment

EXPERIMENT = Experiment(
    name="cscore",
    load=lambda spec: load_dataset(spec.data),
    folder=lambda spec, dataset: (dataset.name,),
    plan=lambda dataset, spec, session: make_job(dataset, spec),
    describe=lambda job, session: describe_workload(make_workload(job), session),
    measure=measure_job,
    report="jaxgen.experiments.cscore.report",
    choose=choose_training,
)
