"""Label-noise rebalancing in two stages, beside its controls and baselines under identical settings of stage 2.

S. Hu et al., ICML 2025 (PMLR 267:24535), on the two stages of Z. Zhong et al., CVPR 2021 (MiSLAS). Stage 1 trains
networks, with mixup and without. Stage 2 freezes what they found: classifiers are trained on features that are computed
once, without augmentation, thousands side by side; the probabilities that labels are flipped by come of the same
features, in one pass. Or, as its authors do it, on features of augmented images, with probabilities that are means of
two passes over class-balanced batches of these (``--stage2=augmented``). Thresholds are chosen on examples that no
model is trained on.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.experiments.longtail.features import Found, look
from jaxgen.experiments.longtail.job import RUN_GROUP, Job, describe_tail, make_first_workload
from jaxgen.experiments.longtail.measure import Measured, choose_threshold, measure_heads, measure_stage1
from jaxgen.experiments.longtail.passes import look_in_passes
from jaxgen.experiments.longtail.rounds import METHOD, run_rounds
from jaxgen.experiments.longtail.stage2 import flip_key, make_heads, make_second_workload, make_stage2
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.jobs.run import Members, measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import to_table
from jaxgen.runs.saved_models import load_model
from jaxgen.runs.store import Store
from jaxgen.transforms.lnr import expected_flips, flip_rates, lnr_flip, standardize


class Flip(NamedTuple):
    """A label that was flipped: in which run, whose, from what to what, and how it came to it."""

    run: int
    id: Any
    old: int
    new: int
    z: float
    rate: float


class Results(NamedTuple):
    """What a job found.

    Attributes:
      measured: of every classifier: stage 1's as they are, then stage 2's by setting and run.
      chosen: by method that flips, the threshold that does best on the selection examples.
      flips: those of the chosen threshold.
      expected: mean over runs of the labels expected to be flipped at each threshold, by threshold.
      first, second: how both stages were trained.
      rounds: with several rounds of flips, lnr's classifiers of each, from the first.
    """

    measured: list[Measured]
    chosen: dict[str, float]
    flips: list[Flip]
    expected: dict[float, float]
    first: Members
    second: Members
    rounds: list[list[Measured]]


def train_first(job: Job, session: Session) -> tuple[Members, Found]:
    """Trains what is missing of stage 1, and shows its models all examples."""
    session.tell(describe_tail(job))
    data = job.tail.dataset
    members = measure_workload(make_first_workload(job), session, read_finite)
    folder, kinds = model_folder(data, job.program), len(job.kinds)
    numbers = [run * kinds + kind for kind in range(kinds) for run in range(job.spec.num_runs)]
    finite = {int(number): bool(one) for number, one in members.measured}
    models = [load_model(folder.path(RUN_GROUP, number)) for number in numbers]
    found = look(models, job.tail, np.array([finite[number] for number in numbers]))
    if job.spec.head.stage2 == "augmented":
        base = slice(job.base * job.spec.num_runs, (job.base + 1) * job.spec.num_runs)
        found.probabilities[base] = look_in_passes(models[base], data, job.spec)
    return members, found


def read_finite(store: Store, program: Program, parameters: int) -> Iterator[tuple[int, bool]]:
    """The number of each run of stage 1, and whether it stayed finite."""
    for arrays in store.runs(RUN_GROUP):
        yield from zip(arrays["run"], arrays["finite"], strict=True)


def measure_one(job: Job, session: Session) -> Results:
    """Trains what is missing of both stages, and measures all classifiers.

    Args:
      job: what to train.
      session: how to resume, and where lines go.
    """
    with jax.enable_x64(False):
        return measure_stages(job, *train_first(job, session), session)


def measure_stages(job: Job, first: Members, found: Found, session: Session) -> Results:
    """Trains and measures what comes after stage 1."""
    measured, second, heads = measure_stage1(job, found), Members([]), make_heads(job)
    expected, rounds = expect_all(job, found), []
    if heads:
        dataset, programs = make_stage2(job, found)
        describe = functools.partial(describe_second, job)
        workload = make_second_workload(job, dataset, programs, found.train.shape[-1], describe)
        second = measure_workload(workload, session, functools.partial(measure_heads, job))
        if job.spec.flips.flip_rounds > 1:
            first_round = [one for one in second.measured if one.row["method"] == METHOD]
            rounds = [first_round, *run_rounds(job, found, (programs[0], workload.open_store()), session)]
    by_place = {(one.row["method"], one.row["threshold"], one.row["run"]): one for one in second.measured}
    places = [(head.method, head.threshold if np.isfinite(head.threshold) else "") for head in heads]
    measured += [by_place[(*place, run)] for place in places for run in range(job.spec.num_runs)]
    refuse_all_diverged([one.row for one in measured])
    chosen = {name: choose_threshold(measured, name) for name in ("lnr", "random_flips")}
    chosen = {name: threshold for name, threshold in chosen.items() if threshold is not None}
    # The control flips as many labels: it is shown at the threshold that is chosen for what it controls.
    if "lnr" in chosen and "random_flips" in chosen:
        chosen["random_flips"] = chosen["lnr"]
    flips = list(list_flips(job, found, chosen["lnr"])) if "lnr" in chosen else []
    return Results(measured, chosen, flips, expected, first, second, rounds)


def describe_second(job: Job, program: Program, parameters: int) -> str:
    """One line about stage 2."""
    how = "once" if job.spec.head.stage2 == "cached" else "anew of augmented images"
    how += ", with shifted batch norm" if job.spec.head.shift_bn else ""
    return (
        f"stage 2, on features computed {how}: {len(program.settings)} settings of a classifier with {parameters:,} "
        f"parameters, runs of each: {job.spec.num_runs}"
    )


def expect_flips(job: Job, session: Session) -> dict[float, float]:
    """How many labels each threshold is expected to flip, mean over runs; trains what is missing of stage 1."""
    with jax.enable_x64(False):
        return expect_all(job, train_first(job, session)[1])


def expect_all(job: Job, found: Found) -> dict[float, float]:
    """By threshold, how many labels are expected to be flipped before any draw: the mean over runs that stayed finite.

    Args:
      job: of whose labels.
      found: what stage 1 found.
    """
    labels, base = jnp.asarray(job.tail.dataset.labels), job.of_base(found)
    if not base.finite.any():
        return dict.fromkeys(job.spec.flips.threshold, float("nan"))

    def count(z: jax.Array, threshold: jax.Array) -> jax.Array:
        return jnp.sum(expected_flips(flip_rates(z, labels, threshold=threshold), labels))

    z = jax.vmap(standardize, (0, None))(jnp.asarray(base.probabilities[base.finite]), labels)
    thresholds = jnp.asarray(job.spec.flips.threshold, jnp.float32)
    counts = jax.vmap(lambda one: jax.lax.map(lambda at: count(one, at), thresholds))(z).mean(0)
    return dict(zip(job.spec.flips.threshold, np.asarray(counts).tolist(), strict=True))


def describe_plan(job: Job, session: Session) -> str:
    """What stage 1 would train, how, and how long that would take; stage 2 takes seconds."""
    session.tell(describe_tail(job))
    return describe_workload(make_first_workload(job), session)


def what_if_table(job: Job, expected: dict[float, float]) -> str:
    """How many labels each threshold is expected to flip."""
    count = len(job.tail.dataset.labels)
    lines = [[f"{one:g}", f"{flips:.1f}", f"{100 * flips / count:.2f}"] for one, flips in expected.items()]
    return to_table(["t", "flips expected, mean over runs", "percent of the labels"], lines)


def list_flips(job: Job, found: Found, threshold: float) -> Iterator[Flip]:
    """Who is flipped at a threshold, in every run."""
    data, root, base = job.tail.dataset, jax.random.key(job.spec.seed), job.of_base(found)
    for run in np.flatnonzero(base.finite).tolist():
        key, probabilities = flip_key(root, run), jnp.asarray(base.probabilities[run])
        flips = jax.tree.map(np.asarray, lnr_flip(key, probabilities, jnp.asarray(data.labels), threshold=threshold))
        for i in np.flatnonzero(flips.changed):
            new = int(flips.labels[i])
            yield Flip(run, data.ids[i], int(data.labels[i]), new, float(flips.z[i, new]), float(flips.rates[i, new]))
