"""C-scores: train models on random subsets at several ratios, and score each example by how often it is got right when
held out (Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206)."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxgen.config import CscoreSpec, sweep
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.errors import Diverged, UserError
from jaxgen.experiments.cscore.collect import collect, make_reader
from jaxgen.experiments.cscore.density import densities
from jaxgen.experiments.cscore.growth import train_to_target
from jaxgen.experiments.cscore.job import CscoreJob, make_job, make_workload
from jaxgen.experiments.cscore.tracking_cost import MIN_SECONDS, describe_cost, tracking_cost
from jaxgen.jobs.program import Program
from jaxgen.jobs.python_call import spec_of_call
from jaxgen.jobs.run import train_workload
from jaxgen.jobs.session import QUIET, Session, tell_of_data
from jaxgen.jobs.train import TrainedProgram
from jaxgen.reporting.console import log
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.types import Dataset, Scores
from jaxgen.wording import all_of


def estimate_scores(images: Any, labels: Any = None, **arguments: Any) -> Scores:
    """C-scores of the user's own arrays: `python -m jaxgen.cscore` as a function.

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features, as an array, a tensor
        or nested lists; or a frame of pandas or polars, of columns of numbers, booleans or categories; or a data set of
        Hugging Face, or of pairs (image, label) as those of PyTorch.
      labels: ``[n]`` integers or text, or one-hot ``[n, c]``; or a series; or the name of a column of `images`. None
        for data sets that bring their own.
      **arguments: those of `estimate_settings`; every flag has one value.

    Returns:
      The scores, one an example.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    by_setting = estimate_settings(images, labels, **arguments)
    if len(by_setting) > 1:
        raise UserError(f"{len(by_setting)} settings: these flags hold lists; jaxgen.estimate_settings takes them")
    [scores] = by_setting.values()
    return scores


def estimate_settings(
    images: Any,
    labels: Any = None,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    class_names: Any = None,
    ids: Any = None,
    out: str | os.PathLike | None = None,
    progress: bool = False,
    **flags: Any,
) -> dict[str, Scores]:
    """C-scores of the user's own arrays at every setting that lists in the flags span.

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features, as an array, a tensor
        or nested lists; or a frame of pandas or polars, of columns of numbers, booleans or categories; or a data set of
        Hugging Face, or of pairs (image, label) as those of PyTorch.
      labels: ``[n]`` integers or text, or one-hot ``[n, c]``; or a series; or the name of a column of `images`. None
        for data sets that bring their own.
      test_images, test_labels: the same for a test set, whose answers are kept with the runs.
      class_names: ``[c]`` names, if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text that name the examples.
      out: folder for finished runs, so that the same call resumes or extends them; without it nothing is kept.
      progress: whether to show progress on standard error.
      **flags: flags of the command line by name, those of the data left out, with Python values: ``num_runs=20``,
        ``subset_ratios=(0.3, 0.7)``, ``hidden=(128, 64)``, ``weight_decay=(0.0, 1e-4)``, ``design="nested"``.

    Returns:
      The scores of each setting by its name, such as ``weight_decay=0.0001``; ``""`` if there is but one.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    with spec_of_call(CscoreSpec, "jaxgen.cscore", flags, out) as spec:
        dataset = dataset_of_call(
            images,
            labels,
            test_images=test_images,
            test_labels=test_labels,
            class_names=class_names,
            ids=ids,
            spec=spec.data,
        )
        session = tell_of_data(dataset, Session(QUIET.resume, log if progress else None))
        results = score_settings(dataset, spec, session)
    return {setting.name: scores for setting, scores in results}


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
