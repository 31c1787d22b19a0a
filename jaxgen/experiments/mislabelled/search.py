"""Mislabelled examples: a C-score job, whose examples are ranked by how little its models believe in their labels."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.config import CscoreSpec, MislabelledSpec, sweep
from jaxgen.config.fields import flag_values, format_value, spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.jobs.python_call import spec_of_call
from jaxgen.jobs.session import QUIET, Session
from jaxgen.keys import JobDraw, job_key
from jaxgen.reporting.console import log
from jaxgen.scores.confident import WrongLabels, estimate_wrong
from jaxgen.scores.registry import REGISTRY, Score
from jaxgen.scores.suspicion import rank, suggest_labels, suspicion
from jaxgen.types import Dataset, Scores

# Scores that every job has, and what else must be tracked for those that most jobs have.
UNTRACKED = ("scores", "memorization")
DYNAMICS = ("dynamics", "auto", "curves", "grand", "pred_probs")


@dataclasses.dataclass(frozen=True, eq=False)
class Mislabelled:
    """All examples, in order of suspicion.

    Attributes:
      order: int ``[n]``: positions of the examples, the most suspicious first; those without a score are last.
      suggested: int ``[n]``, by position: the class that models which held the example out take it for, where they find
        another likelier than its label; else the label.
      wrong: how many labels are estimated to be wrong, with a 95 % interval, and which for which.
      score: by which score the order is.
      values: float ``[n]``, by position: that score.
      stderr: float ``[n]``: its standard error; NaN where it has none.
      scores: all scores of the examples.
    """

    order: np.ndarray
    suggested: np.ndarray
    wrong: WrongLabels
    score: Score
    values: np.ndarray
    stderr: np.ndarray
    scores: Scores

    def suspects(self) -> np.ndarray:
        """Positions of as many examples as labels are estimated to be wrong, the most suspicious first."""
        scored = int(np.isfinite(self.values).sum())
        return self.order[: min(scored, round(self.wrong.count))] if self.wrong.n else self.order[:0]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dictionary an example, in order: what ``mislabelled.csv`` has."""
        names, counts = self.scores.class_names, self.scores.counts.sum(0)
        others = {name: column for name, column in score_columns(self.scores).items() if name != self.score.name}
        counted = len(self.suspects())
        for place, i in enumerate(self.order):
            yield {
                "rank": place + 1,
                "counted": int(place < counted),
                "id": self.scores.ids[i],
                "label": names[self.scores.labels[i]],
                "suggested": names[self.suggested[i]] if self.suggested[i] != self.scores.labels[i] else "",
                "score": f"{self.values[i]:.6g}",
                "stderr": f"{self.stderr[i]:.3g}",
                "heldout_n": counts[i],
                **{name: f"{column[i]:.6g}" for name, column in others.items()},
            }


def score_columns(scores: Scores) -> dict[str, np.ndarray]:
    """Every score of the registry that the job has given its examples, ``[n]`` each, by name."""
    known = {**scores.more, "scores": scores.scores}
    return {name: np.asarray(known[name], np.float64) for name in REGISTRY if name in known}


def find_mislabelled(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    out: str | None = None,
    progress: bool = False,
    **flags: Any,
) -> Mislabelled:
    """The user's own examples in order of suspicion: `python -m jaxgen.mislabelled` as a function.

    Twenty of the digits get the next label, and are found again:

    >>> import jaxgen
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> labels = digits.target[:500].copy()
    >>> labels[:20] = (labels[:20] + 1) % 10
    >>> found = jaxgen.find_mislabelled(digits.images[:500], labels, num_runs=10, epochs=10)
    >>> len({*found.order[:20].tolist()} & {*range(20)}) >= 18
    True
    >>> int(sum(found.suggested[:20] == digits.target[:20])) >= 18
    True

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features.
      labels: ``[n]`` integers or text.
      class_names: ``[c]`` names, if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text that name the examples.
      out: folder for finished runs, so that the same call resumes or extends them; without it nothing is kept.
      progress: whether to show what is going on, on standard error.
      **flags: flags of the command line by name, those of the data and of noise left out: ``num_runs=20``,
        ``hidden=(256,)``, ``score="soft_score"``.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    left_out = ("inject", "repeats", "num_shown", "dry_run")
    with spec_of_call(MislabelledSpec, "jaxgen.mislabelled", flags, out, left_out) as spec:
        dataset = make_dataset("data", images, labels, source="arrays", class_names=class_names, ids=ids)
        return search(dataset, spec, Session(QUIET.resume, log if progress else None))


def search(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Mislabelled:
    """Trains what is missing in the store below ``spec.out``, and ranks the examples; arguments as of `score_settings`.

    Raises:
      UserError: for a score that there is not, and for what `score_settings` refuses.
    """
    check_search(spec)
    return rank_examples(train_scores(dataset, spec, session), spec)


def train_scores(dataset: Dataset, spec: MislabelledSpec, session: Session = QUIET) -> Scores:
    """The scores of the job underneath."""
    [(_, scores)] = score_settings(dataset, cscore_spec(spec), session)
    return scores


def check_search(spec: MislabelledSpec) -> None:
    """Refuses, before anything is trained, lists and a score that the job will not have.

    Raises:
      UserError: naming the flag.
    """
    if swept := sweep.swept(spec):
        value = format_value(flag_values(spec)[swept[0]])
        raise UserError(f"--{swept[0]}={value}: takes one value here; lists are for jaxgen.cscore, and for --inject")
    name = spec.search.score
    if name not in REGISTRY:
        raise UserError(f"--score={name}: unknown; give one of {', '.join(REGISTRY)}")
    words_needed = tracking_needed(name)
    if words_needed and not {*words_needed} & {*spec.tracking.track}:
        raise UserError(f"--score={name}: is not tracked; add {words_needed[0]} to --track")


def tracking_needed(name: str) -> tuple[str, ...]:
    """The words of ``--track`` of which one must be there for a score of the registry; none for those always known."""
    if name in UNTRACKED:
        return ()
    return next(((word,) for word in ("grand", "pixel_density", "feature_density") if word in name), DYNAMICS)


def cscore_spec(spec: MislabelledSpec) -> CscoreSpec:
    """The job underneath."""
    own = flag_values(spec)
    return spec_from_values(CscoreSpec, {name: own[name] for name in flag_values(CscoreSpec()) if name in own})


def rank_examples(scores: Scores, spec: MislabelledSpec) -> Mislabelled:
    """The examples in order of suspicion by the score that was asked for.

    Raises:
      UserError: if the job did not give it to its examples.
    """
    known, score = score_columns(scores), REGISTRY[spec.search.score]
    if score.name not in known:
        raise UserError(f"--score={score.name}: this job has not tracked it; give one of {', '.join(known)}")
    pred_probs = scores.more.get("pred_probs", np.full((len(scores.labels), len(scores.class_names)), np.nan))
    key = job_key(spec.seed, JobDraw.RESAMPLES)
    errors = scores.stderr if score.stderr == "stderr" else scores.more.get(score.stderr)
    return Mislabelled(
        order=rank(suspicion(known[score.name], score.suspicious)),
        suggested=suggest_labels(pred_probs, scores.labels),
        wrong=estimate_wrong(pred_probs, scores.labels, scores.more.get("aum"), key),
        score=score,
        values=known[score.name],
        stderr=np.full(len(scores.labels), np.nan) if errors is None else np.asarray(errors),
        scores=scores,
    )
