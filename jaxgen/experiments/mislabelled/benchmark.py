"""Benchmark of scores: injects known label noise and measures how well every score finds the wrong labels."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import MislabelledSpec, SubsetSpec
from jaxgen.config.mislabelled import read_injection
from jaxgen.errors import UserError
from jaxgen.experiments.mislabelled import baselines as baselines
from jaxgen.experiments.mislabelled.flagging import judge_flags, ways_to_flag
from jaxgen.experiments.mislabelled.injection import Noise, inject, load_noise
from jaxgen.experiments.mislabelled.search import check_search, rank_examples, score_columns, train_scores
from jaxgen.experiments.mislabelled.threshold_samples import ThresholdSamples, flag_by_threshold_samples
from jaxgen.jobs.compilation_cache import shared_compilations
from jaxgen.jobs.session import QUIET, Session
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.runs.devices import start_devices
from jaxgen.scores.registry import REGISTRY
from jaxgen.scores.suspicion import detect, suspicion
from jaxgen.types import Dataset, Scores

REPEATS = 3
# Five-fold cross-validation is one block of balanced subsets, each holding out another fifth.
FOLDS, FOLD_RATIO = 5, 0.8
FIVE_FOLD, SAME_PROBABILITIES = "cleanlab, 5-fold", "cleanlab, pred_probs"
DATA_OOB = "Data-OOB"


class Benchmark(NamedTuple):
    """Results of a benchmark.

    Attributes:
      rows: a dictionary for each noise, repeat and score, with measures of detection.
      estimates: a dictionary for each noise and repeat: true and estimated numbers of wrong labels.
      dataset: without noise.
      models: number of models trained for one noise and repeat.
      missing: lines about baselines that were left out.
      width: members per device, as chosen for the first job.
      flags: a dictionary for each noise, repeat and way to flag examples; none without ``--threshold_samples``.
    """

    rows: list[dict[str, Any]]
    estimates: list[dict[str, Any]]
    dataset: Dataset
    models: int
    missing: list[str]
    width: int | None
    flags: Sequence[dict[str, Any]] = ()


class TrainedDraw(NamedTuple):
    """What was trained for one draw of noise; None where runs of other processes are still missing.

    Attributes:
      scores: of the C-score job.
      folds: out-of-sample probabilities ``[n, c]`` by five-fold cross-validation; None also if they were not tracked.
      threshold_samples: what these flag; None also without ``--threshold_samples``.
    """

    scores: Scores | None
    folds: np.ndarray | None
    threshold_samples: ThresholdSamples | None


def run_benchmark(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Benchmark:
    """Trains the missing runs of every noise and repeat, each in a folder below ``spec.out``, and evaluates all scores.

    Args:
      dataset: the examples.
      spec: with noise to inject.
      session: resume command and log.

    Raises:
      UserError: for noise that does not suit the data, and as `score_settings` raises.
    """
    check_search(spec)
    noises = [load_noise(read_injection(text), dataset) for text in spec.search.inject]
    # Drawing noise initializes JAX, so the devices of training are configured first.
    start_devices(spec.compute.num_devices, dataset.images.nbytes)
    repeats = range(spec.search.repeats or REPEATS)
    missing, rows, estimates, flags, models = baselines.describe_missing(dataset), [], [], [], 0
    unfinished: list[UserError] = []
    for line in missing:
        session.tell(line)
    with shared_compilations():
        for noise, repeat in itertools.product(noises, repeats):
            noisy_spec = repeat_spec(spec, noise, repeat)
            noisy, wrong, described = inject(dataset, noise, spec.seed, repeat)
            shared_columns = {
                "noise": noise.injection.text,
                "repeat": repeat,
                "wrong": int(wrong.sum()),
                "n": len(wrong),
            }
            session.tell(f"{shared_columns['noise']}, repeat {repeat + 1} of {len(repeats)}: {described}")
            num_unfinished = len(unfinished)
            trained = train_draw(noisy, noisy_spec, session, unfinished)
            if trained.scores:
                # The width is timed for the first job only, and used for the others.
                spec = with_width(spec, trained.scores.metadata["width"])
            if len(unfinished) > num_unfinished:
                continue
            models = trained.scores.metadata["num_models"]
            found = evaluate_scores(noisy, trained.scores, trained.folds, wrong, noisy_spec.seed)
            rows += [{**shared_columns, **measures} for measures in found]
            estimates.append({**shared_columns, **estimate_counts(trained.scores, trained.folds, noisy_spec)})
            if trained.threshold_samples:
                ways = ways_to_flag(*trained, noisy_spec)
                flags += [{**shared_columns, "way": way, **judge_flags(flagged, wrong)} for way, flagged in ways]
    raise_collected(unfinished)
    return Benchmark(rows, estimates, dataset, models, missing, spec.compute.width, flags)


def train_draw(dataset: Dataset, spec: MislabelledSpec, session: Session, unfinished: list[UserError]) -> TrainedDraw:
    """Trains the missing runs of one draw of noise; adds to `unfinished` what other processes have not trained yet."""
    scores = folds = threshold_samples = None
    with collect_errors(unfinished):
        scores = train_scores(dataset, spec, session)
        spec = with_width(spec, scores.metadata["width"])
    with collect_errors(unfinished):
        folds = five_fold(dataset, spec, session)
    with collect_errors(unfinished):
        threshold_samples = flag_by_threshold_samples(dataset, spec, session)
    return TrainedDraw(scores, folds, threshold_samples)


def repeat_spec(spec: MislabelledSpec, noise: Noise, repeat: int) -> MislabelledSpec:
    """The spec of one noise and repeat, with its own seed and folder."""
    folder = noise.injection.text.replace(":", "_").replace("/", "_")
    return dataclasses.replace(
        spec, seed=(spec.seed + repeat) % 2**32, out=str(pathlib.Path(spec.out) / folder / f"repeat_{repeat}")
    )


def with_width(spec: MislabelledSpec, width: int) -> MislabelledSpec:
    """The spec with `--width` set."""
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, width=width))


def five_fold(dataset: Dataset, spec: MislabelledSpec, session: Session) -> np.ndarray | None:
    """Out-of-sample probabilities ``[n, c]`` by five-fold cross-validation; None if they were not tracked.

    If the job has balanced subsets at ratio 0.8, the folds are its first block of runs, and nothing is trained.
    """
    job_subsets = spec.subsets
    subsets = SubsetSpec(subset_ratios=(FOLD_RATIO,), num_runs=FOLDS, design="balanced")
    if job_subsets.design != "balanced":
        spec = dataclasses.replace(spec, out=str(pathlib.Path(spec.out) / "folds"))
    elif FOLD_RATIO in job_subsets.subset_ratios and job_subsets.num_runs >= FOLDS:
        session = session._replace(log=None)
    scores = train_scores(dataset, dataclasses.replace(spec, subsets=subsets), session)
    return probabilities(scores)


def probabilities(scores: Scores) -> np.ndarray | None:
    """Held-out probabilities ``[n, c]``; None if they were not tracked."""
    if not {"pred_probs", "soft_score"} <= scores.more.keys():
        return None
    return baselines.with_label_probabilities(scores.more["pred_probs"], scores.more["soft_score"], scores.labels)


def evaluate_scores(
    dataset: Dataset, scores: Scores, folds: np.ndarray | None, wrong: np.ndarray, seed: int
) -> Iterator[dict[str, Any]]:
    """Detection measures of every score and baseline, a dictionary each."""
    by_score = {name: suspicion(column, REGISTRY[name].suspicious) for name, column in score_columns(scores).items()}
    for name, suspicions in by_score.items():
        yield {"score": name, "origin": REGISTRY[name].origin, **detect(suspicions, wrong)._asdict()}
    for name, suspicions in baseline_suspicions(dataset, scores, folds, seed):
        yield {"score": name, "origin": "rival", **detect(suspicions, wrong)._asdict()}


def baseline_suspicions(
    dataset: Dataset, scores: Scores, folds: np.ndarray | None, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The name and suspicions ``[n]`` of each baseline."""
    if baselines.has_cleanlab():
        for name, pred_probs in ((FIVE_FOLD, folds), (SAME_PROBABILITIES, probabilities(scores))):
            if pred_probs is not None:
                ratings = baselines.rate_by_cleanlab(pred_probs, dataset.labels)
                yield from ((f"{name}, {method.replace('_', ' ')}", rating) for method, rating in ratings.items())
    if baselines.suits_data_oob(dataset):
        yield DATA_OOB, baselines.rate_by_data_oob(dataset, seed)


def estimate_counts(scores: Scores, folds: np.ndarray | None, spec: MislabelledSpec) -> Mapping[str, float]:
    """Estimated numbers of wrong labels: by this job, with its interval, and by cleanlab on five folds."""
    wrong = rank_examples(scores, spec).wrong
    cleanlab_count = float("nan")
    if baselines.has_cleanlab() and folds is not None:
        cleanlab_count = baselines.count_by_cleanlab(folds, scores.labels)
    return {"estimated": wrong.count, "low": wrong.low, "high": wrong.high, "cleanlab": cleanlab_count}
