"""Iterated label-noise rebalancing: each round flips labels again by the predictions of the previous round.

Round 1 is the published method; whether one round is enough is left open there. Each further round takes probabilities
and class sizes from the classifier and labels of the previous round at the same threshold and run, with new draws. As
in round 1, classifiers start from stage 1's.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.experiments.longtail.features import Stage1Outputs
from jaxgen.experiments.longtail.job import RUN_GROUP, LongTailJob
from jaxgen.experiments.longtail.measure import (
    ClassifierResult,
    by_run,
    choose_threshold,
    logits_of,
    measure_classifiers,
    results_at,
)
from jaxgen.experiments.longtail.stage2 import Head, Stage2, flip_key, make_stage2, make_stage2_workload
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.run import measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import describe_n, describe_percent, means_of, to_table
from jaxgen.runs.store import Store
from jaxgen.scores.paired import compare, describe_difference, describe_p, subtract
from jaxgen.transforms.lnr import lnr_flip
from jaxgen.wording import count_of

METHOD, MEASURE = "lnr", "balanced_accuracy"


def flip_again(
    root: jax.Array, number: int, probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Flips the labels of all settings and runs for round `number`: ints ``[s, runs, n]``.

    Args:
      root: the job's key.
      number: number of the round, from 2.
      probabilities: predictions of the previous round's classifiers, ``[s, runs, n, c]``.
      labels: training labels of the previous round, ints ``[s, runs, n]``.
      thresholds: thresholds of the settings, ``[s]``.
    """

    def flip(index: tuple[jax.Array, ...]) -> jax.Array:
        setting, run = index
        key = flip_key(root, run, number)
        flips = lnr_flip(key, probabilities[setting, run], labels[setting, run], threshold=thresholds[setting])
        return flips.labels

    probabilities, labels, thresholds = map(jnp.asarray, (probabilities, labels, thresholds))
    settings, runs = labels.shape[:2]
    indices = jnp.divmod(jnp.arange(settings * runs), runs)
    return np.asarray(jax.lax.map(flip, indices)).reshape(labels.shape)


def classifiers_of(program: Program, store: Store, settings: int, runs: int) -> list[list[np.ndarray]]:
    """The flat variables of a program's stored classifiers, by setting and run."""
    params: list[list[Any]] = [[None] * runs for _ in range(settings)]
    for arrays in store.runs(RUN_GROUP):
        for run, setting, values in split_runs(program, arrays):
            params[setting][run] = values["params"]
    return params


def predict_train(stage2: Stage2, params: list[list[np.ndarray]]) -> np.ndarray:
    """Class probabilities of the training examples ``[s, runs, n, c]``, by flat variables by setting and run."""

    def predict(run: int, flat: np.ndarray) -> np.ndarray:
        return np.asarray(jax.nn.softmax(logits_of(stage2.split(flat), stage2.outputs.train[run])))

    return np.stack([np.stack([predict(run, flat) for run, flat in enumerate(run_params)]) for run_params in params])


def run_rounds(
    job: LongTailJob,
    outputs: Stage1Outputs,
    first: tuple[Program, Store],
    session: Session,
) -> list[list[ClassifierResult]]:
    """Trains the missing runs of the rounds after the first; returns the results of each round.

    Args:
      job: a job with ``--flip_rounds``.
      outputs: outputs of stage 1.
      first: the program of round 1 and its store.
      session: how to resume, and where to log.
    """
    program, store = first
    stage2 = program.context
    heads = [Head(METHOD, threshold) for threshold in job.spec.flips.threshold]
    indices, runs = [stage2.heads.index(head) for head in heads], job.spec.num_runs
    params = classifiers_of(program, store, len(stage2.heads), runs)
    params, labels = [params[index] for index in indices], stage2.labels[indices]
    thresholds, rounds = np.array([head.threshold for head in heads], np.float32), []
    for number in range(2, job.spec.flips.flip_rounds + 1):
        probabilities = predict_train(stage2, params)
        labels = flip_again(jax.random.key(job.spec.seed), number, probabilities, labels, thresholds)
        dataset, [program] = make_stage2(job, outputs, heads, labels)
        describe = functools.partial(describe_round, number)
        workload = make_stage2_workload(job, dataset, [program], outputs.train.shape[-1], describe, number)
        members = measure_workload(workload, session, functools.partial(measure_classifiers, job))
        rounds.append(sorted(members.measured, key=lambda result: (heads.index(head_of(result)), result.row["run"])))
        params = classifiers_of(program, workload.open_store(), len(heads), runs)
    return rounds


def describe_round(number: int, program: Program, parameters: int) -> str:
    """One line describing a round."""
    return f"round {number} of flips: {count_of(len(program.settings), 'threshold')}"


def head_of(result: ClassifierResult) -> Head:
    """Method and threshold of a result."""
    return Head(result.row["method"], result.row["threshold"])


def round_rows(rounds: list[list[ClassifierResult]]) -> list[dict[str, Any]]:
    """One dictionary per round: results at its chosen threshold, and the difference from round 1 at its own."""
    rows: list[dict[str, Any]] = []
    baseline: dict[int, float] = {}
    for number, results in enumerate(rounds, 1):
        threshold = choose_threshold(results, METHOD)
        if threshold is None:
            continue
        chosen = results_at(results, METHOD, threshold)
        finite = [result.row for result in chosen if result.row["finite"]]
        row: dict[str, Any] = {"round": number, "threshold": threshold, "n": len(finite)}
        row["diverged"] = len(chosen) - len(finite)
        row |= means_of(finite, ("selection_accuracy", MEASURE, "few_accuracy", "flips"))
        accuracies = by_run(chosen, MEASURE)
        baseline = baseline or accuracies
        row["difference"] = compare(subtract(accuracies, baseline)) if accuracies is not baseline else compare([])
        rows.append(row)
    return rows


def round_table(rows: list[dict[str, Any]]) -> str:
    """The table of rounds, one line each; accuracies in percent."""
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
