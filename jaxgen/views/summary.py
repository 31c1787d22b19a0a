"""The text summary of a finished C-score job; every number with its n."""

import math

import numpy as np

from jaxgen.scores.intervals import mean_and_limits
from jaxgen.scores.planning import TARGETS, runs_for_error, runs_for_reliability
from jaxgen.scores.registry import REGISTRY
from jaxgen.types import Dataset, Scores
from jaxgen.wording import count_of, mean_and_deviation

# Threshold of memorization (Feldman and Zhang 2020).
MEMORIZED = 0.25


def summarize(dataset: Dataset, scores: Scores) -> str:
    """The summary: models and speed, held-out accuracy by ratio, least regular examples, memorization, reliability."""
    metadata = scores.metadata
    lines = [describe_speed(*(metadata[name] for name in ("models_now", "seconds_now", "devices", "num_models")))]
    if metadata["diverged"]:
        diverged, verb = count_of(metadata["diverged"], "model"), "is" if metadata["diverged"] == 1 else "are"
        lines.append(f"{diverged} diverged and {verb} left out of every number below")
    lines += ["", "ratio   held-out accuracy, mean ± sd over runs (n)"]
    by_ratio = scores.subset_ratios, scores.heldout_accuracy
    chance = np.bincount(scores.labels).max() / len(scores.labels)
    for ratio, accuracy in zip(*by_ratio, strict=True):
        finite = accuracy[np.isfinite(accuracy)]
        spread = finite.std(ddof=1) if len(finite) > 1 else np.nan
        lines.append(f"{ratio:<7g} {mean_and_deviation(finite.mean(), spread, 4):<15} ({len(finite)})")
    if at_chance := [f"{ratio:g}" for ratio in ratios_at_chance(scores, chance)]:
        lines.append(
            f"at ratio {', '.join(at_chance)} it is not shown that the models are right on held-out examples more "
            f"often than the most frequent label is ({chance:.4f}): do not rely on these scores. Either the inputs do "
            "not tell the classes apart, or training fails (try a lower --learning_rate or more --epochs, with another "
            "--out), or there are too few examples"
        )
    lines += ["", *least_regular_lines(dataset, scores)]
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


def least_regular_lines(dataset: Dataset, scores: Scores) -> list[str]:
    """The five examples with the lowest C-scores, a line each, and how many more have the highest of these scores."""
    lines = ["least regular: id, label, C-score with the 95 % interval of one example alone (held-out observations)"]
    least = scores.least_regular(5)
    names = [(str(scores.ids[i]), dataset.class_names[scores.labels[i]]) for i in least]
    columns = [max((len(name) for name in column), default=0) for column in zip(*names, strict=True)]
    for i, (name, label) in zip(least, names, strict=True):
        lines.append(
            f"{name:<{columns[0]}}  {label:<{columns[1]}}  {scores.scores[i]:.3f} "
            f"{describe_limits(scores, 'scores', i)} ({scores.counts[:, i].sum()})"
        )
    last = scores.scores[least[-1:]]
    if more := int(np.isin(scores.scores, last).sum() - np.isin(scores.scores[least], last).sum()):
        lines.append(f"{count_of(more, 'more example')} of the same C-score, {last[0]:.3f}, not listed")
    return lines


def ratios_at_chance(scores: Scores, chance: float) -> list[float]:
    """The subset ratios whose mean held-out accuracy over examples is not clearly above `chance`, by its interval."""
    ratios = []
    for ratio, shares in zip(scores.subset_ratios, scores.scores_by_ratio, strict=True):
        known = shares[np.isfinite(shares)]
        if known.size and not mean_and_limits(known)[1] > chance:
            ratios.append(float(ratio))
    return ratios


def describe_need(scores: Scores) -> str:
    """The number of runs for half the standard error and for the next target reliability; empty if both are unknown."""
    sentences, runs = [], scores.num_runs
    # Only errors above 0, which are those of examples that some models disagree on, can be halved.
    errors = scores.stderr[np.isfinite(scores.stderr) & (scores.stderr > 0)]
    if errors.size:
        error = float(np.median(errors))
        sentences.append(
            f"median standard error {error:.4f} where models disagree (n = {errors.size:,}): half of it takes about "
            f"{math.ceil(runs_for_error(error, runs, error / 2)):,} runs at each ratio instead of {runs:,}"
        )
    reliability = scores.reliability.mean() if len(scores.reliability) else np.nan
    targets = [target for target in TARGETS if reliability < target]
    if 0 < reliability < 1 and targets:
        needed = math.ceil(runs_for_reliability(reliability, runs, targets[0]))
        sentences.append(f"a reliability of {targets[0]:g} takes about {needed:,} (Spearman-Brown)")
    return "; ".join(sentences)


