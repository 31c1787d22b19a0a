"""Ranks the examples of a C-score job by how likely they are mislabelled, and estimates how many are."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen import notebook
from jaxgen.config import MislabelledSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.job import cscore_spec
from jaxgen.experiments.cscore.pilot import choose_training
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.experiments.cscore.tracking import DENSITIES
from jaxgen.experiments.mislabelled.threshold_samples import ThresholdSamples, flag_by_threshold_samples
from jaxgen.jobs.python_call import spec_of_call
from jaxgen.jobs.session import QUIET, Session, tell_of_data
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.keys import JobDraw, job_key
from jaxgen.reporting.console import log
from jaxgen.scores.confident import WrongLabels, estimate_wrong
from jaxgen.scores.intervals import mean_and_limits
from jaxgen.scores.registry import REGISTRY, Score
from jaxgen.scores.suspicion import rank, suggest_labels, suspicion
from jaxgen.types import Dataset, Scores

# Scores of every job; and values of ``--track`` of which most other scores need one.
UNTRACKED = ("scores", "memorization")
DYNAMICS = ("dynamics", "auto", "curves", "grand", "pred_probs")


class HeldoutAccuracy(NamedTuple):
    """Accuracy of the models on the labels of examples that they held out.

    Attributes:
      mean: over examples, each by the mean of its held-out predictions over ratios.
      low, high: 95 % interval over examples.
      chance: the share of the most frequent label.
      n: number of examples that were held out.
    """

    mean: float
    low: float
    high: float
    chance: float
    n: int

    @property
    def errors(self) -> float:
        """How many held-out predictions are wrong, the mean over models."""
        return self.n * (1 - self.mean)

    @property
    def at_chance(self) -> bool:
        """Whether the models are not clearly right more often than the most frequent label is."""
        return not self.low > self.chance


def heldout_accuracy(scores: Scores) -> HeldoutAccuracy:
    """The held-out accuracy of a C-score job."""
    known = scores.scores[np.isfinite(scores.scores)]
    chance = float(np.bincount(scores.labels).max() / len(scores.labels))
    if not len(known):
        return HeldoutAccuracy(*3 * [float("nan")], chance, 0)
    return HeldoutAccuracy(*mean_and_limits(known), chance, len(known))


@dataclasses.dataclass(frozen=True, eq=False)
class Mislabelled:
    """Examples ranked by suspicion.

    Attributes:
      order: int ``[n]``: positions of the examples, most suspicious first; those without a score come last.
      suggested: int ``[n]``: the likeliest class by held-out probabilities; the label where nothing is likelier, and
        where there are none (`judged`).
      wrong: estimated number of wrong labels, with a 95 % interval, by pair of classes; NaN at chance.
      score: registry entry of the score that ranks the examples.
      values: float ``[n]``: that score.
      stderr: float ``[n]``: its standard error; NaN where it has none.
      scores: all scores of the examples.
      threshold_samples: what these flag; None without ``--threshold_samples``.
    """

    order: np.ndarray
    suggested: np.ndarray
    wrong: WrongLabels
    score: Score
    values: np.ndarray
    stderr: np.ndarray
    scores: Scores
    threshold_samples: ThresholdSamples | None = None

    def __repr__(self) -> str:
        return notebook.mislabelled_as_text(self)

    def _repr_html_(self) -> str:
        return notebook.mislabelled_as_html(self)

    def suspects(self) -> np.ndarray:
        """Positions of the most suspicious examples, as many as labels are estimated to be wrong; none at chance."""
        scored = int(np.isfinite(self.values).sum())
        known = self.wrong.n and not self.accuracy.at_chance
        return self.order[: min(scored, round(self.wrong.count))] if known else self.order[:0]

    @property
    def accuracy(self) -> HeldoutAccuracy:
        """How well the models predict the labels of held-out examples."""
        return heldout_accuracy(self.scores)

    @property
    def judged(self) -> np.ndarray:
        """Which examples have held-out probabilities, by which a label may be suggested: bool ``[n]``."""
        pred_probs = self.scores.more.get("pred_probs")
        return np.zeros(len(self.order), bool) if pred_probs is None else np.isfinite(pred_probs).all(1)

    def describe_suggestion(self, i: int) -> str:
        """The label suggested for example `i` in words; a dash where no held-out probabilities suggest any."""
        if not self.judged[i]:
            return "—"
        suggested = self.suggested[i]
        return "its own" if suggested == self.scores.labels[i] else str(self.scores.class_names[suggested])

    def flag_columns(self, i: int) -> dict[str, Any]:
        """Columns of example `i` about threshold samples: whether it is flagged, its AUM, the number of models."""
        if self.threshold_samples is None:
            return {}
        found = self.threshold_samples.found
        return {
            "flagged": int(found.flagged[i]),
            "threshold_aum": f"{found.aum[i]:.6g}",
            "threshold_n": found.counts[i],
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of ``mislabelled.csv``: a dictionary per example, in order of suspicion.

        ``suggested`` is empty where it would be the label itself, or nothing is known.
        """
        names, counts = self.scores.class_names, self.scores.counts.sum(0)
        others = {name: column for name, column in score_columns(self.scores).items() if name != self.score.name}
        num_suspects = len(self.suspects())
        for position, i in enumerate(self.order):
            yield {
                "rank": position + 1,
                "counted": int(position < num_suspects),
                "id": self.scores.ids[i],
                "label": names[self.scores.labels[i]],
                "suggested": names[self.suggested[i]] if self.suggested[i] != self.scores.labels[i] else "",
                "score": f"{self.values[i]:.6g}",
                "stderr": f"{self.stderr[i]:.3g}",
                "heldout_n": counts[i],
                **self.flag_columns(i),
                **{name: f"{column[i]:.6g}" for name, column in others.items()},
            }


