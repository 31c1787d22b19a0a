"""Two-stage label-noise rebalancing, compared with controls and baselines under identical stage-2 settings.

S. Hu et al., ICML 2025 (PMLR 267:24535), on the two stages of Z. Zhong et al., CVPR 2021 (MiSLAS). Stage 1 trains
networks, with and without mixup. Stage 2 freezes them and retrains classifiers on cached features without augmentation;
the probabilities for flips come from the same features. With ``--stage2=augmented``, as in the authors' code, features
are those of augmented images, and probabilities are means over two passes of class-balanced batches. Thresholds are
chosen on held-out selection examples.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.experiments.longtail.features import Stage1Outputs, compute_outputs
from jaxgen.experiments.longtail.job import (
    LongTailJob,
    describe_tail,
    load_models,
    make_stage1_workload,
    run_group_name,
)
from jaxgen.experiments.longtail.measure import ClassifierResult, choose_threshold, measure_classifiers, measure_stage1
from jaxgen.experiments.longtail.passes import augmented_probabilities
from jaxgen.experiments.longtail.rounds import METHOD, run_rounds
from jaxgen.experiments.longtail.stage2 import flip_key, make_heads, make_stage2, make_stage2_workload
from jaxgen.experiments.longtail.tau import TAUS, choose_tau, measure_taus
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.run import Members, measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import to_table
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.store import Store
from jaxgen.transforms.lnr import expected_flips, flip_rates, lnr_flip, standardize
from jaxgen.wording import count_of


class Flip(NamedTuple):
    """A flipped label: run, id of the example, old and new class, its z-score and flip rate."""

    run: int
    id: Any
    old: int
    new: int
    z: float
    rate: float


class LongTailResults(NamedTuple):
    """Results of a long-tail job.

    Attributes:
      measured: results of every classifier: stage 1's, then stage 2's by setting and run.
      chosen: the threshold chosen on the selection examples, by method that flips labels.
      flips: labels flipped at lnr's chosen threshold.
      expected: expected number of flips by threshold, mean over runs.
      stage1, stage2: the trained members of each stage.
      rounds: lnr's results by round, if there are several rounds of flips.
      by_tau: results of tau_normalization by tau, if that is a method.
      tau: the chosen one, whose results are among `measured`; None if all runs diverged.
    """

    measured: list[ClassifierResult]
    chosen: dict[str, float]
    flips: list[Flip]
    expected: dict[float, float]
    stage1: Members
    stage2: Members
    rounds: list[list[ClassifierResult]]
    by_tau: dict[float, list[ClassifierResult]]
    tau: float | None


def train_stage1(job: LongTailJob, session: Session) -> tuple[Members, Stage1Outputs]:
    """Trains the missing runs of stage 1 and computes the outputs of its models on all examples."""
    session.tell(describe_tail(job))
    data = job.tail.dataset
    members = measure_workload(make_stage1_workload(job), session, read_finite)
    finite = {(kind, run): is_finite for kind, run, is_finite in members.measured}
    models = [model for kind in job.kinds for model in load_models(job, kind)]
    in_order = [finite[kind, run] for kind in job.kinds for run in range(job.spec.num_runs)]
    outputs = compute_outputs(models, job.tail, np.array(in_order))
    if job.spec.head.stage2 == "augmented":
        base = slice(job.base * job.spec.num_runs, (job.base + 1) * job.spec.num_runs)
        outputs.probabilities[base] = augmented_probabilities(models[base], data, job.spec)
    return members, outputs


def read_finite(store: Store, program: Program, parameters: int) -> Iterator[tuple[str, int, bool]]:
    """Yields setting and run of each stage-1 model, and whether it stayed finite."""
    for arrays in store.runs(run_group_name(program)):
        for run, setting, values in split_runs(program, arrays):
            yield program.settings[setting].name, run, bool(values["finite"])


def measure_job(job: LongTailJob, session: Session) -> LongTailResults:
    """Trains the missing runs of both stages and evaluates all classifiers.

    Args:
      job: the job.
      session: how to resume, and where to log.
    """
    with fixed_settings():
        return measure_stages(job, *train_stage1(job, session), session)


def measure_stages(job: LongTailJob, stage1: Members, outputs: Stage1Outputs, session: Session) -> LongTailResults:
    """Trains stage 2 and evaluates the classifiers of both stages."""
    measured, stage2, heads = measure_stage1(job, outputs), Members([]), make_heads(job)
    expected, rounds = expected_by_threshold(job, outputs), []
    by_tau = measure_taus(job, outputs)
    tau = choose_tau(by_tau)
    if heads:
        dataset, programs = make_stage2(job, outputs)
        describe = functools.partial(describe_stage2_program, job)
        workload = make_stage2_workload(job, dataset, programs, outputs.train.shape[-1], describe)
        stage2 = measure_workload(workload, session, functools.partial(measure_classifiers, job))
        if job.spec.flips.flip_rounds > 1:
            first_round = [result for result in stage2.measured if result.row["method"] == METHOD]
            rounds = [first_round, *run_rounds(job, outputs, (programs[0], workload.open_store()), session)]
    columns = ("method", "threshold", "run")
    by_key = {tuple(result.row[name] for name in columns): result for result in stage2.measured}
    # Of diverged networks any has the rows.
    measured += by_tau.get(TAUS[0] if tau is None else tau, [])
    keys = [(head.method, head.threshold if np.isfinite(head.threshold) else "") for head in heads]
    measured += [by_key[(*key, run)] for key in keys for run in range(job.spec.num_runs)]
    refuse_all_diverged([result.row for result in measured], "result")
    chosen = {name: choose_threshold(measured, name) for name in ("lnr", "random_flips")}
    chosen = {name: threshold for name, threshold in chosen.items() if threshold is not None}
    # The random control flips as many labels as lnr, so it is compared at lnr's threshold.
    if "lnr" in chosen and "random_flips" in chosen:
        chosen["random_flips"] = chosen["lnr"]
    flips = list(flips_at(job, outputs, chosen["lnr"])) if "lnr" in chosen else []
    return LongTailResults(measured, chosen, flips, expected, stage1, stage2, rounds, by_tau, tau)


def describe_stage2_program(job: LongTailJob, program: Program, parameters: int) -> str:
    """One line describing stage 2."""
    how = "once" if job.spec.head.stage2 == "cached" else "anew of augmented images"
    how += ", with shifted batch norm" if job.spec.head.shift_bn else ""
    return (
        f"stage 2, on features computed {how}: {count_of(len(program.settings), 'setting')} of a classifier with "
        f"{parameters:,} parameters, runs of each: {job.spec.num_runs}"
    )


def expect_flips(job: LongTailJob, session: Session) -> dict[float, float]:
    """Expected number of flips by threshold, mean over runs; trains the missing runs of stage 1."""
    with fixed_settings():
        return expected_by_threshold(job, train_stage1(job, session)[1])


def expected_by_threshold(job: LongTailJob, outputs: Stage1Outputs) -> dict[float, float]:
    """Expected number of flips by threshold, mean over the runs that stayed finite; NaN if none did.

    Args:
      job: the job.
      outputs: outputs of stage 1.
    """
    labels, base = jnp.asarray(job.tail.dataset.labels), job.base_outputs(outputs)
    if not base.finite.any():
        return dict.fromkeys(job.spec.flips.threshold, float("nan"))

    def count(z: jax.Array, threshold: jax.Array) -> jax.Array:
        return jnp.sum(expected_flips(flip_rates(z, labels, threshold=threshold), labels))

    z = jax.vmap(standardize, (0, None))(jnp.asarray(base.probabilities[base.finite]), labels)
    thresholds = jnp.asarray(job.spec.flips.threshold, jnp.float32)
    counts = jax.vmap(lambda z_run: jax.lax.map(lambda threshold: count(z_run, threshold), thresholds))(z).mean(0)
    return dict(zip(job.spec.flips.threshold, np.asarray(counts).tolist(), strict=True))


def describe_plan(job: LongTailJob, session: Session) -> str:
    """Describes what stage 1 would train, how, and how long that would take; stage 2 takes seconds."""
    session.tell(describe_tail(job))
    return describe_workload(make_stage1_workload(job), session)


def what_if_table(job: LongTailJob, expected: dict[float, float]) -> str:
    """The table of the expected number of flips by threshold."""
    count = len(job.tail.dataset.labels)
    lines = [[f"{threshold:g}", f"{flips:.1f}", f"{100 * flips / count:.2f}"] for threshold, flips in expected.items()]
    return to_table(["t", "flips expected, mean over runs", "percent of the labels"], lines)


def flips_at(job: LongTailJob, outputs: Stage1Outputs, threshold: float) -> Iterator[Flip]:
    """Yields the labels flipped at a threshold in every run that stayed finite."""
    data, root, base = job.tail.dataset, jax.random.key(job.spec.seed), job.base_outputs(outputs)
    for run in np.flatnonzero(base.finite).tolist():
        key, probabilities = flip_key(root, run), jnp.asarray(base.probabilities[run])
        flips = jax.tree.map(np.asarray, lnr_flip(key, probabilities, jnp.asarray(data.labels), threshold=threshold))
        for i in np.flatnonzero(flips.changed):
            new = int(flips.labels[i])
            yield Flip(run, data.ids[i], int(data.labels[i]), new, float(flips.z[i, new]), float(flips.rates[i, new]))
