"""The league of scores: known noise is put into the labels, and every score is judged by how it finds it."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import MislabelledSpec, SubsetSpec
from jaxgen.config.mislabelled import read_injection
from jaxgen.errors import UserError
from jaxgen.experiments.mislabelled import baselines as baselines
from jaxgen.experiments.mislabelled.injection import Noise, inject, load_noise
from jaxgen.experiments.mislabelled.search import check_search, columns, rank_examples, train_scores
from jaxgen.jobs.compilation_cache import shared_compilations
from jaxgen.jobs.session import QUIET, Session
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.runs.devices import start_devices
from jaxgen.scores.registry import REGISTRY
from jaxgen.scores.suspicion import detect, suspicion
from jaxgen.types import Dataset, Scores

REPEATS = 3
# Five-fold out-of-sample probabilities are one block of balanced subsets, each holding out another fifth.
FOLDS, FOLD_RATIO = 5, 0.8
FIVE_FOLD, SAME_PROBABILITIES = "cleanlab, 5-fold", "cleanlab, pred_probs"
DATA_OOB = "Data-OOB"


class Benchmark(NamedTuple):
    """What a league found.

    Attributes:
      rows: one dictionary for each noise, repeat and score: how well it found the wrong labels.
      estimates: one for each noise and repeat: how many labels are wrong, and how many were estimated to be.
      dataset: without the noise.
      models: how many were trained for one noise and repeat.
      missing: lines about rivals that were left out.
      width: members in a program, as found for the first job.
    """

    rows: list[dict[str, Any]]
    estimates: list[dict[str, Any]]
    dataset: Dataset
    models: int
    missing: list[str]
    width: int | None


def run_benchmark(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Benchmark:
    """Trains what is missing of every noise and repeat, in folders of their own below ``spec.out``.

    Args:
      dataset: the examples.
      spec: with noise to inject.
      session: how to resume, and where lines go.

    Raises:
      UserError: for noise that does not suit the data, and for what `score_settings` refuses.
    """
    check_search(spec)
    noises = [load_noise(read_injection(text), dataset.num_classes) for text in spec.search.inject]
    # Drawing the noise would start JAX, and not on the devices that training wants.
    start_devices(spec.compute.num_devices, dataset.images.nbytes)
    repeats = range(spec.search.repeats or REPEATS)
    missing, rows, estimates, models = baselines.describe_missing(dataset), [], [], 0
    unfinished: list[UserError] = []
    for line in missing:
        session.tell(line)
    with shared_compilations():
        for noise, repeat in itertools.product(noises, repeats):
            own = own_spec(spec, noise, repeat)
            noisy, wrong = inject(dataset, noise, spec.seed, repeat)
            head = {"noise": noise.injection.text, "repeat": repeat, "wrong": int(wrong.sum()), "n": len(wrong)}
            place = f"{head['noise']}, repeat {repeat + 1} of {len(repeats)}"
            session.tell(f"{place}: {head['wrong']:,} of {head['n']:,} labels changed")
            before, scores = len(unfinished), None
            with collect_errors(unfinished):
                scores = train_scores(noisy, own, session)
                # Widths are timed once: what is found for the first job is right for those like it.
                spec = with_width(spec, scores.metadata["width"])
                own = with_width(own, scores.metadata["width"])
            with collect_errors(unfinished):
                folds = five_fold(noisy, own, session)
            if scores is None or len(unfinished) > before:
                continue
            models = scores.metadata["num_models"]
            rows += [{**head, **judged} for judged in judge_all(noisy, scores, folds, wrong, own.seed)]
            estimates.append({**head, **estimate_counts(scores, folds, own)})
    raise_collected(unfinished)
    return Benchmark(rows, estimates, dataset, models, missing, spec.compute.width)


def own_spec(spec: MislabelledSpec, noise: Noise, repeat: int) -> MislabelledSpec:
    """Of one noise and repeat: a seed and a folder of its own."""
    folder = noise.injection.text.replace(":", "_").replace("/", "_")
    return dataclasses.replace(
        spec, seed=(spec.seed + repeat) % 2**32, out=str(pathlib.Path(spec.out) / folder / f"repeat_{repeat}")
    )


def with_width(spec: MislabelledSpec, width: int) -> MislabelledSpec:
    """The spec with `--width` set."""
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, width=width))


def five_fold(dataset: Dataset, spec: MislabelledSpec, session: Session) -> np.ndarray | None:
    """Probabilities ``[n, c]`` of five models, each of a fifth of the examples that it did not train on.

    Where the job itself has balanced subsets of four fifths, they are its first block, and nothing is trained.
    """
    own = spec.subsets
    subsets = SubsetSpec(subset_ratios=(FOLD_RATIO,), num_runs=FOLDS, design="balanced")
    if own.design != "balanced":
        spec = dataclasses.replace(spec, out=str(pathlib.Path(spec.out) / "folds"))
    elif FOLD_RATIO in own.subset_ratios and own.num_runs >= FOLDS:
        session = session._replace(log=None)
    scores = train_scores(dataset, dataclasses.replace(spec, subsets=subsets), session)
    return probabilities(scores)


def probabilities(scores: Scores) -> np.ndarray | None:
    """Held-out probabilities ``[n, c]``, as exact as they are known, if they were kept."""
    if not {"pred_probs", "soft_score"} <= scores.more.keys():
        return None
    return baselines.sharpen(scores.more["pred_probs"], scores.more["soft_score"], scores.labels)


def judge_all(
    dataset: Dataset, scores: Scores, folds: np.ndarray | None, wrong: np.ndarray, seed: int
) -> Iterator[dict[str, Any]]:
    """How well every score, and every rival, finds the wrong labels."""
    found = {name: suspicion(column, REGISTRY[name].suspicious) for name, column in columns(scores).items()}
    for name, suspicions in found.items():
        yield {"score": name, "origin": REGISTRY[name].origin, **detect(suspicions, wrong)._asdict()}
    for name, suspicions in baseline_suspicions(dataset, scores, folds, seed):
        yield {"score": name, "origin": "rival", **detect(suspicions, wrong)._asdict()}


def baseline_suspicions(
    dataset: Dataset, scores: Scores, folds: np.ndarray | None, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each rival's name and suspicions ``[n]``."""
    if baselines.has_cleanlab():
        for name, pred_probs in ((FIVE_FOLD, folds), (SAME_PROBABILITIES, probabilities(scores))):
            if pred_probs is not None:
                rated = baselines.rate_by_cleanlab(pred_probs, dataset.labels)
                yield from ((f"{name}, {method.replace('_', ' ')}", rating) for method, rating in rated.items())
    if baselines.suits_data_oob(dataset):
        yield DATA_OOB, baselines.rate_by_data_oob(dataset, seed)


def estimate_counts(scores: Scores, folds: np.ndarray | None, spec: MislabelledSpec) -> Mapping[str, float]:
    """How many labels are estimated to be wrong: by this job, with its interval, and by cleanlab of five folds."""
    wrong = rank_examples(scores, spec).wrong
    theirs = float("nan")
    if baselines.has_cleanlab() and folds is not None:
        theirs = baselines.count_by_cleanlab(folds, scores.labels)
    return {"estimated": wrong.count, "low": wrong.low, "high": wrong.high, "cleanlab": theirs}
