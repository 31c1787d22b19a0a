"""The two-stage long-tail experiment that ``python -m jaxgen.lnr`` runs on images."""

from jaxgen.data import load_dataset
from jaxgen.experiments.longtail.imbalances import answer, describe, make_jobs, measure
from jaxgen.jobs.experiment import Experiment

EXPERIMENT = Experiment(
    name="lnr",
    load=lambda spec: [load_dataset(spec.data)],
    folder=lambda spec, datasets: (datasets[0].name,),
    plan=lambda datasets, spec, session: make_jobs(datasets, spec),
    describe=describe,
    measure=measure,
    report="jaxgen.experiments.longtail.report",
    answers=answer,
)
