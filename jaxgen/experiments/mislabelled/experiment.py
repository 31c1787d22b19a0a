"""The search for mislabelled examples as an experiment: what ``python -m jaxgen.mislabelled`` runs."""

from jaxgen.experiments.cscore.job import make_job, make_workload
from jaxgen.experiments.mislabelled.benchmark import Benchmark, run_benchmark
from jaxgen.experiments.mislabelled.job import MislabelledJob, load
from jaxgen.experiments.mislabelled.search import Mislabelled, cscore_spec, search
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.session import Session


def describe(job: MislabelledJob, session: Session) -> str:
    """What the C-score job underneath would train."""
    return describe_workload(make_workload(make_job(job.dataset, cscore_spec(job.spec))), session)


def measure(job: MislabelledJob, session: Session) -> Mislabelled | Benchmark:
    """The examples in order of suspicion; or, of known noise, how every score finds it."""
    if job.spec.search.inject:
        return run_benchmark(job.dataset, job.spec, session)
    return search(job.dataset, job.spec, session)


EXPERIMENT = Experiment(
    name="mislabelled",
    load=load,
    folder=lambda spec, dataset: (dataset.name, "league" if spec.search.inject else ""),
    plan=lambda dataset, spec, session: MislabelledJob(dataset, spec),
    describe=describe,
    measure=measure,
    report="jaxgen.experiments.mislabelled.report",
)
