"""Label-noise rebalancing in rounds: labels flipped again by what the classifiers of the round before make of them.

An open question of the source: are one round's flips enough? Round 1 is the method itself. In each further round the
probabilities are those of the classifier that the round before trained at the same threshold and run, the classes'
sizes those of its labels, and the draws new; classifiers begin with stage 1's, as in round 1.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.experiments.longtail.features import Found
from jaxgen.experiments.longtail.job import RUN_GROUP, Job
from jaxgen.experiments.longtail.measure import Measured, by_run, choose_threshold, logits_of, measure_heads, members_at
from jaxgen.experiments.longtail.stage2 import Head, Stage2, flip_key, make_second_workload, make_stage2
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.run import measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import describe_n, describe_percent, means_of, to_table
from jaxgen.runs.store import Store
from jaxgen.scores.paired import compare, describe_difference, describe_p, subtract
from jaxgen.transforms.lnr import lnr_flip

METHOD, MEASURE = "lnr", "balanced_accuracy"


def flip_again(
    root: jax.Array, number: int, probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """The labels of round `number`, from 2, of all settings and runs.

    Args:
      root: the job's key.
      number: of the round.
      probabilities: of the round before's classifiers, ``[s, runs, n, c]``.
      labels: that they were trained with, ints ``[s, runs, n]``.
      thresholds: of the settings, ``[s]``.
    """

    def flip(place: tuple[jax.Array, ...]) -> jax.Array:
        setting, run = place
        key = flip_key(root, run, number)
        found = lnr_flip(key, probabilities[setting, run], labels[setting, run], threshold=thresholds[setting])
        return found.labels

    probabilities, labels, thresholds = map(jnp.asarray, (probabilities, labels, thresholds))
    settings, runs = labels.shape[:2]
    places = jnp.divmod(jnp.arange(settings * runs), runs)
    return np.asarray(jax.lax.map(flip, places)).reshape(labels.shape)


def classifiers_of(program: Program, store: Store, settings: int, runs: int) -> list[list[np.ndarray]]:
    """The variables of a program's classifiers, a row each as the store has them, by setting and run."""
    kept: list[list[Any]] = [[None] * runs for _ in range(settings)]
    for arrays in store.runs(RUN_GROUP):
        for run, setting, own in split_runs(program, arrays):
            kept[setting][run] = own["params"]
    return kept


def predict_again(stage2: Stage2, params: list[list[np.ndarray]]) -> np.ndarray:
    """Probabilities ``[s, runs, n, c]`` of the training examples by classifiers, by setting and run."""

    def predict(run: int, row: np.ndarray) -> np.ndarray:
        return np.asarray(jax.nn.softmax(logits_of(stage2.split(row), stage2.found.train[run])))

    return np.stack([np.stack([predict(run, row) for run, row in enumerate(of_runs)]) for of_runs in params])


def run_rounds(
    job: Job,
    found: Found,
    first: tuple[Program, Store],
    session: Session,
) -> list[list[Measured]]:
    """Trains what is missing of the rounds after the first; returns each one's classifiers.

    Args:
      job: with ``--flip_rounds``.
      found: what stage 1 found.
      first: the program of round 1 and its store.
      session: how to resume, and where lines go.
    """
    program, store = first
    stage2 = program.context
    heads = [Head(METHOD, threshold) for threshold in job.spec.flips.threshold]
    places, runs = [stage2.heads.index(head) for head in heads], job.spec.num_runs
    params = classifiers_of(program, store, len(stage2.heads), runs)
    params, labels = [params[place] for place in places], stage2.labels[places]
    thresholds, rounds = np.array([head.threshold for head in heads], np.float32), []
    for number in range(2, job.spec.flips.flip_rounds + 1):
        probabilities = predict_again(stage2, params)
        labels = flip_again(jax.random.key(job.spec.seed), number, probabilities, labels, thresholds)
        dataset, [program] = make_stage2(job, found, heads, labels)
        describe = functools.partial(describe_round, number)
        workload = make_second_workload(job, dataset, [program], found.train.shape[-1], describe, number)
        members = measure_workload(workload, session, functools.partial(measure_heads, job))
        rounds.append(sorted(members.measured, key=lambda one: (heads.index(Head(*head_of(one))), one.row["run"])))
        params = classifiers_of(program, workload.open_store(), len(heads), runs)
    return rounds


def describe_round(number: int, program: Program, parameters: int) -> str:
    """One line about a round."""
    return f"round {number} of flips: {len(program.settings)} thresholds"


def head_of(one: Measured) -> tuple[str, float]:
    """Method and threshold."""
    return one.row["method"], one.row["threshold"]


def round_rows(rounds: list[list[Measured]]) -> list[dict[str, Any]]:
    """One dictionary a round, from the first: what its classifiers do at the threshold that does best on the selection
    examples, and against round 1 at its own."""
    rows: list[dict[str, Any]] = []
    before: dict[int, float] = {}
    for number, measured in enumerate(rounds, 1):
        threshold = choose_threshold(measured, METHOD)
        if threshold is None:
            continue
        members = members_at(measured, METHOD, threshold)
        seen = [one.row for one in members if one.row["finite"]]
        told: dict[str, Any] = {"round": number, "threshold": threshold, "n": len(seen)}
        told["diverged"] = len(members) - len(seen)
        told |= means_of(seen, ("selection_accuracy", MEASURE, "few_accuracy", "flips"))
        own = by_run(members, MEASURE)
        before = before or own
        told["difference"] = compare(subtract(own, before)) if own is not before else compare([])
        rows.append(told)
    return rows


def round_table(rows: list[dict[str, Any]]) -> str:
    """A line a round; accuracies in percent."""
    lines = [
        [
            f"{row['round']}",
            f"{row['threshold']:g}",
            f"{row['flips']:.1f}",
            *(describe_percent(row, name) for name in ("selection_accuracy", MEASURE, "few_accuracy")),
            describe_difference(row["difference"]),
            describe_p(row["difference"]),
            describe_n(row),
        ]
        for row in rows
    ]
    header = ["round", "t", "labels changed in all", "selection", "test", "few", "test - round 1", "p", "n"]
    return to_table(header, lines)
