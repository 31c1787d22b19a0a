"""Models with threshold samples, examples of a made-up class (Pleiss et al. 2020): trained and measured."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import MislabelledSpec
from jaxgen.config.fields import flag_values
from jaxgen.engine.members import Examples, MemberConfig
from jaxgen.errors import Diverged, UserError
from jaxgen.experiments.cscore.tracking import tracked_bytes
from jaxgen.jobs.identity import describe_data, make_identity, typed_flags
from jaxgen.jobs.member_table import TableRow, make_rows
from jaxgen.jobs.program import Program, check_program, hparams_of, make_programs
from jaxgen.jobs.run import measure_workload
from jaxgen.jobs.session import Session
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload, make_workload
from jaxgen.keys import JobDraw, job_key, run_key
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.store import Store
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.scores.memorization import unpack
from jaxgen.scores.threshold_samples import Flagged, draw_threshold_samples, flag_examples
from jaxgen.types import TRACKED, Dataset, Outcome
from jaxgen.wording import all_of, count_of

RUN_GROUP = "models"
MADE_UP = "threshold samples"
# Margins alone are of use: means over all visits in training.
TRACK = TrackingConfig(early=1, examined=(), curve=())


class ThresholdSamples(NamedTuple):
    """Examples flagged by threshold samples, and how the models were trained.

    Attributes:
      found: the flags and what they go by.
      widths, models_now, seconds_now: as of `jaxgen.jobs.run.Members`.
    """

    found: Flagged
    widths: set[int]
    models_now: int
    seconds_now: float


class Margins(NamedTuple):
    """The AUM ``[n]`` of all examples in one model, by its number, and which it trained on."""

    run: int
    margins: np.ndarray
    trained: np.ndarray


def make_threshold_member(program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The config of a member: all examples, the threshold samples among them with the label of the made-up class."""
    root, count, made_up = job_key(program.spec.seed, JobDraw.THRESHOLD_SAMPLES), len(train.labels), program.context
    samples = draw_threshold_samples(root, row.run, count, made_up)
    labels = jnp.where(samples, made_up, train.labels)
    return MemberConfig(run_key(root, row.run), jnp.ones(count, bool), hparams_of(program, row.setting), labels)


def make_threshold_workload(dataset: Dataset, spec: MislabelledSpec) -> Workload:
    """The workload of ``--threshold_samples`` models, with a store of its own.

    Raises:
      UserError: if there are fewer examples than classes and one, or the network does not suit the data.
    """
    count, num_classes = len(dataset.labels), dataset.num_classes
    if count <= num_classes:
        raise UserError(
            f"--threshold_samples={spec.search.threshold_samples}: takes 1 of {num_classes + 1} examples, and there "
            f"are {count}; leave it out, or give more examples"
        )
    extended = dataclasses.replace(
        dataset, class_names=(*dataset.class_names, MADE_UP), test_images=None, test_labels=None, test_ids=None
    )
    # These models are of no use once they are measured.
    unsaved = dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, save_models=False))
    [program] = make_programs(unsaved, make_member=make_threshold_member)
    program = program._replace(context=num_classes, track=TRACK)
    check_program(extended, program)
    flags = {}
    for part in (spec.model, spec.train, spec.regularization, spec.augmentation, spec.stopping, spec.compute):
        flags |= flag_values(part)
    num_validation = int(np.float32(count) * np.float32(spec.stopping.validation_share))
    epochs = spec.train.epochs
    return make_workload(
        extended,
        [program],
        lambda program: {RUN_GROUP: RunGroup(functools.partial(make_rows, program), count - num_validation)},
        identity=make_identity(
            typed_flags(flags),
            spec.seed,
            experiment="mislabelled",
            the_data=describe_data(extended),
            the_labels=MADE_UP,
        ),
        num_runs=spec.search.threshold_samples,
        run_bytes=3 * count // 8 + 4 * epochs + 200 + tracked_bytes(TRACK, extended, epochs),
        describe=functools.partial(describe_models, num_classes, count, spec.search.threshold_samples),
        out=spec.out,
        store="threshold_samples",
    )


def describe_models(num_classes: int, count: int, num_models: int, program: Program, parameters: int) -> str:
    """One line about the models with threshold samples."""
    del program
    return (
        f"threshold samples: {count_of(num_models, 'model')} with {num_classes + 1} outputs and {parameters:,} "
        f"parameters on all {count:,} examples, about {count / (num_classes + 1):.0f} of each with the label of a "
        "made-up class"
    )


def read_margins(num_examples: int, store: Store, program: Program, parameters: int) -> Iterator[Margins]:
    """Yields the margins of all models in a store."""
    del program, parameters
    for arrays in store.runs(RUN_GROUP, tracked=True):
        trained = unpack(Outcome.from_arrays(arrays), num_examples).trained
        for member in zip(arrays["run"].tolist(), arrays[f"{TRACKED}margin"], trained, strict=True):
            yield Margins(*member)


def flag_by_threshold_samples(dataset: Dataset, spec: MislabelledSpec, session: Session) -> ThresholdSamples | None:
    """Trains the missing models with threshold samples, and flags examples; None without ``--threshold_samples``.

    Raises:
      UserError: as `make_threshold_workload` raises, and if all models diverged.
    """
    if not spec.search.threshold_samples:
        return None
    count = len(dataset.labels)
    members = measure_workload(make_threshold_workload(dataset, spec), session, functools.partial(read_margins, count))
    measured = sorted(members.measured, key=lambda member: member.run)
    trained = np.stack([member.trained for member in measured])
    if not trained.any():
        raise Diverged(
            f"--threshold_samples={spec.search.threshold_samples}: {all_of(len(measured), 'model')} diverged; lower "
            "--learning_rate or give --clip_norm, with another --out"
        )
    with fixed_settings():
        root, runs = job_key(spec.seed, JobDraw.THRESHOLD_SAMPLES), jnp.arange(len(measured))
        draw = jax.jit(lambda run: draw_threshold_samples(root, run, count, dataset.num_classes))
        samples = np.stack([np.asarray(draw(run)) for run in runs])
    found = flag_examples(np.stack([member.margins for member in measured]), trained, samples)
    return ThresholdSamples(found, members.widths, members.models_now, members.seconds_now)


def describe_flagged(found: Flagged) -> str:
    """One sentence about the flagged examples, the threshold and its spread over models."""
    finite = np.isfinite(found.thresholds)
    alone = found.by_model[finite]
    diverged = f", {(~finite).sum()} diverged" if not finite.all() else ""
    spread = f" ± {found.thresholds[finite].std(ddof=1):.3g}" if finite.sum() > 1 else ""
    judged, models = int((found.counts > 0).sum()), count_of(int(finite.sum()), "model")
    return (
        f"flagged by threshold samples: {found.flagged.sum():,} of {judged:,} examples, those whose AUM is at most "
        f"{found.threshold:.3g}{spread}, the 99th percentile of the AUM of examples with the label of a made-up class "
        f"(mean ± sd over n = {models}{diverged}; one model alone flags {alone.min():,} to "
        f"{alone.max():,}). This is the rule of Pleiss et al. 2020, with margins of all epochs; it flags right labels "
        "of rare and ambiguous examples too"
    )
