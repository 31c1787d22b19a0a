"""Ways to flag labels as wrong, judged by known noise: precision and recall of the flagged examples."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.config import MislabelledSpec
from jaxgen.experiments.mislabelled import baselines
from jaxgen.experiments.mislabelled.search import rank_examples
from jaxgen.experiments.mislabelled.threshold_samples import ThresholdSamples
from jaxgen.reporting.tables import to_table
from jaxgen.scores.intervals import half_width
from jaxgen.types import Scores


def ways_to_flag(
    scores: Scores, folds: np.ndarray | None, threshold_samples: ThresholdSamples, spec: MislabelledSpec
) -> Iterator[tuple[str, np.ndarray]]:
    """The name and the flagged examples, bool ``[n]``, of each way to flag them.

    Args:
      scores: of the job.
      folds: out-of-sample probabilities ``[n, c]`` by five-fold cross-validation, if there are any.
      threshold_samples: of the job.
      spec: with the score that ranks examples.
    """
    yield "threshold samples", threshold_samples.found.flagged
    counted = np.zeros(len(scores.labels), bool)
    counted[rank_examples(scores, spec).suspects()] = True
    yield f"first by {spec.search.score}, as many as estimated", counted
    if baselines.has_cleanlab() and folds is not None:
        yield "cleanlab, 5-fold", baselines.flag_by_cleanlab(folds, scores.labels)


def judge_flags(flagged: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Number of flagged examples, and their precision and recall; NaN where nothing is flagged or wrong.

    Args:
      flagged, wrong: bool ``[n]``.
    """
    found, count, errors = int((flagged & wrong).sum()), int(flagged.sum()), int(wrong.sum())
    nan = float("nan")
    return {
        "flagged": count,
        "precision": found / count if count else nan,
        "recall": found / errors if errors else nan,
    }


def flag_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of judged flags: a row per noise and way, means over repeats with half of the 95 % interval."""
    places, lines = dict.fromkeys((row["noise"], row["way"]) for row in rows), []
    for noise, way in places:
        chosen = [row for row in rows if (row["noise"], row["way"]) == (noise, way)]
        measured = [np.array([row[name] for row in chosen], float) for name in ("precision", "recall")]
        wrong, count = (np.mean([row[name] for row in chosen]) for name in ("wrong", "flagged"))
        lines.append([noise, way, f"{wrong:.0f}", f"{count:.0f}", *map(describe_share, measured)])
    return to_table(["noise", "flagged by", "labels wrong", "flagged", "precision", "recall"], lines)


def describe_share(shares: np.ndarray) -> str:
    """Mean ± half the width of its interval, in percent, over the repeats that have a share; a dash if none has.

    Equal shares have no interval.
    """
    known = 100 * shares[np.isfinite(shares)]
    if not len(known):
        return "—"
    half = half_width(known)
    missing = f" (n = {len(known)})" if len(known) < len(shares) else ""
    return f"{known.mean():.1f}" + (f" ± {half:.1f}" if half > 0 else "") + missing
