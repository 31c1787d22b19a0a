"""The experiment behind ``python -m jaxgen.mislabelled``."""

from jaxgen.config import MislabelledSpec
from jaxgen.config.mislabelled import read_injection
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.job import make_job, make_workload
from jaxgen.experiments.cscore.pilot import choose_training
from jaxgen.experiments.mislabelled.benchmark import Benchmark, run_benchmark
from jaxgen.experiments.mislabelled.injection import load_noise
from jaxgen.experiments.mislabelled.job import MislabelledJob, load
from jaxgen.experiments.mislabelled.search import Mislabelled, check_search, cscore_spec, search
from jaxgen.experiments.mislabelled.threshold_samples import make_threshold_workload
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.experiment import Experiment
from jaxgen.jobs.session import Session
from jaxgen.types import Dataset


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


def choose(dataset: Dataset, spec: MislabelledSpec, session: Session) -> tuple[Dataset, MislabelledSpec]:
    """The data and flags after the pilot of ``--pilot``; the flags of the search are checked before.

    Raises:
      UserError: with ``--inject``, whose noise the pilot would not see.
    """
    check_search(spec)
    if spec.pilot and spec.search.inject:
        raise UserError(
            "--pilot: chooses by the labels as they are, and --inject makes some of them wrong after that; run the "
            "command without --inject once, and give the flags that the pilot chose"
        )
    return choose_training(dataset, spec, session)


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
    choose=choose,
)
