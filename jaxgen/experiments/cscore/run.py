"""C-scores: train models on random subsets at several ratios, and score each example by how often it is got right when
held out (Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206)."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from jaxgen.config import CscoreSpec, sweep
from jaxgen.errors import Diverged
from jaxgen.experiments.cscore.collect import collect, make_reader
from jaxgen.experiments.cscore.density import densities
from jaxgen.experiments.cscore.growth import train_to_target
from jaxgen.experiments.cscore.job import CscoreJob, make_job, make_workload
from jaxgen.experiments.cscore.tracking_cost import MIN_SECONDS, describe_cost, tracking_cost
from jaxgen.jobs.program import Program
from jaxgen.jobs.run import train_workload
from jaxgen.jobs.session import QUIET, Session
from jaxgen.jobs.train import TrainedProgram
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.types import Dataset, Scores
from jaxgen.wording import all_of


def score_settings(dataset: Dataset, spec: CscoreSpec, session: Session = QUIET) -> list[tuple[sweep.Setting, Scores]]:
    """Trains missing runs in the store below ``spec.out``, and estimates the scores of each setting.

    Args:
      dataset: the examples.
      spec: the flags.
      session: resume command and log.
    """
    return measure_job(make_job(dataset, spec), session)


def measure_job(job: CscoreJob, session: Session) -> list[tuple[sweep.Setting, Scores]]:
    """Trains the job's missing runs, and estimates the scores of each setting from all runs."""
    dataset, scored = job.dataset, {}

    def finish(
        program: Program, store: Store, done: TrainedProgram, models: ModelFolder | None
    ) -> tuple[Program, Store, TrainedProgram]:
        program, store, done = train_to_target(dataset, program, store, done, models, session)
        measurable = program.track and not program.track.gradients and job.spec.compute.launcher == "local"
        if measurable and session.log and done.seconds_now >= MIN_SECONDS:
            session.tell(describe_cost(tracking_cost(done.trainer)))
        return program, store, done

    # Training always uses 32-bit types, whatever the caller's setting.
    with fixed_settings():
        store, trained = train_workload(make_workload(job), session, finish)
        for program, done in trained:
            chunks = make_reader(program, store)
            for i, setting in enumerate(program.settings):
                scores = collect(dataset, program, i, store, chunks)
                scores = dataclasses.replace(scores, more={**scores.more, **densities(dataset, program, i)})
                scores.metadata.update(
                    devices=done.devices,
                    models_now=done.models_now,
                    seconds_now=done.seconds_now,
                    width=done.width,
                    jax=jax.__version__,
                )
                scored[setting.name] = (setting, scores)
    results = [scored[setting.name] for setting in sweep.expand(job.spec)]
    refuse_diverged([scores for _, scores in results])
    return results


def refuse_diverged(all_scores: Sequence[Scores]) -> None:
    """Checks that some setting has trained models at every ratio.

    Raises:
      UserError: if every setting has a ratio at which all models diverged.
    """
    for scores in all_scores:
        trained = np.isfinite(scores.heldout_accuracy).any(axis=1)
        if trained.all():
            return
    raise Diverged(
        f"--subset_ratios={scores.subset_ratios[~trained][0]:g}: {all_of(scores.num_runs, 'model')} diverged"
        f"{', in every setting' if len(all_scores) > 1 else ''}; leave this ratio out, or lower --learning_rate or "
        "give --clip_norm with another --out"
    )
