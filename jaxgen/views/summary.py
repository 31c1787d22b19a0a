"""What a finished job says: a few plain lines, every number with its n."""

import math

import numpy as np

from jaxgen.scores.planning import TARGETS, runs_for_error, runs_for_reliability
from jaxgen.scores.registry import REGISTRY
from jaxgen.types import Dataset, Scores

# Feldman and Zhang's threshold of memorization.
MEMORIZED = 0.25


def summarize(dataset: Dataset, scores: Scores) -> str:
    """Models trained and how fast, held-out accuracy per ratio, the least regular examples, reliability."""
    metadata = scores.metadata
    lines = [describe_speed(*(metadata[name] for name in ("models_now", "seconds_now", "devices", "num_models")))]
    if metadata["diverged"]:
        lines.append(f"{metadata['diverged']:,} models diverged and are left out of every number below")
    lines += ["", "ratio   held-out accuracy, mean ± sd over runs (n)"]
    by_ratio = scores.subset_ratios, scores.heldout_accuracy
    chance = np.bincount(scores.labels).max() / len(scores.labels)
    for ratio, accuracy in zip(*by_ratio, strict=True):
        seen = accuracy[np.isfinite(accuracy)]
        spread = f"± {seen.std(ddof=1):.4f}" if len(seen) > 1 else "        "
        lines.append(f"{ratio:<7g} {seen.mean():.4f} {spread} ({len(seen)})")
    if blind := [f"{ratio:g}" for ratio, accuracy in zip(*by_ratio, strict=True) if np.nanmean(accuracy) <= chance]:
        lines.append(
            f"at ratio {', '.join(blind)} the models are right no more often than the largest class is "
            f"({chance:.4f}): these scores say nothing. Either the inputs do not tell the classes apart, or training "
            "fails: try a lower --learning_rate or more --epochs, with another --out"
        )
    lines += ["", "least regular: id, label, C-score ± standard error (held-out observations)"]
    least = scores.least_regular(5)
    names = [(str(scores.ids[i]), dataset.class_names[scores.labels[i]]) for i in least]
    columns = [max((len(name) for name in column), default=0) for column in zip(*names, strict=True)]
    for i, (name, label) in zip(least, names, strict=True):
        error = f"± {scores.stderr[i]:.3f}" if np.isfinite(scores.stderr[i]) else "± unknown"
        lines.append(
            f"{name:<{columns[0]}}  {label:<{columns[1]}}  {scores.scores[i]:.3f} {error} ({scores.counts[:, i].sum()})"
        )
    unscored = int((~np.isfinite(scores.scores)).sum())
    if unscored:
        lines.append(
            f"{unscored:,} of {len(scores.scores):,} examples were never held out at some ratio: no score. "
            "More --num_runs gives them one"
        )
    lines.append("")
    if "memorization" in scores.more:
        lines.append(describe_memorization(scores))
    if "tracked_runs" in scores.more:
        lines.append(describe_tracking(scores))
    return "\n".join([*lines, describe_reliability(scores), describe_need(scores)]).rstrip()


def describe_need(scores: Scores) -> str:
    """How many runs a lower error or a higher reliability would take; nothing where neither is known."""
    known, said = scores.stderr[np.isfinite(scores.stderr)], []
    runs = scores.num_runs
    # Of examples that some models disagree on: no number of runs halves an error of 0.
    if (known := known[known > 0]).size:
        error = float(np.median(known))
        said.append(
            f"median standard error {error:.4f} where models disagree (n = {known.size:,}): half of it takes about "
            f"{math.ceil(runs_for_error(error, runs, error / 2)):,} runs at each ratio instead of {runs:,}"
        )
    found = scores.reliability.mean() if len(scores.reliability) else np.nan
    beyond = [target for target in TARGETS if found < target]
    if 0 < found < 1 and beyond:
        needed = math.ceil(runs_for_reliability(found, runs, beyond[0]))
        said.append(f"a reliability of {beyond[0]:g} takes about {needed:,} (Spearman-Brown)")
    return "; ".join(said)


def describe_tracking(scores: Scores) -> str:
    """How the scores of training agree with the C-score."""
    from scipy.stats import spearmanr

    tracked, models = int(scores.more["tracked_runs"]), len(scores.subset_ratios) * scores.num_runs
    of = f"{tracked:,} of {models:,} models" if tracked < models else "all models"
    if not tracked:
        return f"no model was tracked as --track asks; {models:,} models give C-scores only, another --out gives all"
    found = {}
    for name in sorted(REGISTRY.keys() & scores.more.keys() - {"memorization"}):
        both = np.isfinite(scores.scores) & np.isfinite(scores.more[name])
        if both.sum() > 2 and np.ptp(scores.scores[both]) and np.ptp(scores.more[name][both]):
            found[name] = spearmanr(scores.scores[both], scores.more[name][both]).statistic
    ranked = sorted(found, key=lambda name: -abs(found[name]))
    listed = ", ".join(f"{name} {found[name]:.3f}" for name in ranked)
    return f"rank correlation with the C-score (Spearman, over examples; tracked in {of}): {listed}"


def describe_memorization(scores: Scores) -> str:
    """How many examples are memorized, and which most."""
    found, errors = scores.more["memorization"], scores.more["memorization_stderr"]
    known = np.isfinite(found)
    highest = [i for i in np.argsort(-found, kind="stable")[:5] if known[i]]

    def error(i: int) -> str:
        return f"{errors[i]:.3f}" if np.isfinite(errors[i]) else "unknown"

    return (
        f"memorization (accuracy trained on less held out) at ratio {scores.more['memorization_ratio']:g}: "
        f"{(found >= MEMORIZED).sum():,} of {known.sum():,} examples at {MEMORIZED:g} or above; highest, by id: "
        + ", ".join(f"{scores.ids[i]} ({found[i]:.3f} ± {error(i)})" for i in highest)
    )


def describe_speed(models_now: int, seconds_now: float, devices: str, num_models: int) -> str:
    """How many models this call trained, how fast and on what; and how many there are in all."""
    if not models_now:
        return f"0 models trained, because all were there; {num_models:,} in all"
    rate = np.format_float_positional(models_now / seconds_now, 3, fractional=False, trim="-")
    models = f"{models_now:,} model{'s' * (models_now != 1)}"
    return f"{models} trained in {seconds_now:.1f} s ({rate} models/s) on {devices}; {num_models:,} in all"


def count_halvings(halves: np.ndarray) -> str:
    """How many halvings differ: two blocks of runs can be halved in one way only."""
    return f"{len(halves)} random halvings" if np.ptp(halves) else "the one halving that so few runs allow"


def describe_reliability(scores: Scores) -> str:
    """Split-half reliability in words."""
    halves = scores.reliability
    if not len(halves):
        return "split-half reliability: unknown; it needs two independent blocks of runs or more at every ratio"
    return (
        f"split-half reliability (Spearman-Brown): {halves.mean():.4f}, from {halves.min():.4f} to "
        f"{halves.max():.4f} over {count_halvings(halves)}"
    )
