"""The randomization experiment that ``python -m jaxgen.randomization`` runs."""

from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.experiments.randomization.job import make_job
from jaxgen.experiments.randomization.run import measure_job
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.member_table import make_workload

EXPERIMENT = Experiment(
    name="randomization",
    load=lambda spec: hold_out_test(load_dataset(spec.data), spec.fit.test_share, spec.seed),
    folder=lambda spec, dataset: (dataset.name, spec.noise.preset if spec.noise.preset != "none" else ""),
    plan=lambda dataset, spec, session: make_job(dataset, spec),
    describe=lambda job, session: describe_workload(make_workload(job), session),
    measure=measure_job,
    report="jaxgen.experiments.randomization.report",
)