def score_columns(scores: Scores) -> dict[str, np.ndarray]:
    """The job's scores that are in the registry, ``[n]`` each, by name."""
    arrays = {**scores.more, "scores": scores.scores}
    return {name: np.asarray(arrays[name], np.float64) for name in REGISTRY if name in arrays}


def find_mislabelled(
    images: Any,
    labels: Any = None,
    *,
    class_names: Any = None,
    ids: Any = None,
    out: str | os.PathLike | None = None,
    progress: bool = False,
    **flags: Any,
) -> Mislabelled:
    """Ranks the user's own examples by suspicion: `python -m jaxgen.mislabelled` as a function.

    Twenty digits are given the next label and found again:

    >>> import jaxgen
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> labels = digits.target[:500].copy()
    >>> labels[:20] = (labels[:20] + 1) % 10
    >>> result = jaxgen.find_mislabelled(digits.images[:500], labels, num_runs=10, epochs=10)
    >>> len({*result.order[:20].tolist()} & {*range(20)}) >= 18
    True
    >>> int(sum(result.suggested[:20] == digits.target[:20])) >= 18
    True

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features, as an array, a tensor
        or nested lists; or a frame of pandas or polars, of columns of numbers, booleans or categories; or a data set of
        Hugging Face, or of pairs (image, label) as those of PyTorch.
      labels: ``[n]`` integers or text, or one-hot ``[n, c]``; or a series; or the name of a column of `images`. None
        for data sets that bring their own.
      class_names: ``[c]`` names, if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text that name the examples.
      out: folder for finished runs, so that the same call resumes or extends them; without it nothing is kept.
      progress: whether to show progress on standard error.
      **flags: flags of the command line by name, those of the data and of noise left out: ``num_runs=20``,
        ``hidden=(256,)``, ``score="soft_score"``.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    left_out = ("inject", "repeats", "num_shown", "dry_run")
    with spec_of_call(MislabelledSpec, "jaxgen.mislabelled", flags, out, left_out) as spec:
        dataset = dataset_of_call(images, labels, class_names=class_names, ids=ids, spec=spec.data)
        session = tell_of_data(dataset, Session(QUIET.resume, log if progress else None))
        return search(*choose_search(dataset, spec, session), session)


def choose_search(dataset: Dataset, spec: MislabelledSpec, session: Session) -> tuple[Dataset, MislabelledSpec]:
    """The data and flags after the pilot of ``--pilot``; the flags of the search are checked before.

    Raises:
      UserError: with ``--inject``, whose noise the pilot would not see, and as `choose_training` raises.
    """
    check_search(spec)
    if spec.pilot and spec.search.inject:
        raise UserError(
            "--pilot: chooses by the labels as they are, and --inject makes some of them wrong after that; run the "
            "command without --inject once, and give the flags that the pilot chose"
        )
    return choose_training(dataset, spec, session)


def search(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Mislabelled:
    """Trains missing runs in the store below ``spec.out``, and ranks the examples; arguments as of `score_settings`.

    Raises:
      UserError: for an unknown score, and as `score_settings` raises.
    """
    check_search(spec)
    unfinished: list[UserError] = []
    # Where other processes train the rest of the one, this one still trains its share of the other.
    with collect_errors(unfinished):
        scores = train_scores(dataset, spec, session)
    with collect_errors(unfinished):
        threshold_samples = flag_by_threshold_samples(dataset, spec, session)
    raise_collected(unfinished)
    return dataclasses.replace(rank_examples(scores, spec), threshold_samples=threshold_samples)


def train_scores(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Scores:
    """The scores of the underlying C-score job."""
    [(_, scores)] = score_settings(dataset, cscore_spec(spec), session)
    return scores


def check_search(spec: MislabelledSpec) -> None:
    """Checks the flags of a search before training.

    Raises:
      UserError: for flags with several values, and for a score that is unknown or not tracked.
    """
    if swept := sweep.swept(spec):
        value = format_value(flag_values(spec)[swept[0]])
        raise UserError(f"--{swept[0]}={value}: takes one value here; lists are for jaxgen.cscore, and for --inject")
    name = spec.search.score
    if name not in REGISTRY:
        raise UserError(f"--score={name}: unknown; give one of {', '.join(REGISTRY)}")
    track_values = tracking_needed(name)
    if track_values and not {*track_values} & {*spec.tracking.track}:
        raise UserError(f"--score={name}: is not tracked; add {track_values[0]} to --track")


def tracking_needed(name: str) -> tuple[str, ...]:
    """The values of ``--track`` of which a score needs one; empty if it needs no tracking."""
    if name in UNTRACKED:
        return ()
    named = ("grand", *sorted(DENSITIES))
    return next(((word,) for word in named if word in name), DYNAMICS)


def rank_examples(scores: Scores, spec: MislabelledSpec) -> Mislabelled:
    """Ranks the examples by ``--score``.

    Raises:
      UserError: if the job lacks this score.
    """
    available, score = score_columns(scores), REGISTRY[spec.search.score]
    if score.name not in available:
        raise UserError(f"--score={score.name}: this job has not tracked it; give one of {', '.join(available)}")
    pred_probs = scores.more.get("pred_probs", np.full((len(scores.labels), len(scores.class_names)), np.nan))
    key = job_key(spec.seed, JobDraw.RESAMPLES)
    errors = scores.stderr if score.stderr == "stderr" else scores.more.get(score.stderr)
    wrong = estimate_wrong(pred_probs, scores.labels, scores.more.get("aum"), key)
    return Mislabelled(
        order=rank(suspicion(available[score.name], score.suspicious)),
        suggested=suggest_labels(pred_probs, scores.labels),
        wrong=wrong.without_count() if heldout_accuracy(scores).at_chance else wrong,
        score=score,
        values=available[score.name],
        stderr=np.full(len(scores.labels), np.nan) if errors is None else np.asarray(errors),
        scores=scores,
    )
