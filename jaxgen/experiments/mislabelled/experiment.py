"""The experiment behind ``python -m jaxgen.mislabelled``."""

from jaxgen.config.mislabelled import read_injection
from jaxgen.experiments.cscore.job import cscore_spec, make_job, make_workload
from jaxgen.experiments.mislabelled.benchmark import Benchmark, run_benchmark
from jaxgen.experiments.mislabelled.injection import load_noise
from jaxgen.experiments.mislabelled.job import MislabelledJob, load
from jaxgen.experiments.mislabelled.search import Mislabelled, choose_search, search
from jaxgen.experiments.mislabelled.threshold_samples import make_threshold_workload
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.session import Session


def describe(job: MislabelledJob, session: Session) -> str:
    """Describes the runs of the underlying C-score job, and those with threshold samples.

    Raises:
      UserError: for noise that does not suit the data.
    """
    for text in job.spec.search.inject:
        load_noise(read_injection(text), job.dataset)
    workloads = [make_workload(make_job(job.dataset, cscore_spec(job.spec)))]
    if job.spec.search.threshold_samples:
        workloads.append(make_threshold_workload(job.dataset, job.spec))
    return "\n\n".join(describe_workload(workload, session) for workload in workloads)


def measure(job: MislabelledJob, session: Session) -> Mislabelled | Benchmark:
    """The ranked examples; or, with ``--inject``, the benchmark of all scores."""
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
    choose=choose_search,
)