def describe_tracking(scores: Scores) -> str:
    """Rank correlations of all other scores with the C-score."""
    from scipy.stats import spearmanr

    from jaxgen.scores.agreement import spearman_interval

    tracked, models = int(scores.more["tracked_runs"]), len(scores.subset_ratios) * scores.num_runs
    of = f"{tracked:,} of {models:,} models" if tracked < models else "all models"
    if not tracked:
        trained = f"{count_of(models, 'model')} give{'s' * (models == 1)}"
        return f"no model was tracked as --track asks; {trained} C-scores only, another --out gives all"
    correlations = {}
    for name in sorted(REGISTRY.keys() & scores.more.keys() - {"memorization"}):
        both = np.isfinite(scores.scores) & np.isfinite(scores.more[name])
        if both.sum() > 2 and np.ptp(scores.scores[both]) and np.ptp(scores.more[name][both]):
            rho = float(spearmanr(scores.scores[both], scores.more[name][both]).statistic)
            correlations[name] = rho, *spearman_interval(rho, int(both.sum()))
    ranked = sorted(correlations, key=lambda name: -abs(correlations[name][0]))
    listed = ", ".join("{} {:.3f} [{:.3f}, {:.3f}]".format(name, *correlations[name]) for name in ranked)
    scored = int(np.isfinite(scores.scores).sum())
    return (
        f"rank correlation with the C-score (Spearman, 95 % intervals over n = {scored:,} examples; "
        f"tracked in {of}): {listed}"
    )


def describe_limits(scores: Scores, name: str, i: int) -> str:
    """The 95 % interval of an example's score; unknown if the file has none."""
    limits = [scores.more[f"{name}_{end}"][i] if f"{name}_{end}" in scores.more else np.nan for end in ("low", "high")]
    return f"[{limits[0]:.3f}, {limits[1]:.3f}]" if np.isfinite(limits).all() else "[unknown]"


def describe_memorization(scores: Scores) -> str:
    """The number of memorized examples, and the five with the highest memorization."""
    values = scores.more["memorization"]
    known = np.isfinite(values)
    highest = [i for i in np.argsort(-values, kind="stable")[:5] if known[i]]
    if not highest:
        return "memorization: unknown; it takes runs that trained on an example, and runs that held it out"

    return (
        f"memorization (accuracy trained on less held out) at ratio {scores.more['memorization_ratio']:g}: "
        f"{(values >= MEMORIZED).sum():,} of {known.sum():,} examples at {MEMORIZED:g} or above; highest, by id and "
        "with the 95 % interval of one example alone: "
        + ", ".join(f"{scores.ids[i]} {values[i]:.3f} {describe_limits(scores, 'memorization', i)}" for i in highest)
    )


def describe_speed(models_now: int, seconds_now: float, devices: str, num_models: int) -> str:
    """The number of models trained by this call, speed and devices, and the total number of models."""
    if not models_now:
        return f"0 models trained, because all were there; {num_models:,} in all"
    rate = np.format_float_positional(models_now / seconds_now, 3, fractional=False, trim="-")
    models = count_of(models_now, "model")
    return f"{models} trained in {seconds_now:.1f} s ({rate} models/s) on {devices}; {num_models:,} in all"


def count_halvings(halves: np.ndarray) -> str:
    """The number of random halvings, as text; two blocks of runs can be halved in one way only."""
    several = np.ptp(halves) > 1e-9
    return f"{len(halves)} random halvings" if several else "the one halving that so few runs allow"


def describe_reliability(scores: Scores) -> str:
    """Mean and range of the split-half reliability, as text."""
    halves = scores.reliability
    if not len(halves):
        return "split-half reliability: unknown; it needs two independent blocks of runs or more at every ratio"
    if halves.mean() <= 0:
        return (
            f"split-half reliability (Spearman-Brown): none, the halves do not agree over {count_halvings(halves)}; "
            "more --num_runs tell examples apart, if they differ"
        )
    return (
        f"split-half reliability (Spearman-Brown): {halves.mean():.4f}, from {halves.min():.4f} to "
        f"{halves.max():.4f} over {count_halvings(halves)}"
    )
