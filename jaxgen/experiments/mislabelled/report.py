"""Reports of a search for mislabelled examples and of a benchmark of scores."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen.config import MislabelledSpec
from jaxgen.experiments.cscore.simple_baselines import NEIGHBOURS
from jaxgen.experiments.mislabelled.benchmark import Benchmark
from jaxgen.experiments.mislabelled.figures import UNKNOWN, draw_benchmark, draw_suspects
from jaxgen.experiments.mislabelled.flagging import flag_table
from jaxgen.experiments.mislabelled.job import MislabelledJob
from jaxgen.experiments.mislabelled.search import HeldoutAccuracy, Mislabelled
from jaxgen.experiments.mislabelled.threshold_samples import describe_flagged
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_csv, to_table
from jaxgen.scores.intervals import half_width, mean_and_limits
from jaxgen.scores.paired import compare, describe_difference
from jaxgen.scores.registry import REGISTRY
from jaxgen.types import Dataset
from jaxgen.views.summary import describe_speed
from jaxgen.wording import count_of

# Rows in the tables of examples and of class pairs.
MAX_ROWS = 20
# Of so many examples at most nearest neighbours are sought, which networks are compared with.
MOST_NEIGHBOURED = 5000
MEASURES = {"auroc": "AUROC", "average_precision": "average precision", "precision": "precision at the number wrong"}


def make_report(job: MislabelledJob, results: Mislabelled | Benchmark) -> Report:
    """The report of a search, or of a benchmark of scores."""
    if isinstance(results, Benchmark):
        return report_benchmark(results, job.spec)
    return report_search(job.dataset, results, job.spec)


def report_search(dataset: Dataset, result: Mislabelled, spec: MislabelledSpec) -> Report:
    """The report of a search: examples in order of suspicion, a figure of the first ones, and all scores."""
    text, metadata = describe_search(dataset, result), result.scores.metadata
    shown = result.order[np.isfinite(result.values[result.order])][: spec.search.num_shown]
    title = f"{describe_order(dataset, result)}\n{describe_count(result)}"
    suggested = np.where(result.judged, result.suggested, UNKNOWN)
    draw = functools.partial(draw_suspects, dataset, shown, suggested, result.values, result.score, title)
    files = {
        "mislabelled.csv": to_csv(list(result.rows())),
        "mislabelled.png": draw,
        "table.md": text + "\n",
        "cscores.npz": result.scores,
    }
    models_now, seconds_now, devices, num_models, width = (
        metadata[name] for name in ("models_now", "seconds_now", "devices", "num_models", "width")
    )
    widths = {width}
    if further := result.threshold_samples:
        models_now, seconds_now = models_now + further.models_now, seconds_now + further.seconds_now
        num_models, widths = num_models + len(further.found.thresholds), {width} | further.widths
    speed = describe_speed(models_now, seconds_now, devices, num_models)
    return Report(with_resolved_width(spec, widths), f"{speed}\n\n{text}", files)


def describe_order(dataset: Dataset, result: Mislabelled) -> str:
    """One line about the score that ranks the examples."""
    scored = int(np.isfinite(result.values).sum())
    counts = result.scores.counts.sum(0)
    num_heldout = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return (
        f"{dataset.name}: {scored:,} of {len(result.order):,} examples ranked by {result.score.name} "
        f"({result.score.meaning}), each held out by {num_heldout} of {result.scores.metadata['num_models']:,} models"
    )


def describe_count(result: Mislabelled) -> str:
    """One line about the estimated number of wrong labels and how it was estimated."""
    wrong = result.wrong
    if not wrong.n:
        return "how many labels are wrong is unknown: no held-out probabilities were kept; add pred_probs to --track"
    if result.accuracy.at_chance:
        return (
            "how many labels are wrong cannot be told: it is not shown that the models are right more often than the "
            "most frequent label is. Either the inputs do not tell the classes apart, or training fails (try a lower "
            "--learning_rate or more --epochs, with another --out), or there are too few examples. Do not rely on the "
            "order below"
        )
    share = 100 * wrong.count / wrong.n
    overlap = wrong.suspicious - wrong.count
    ambiguous = (
        f"; {overlap:.0f} more contradict an uncertain prediction and lie where classes overlap"
        if overlap >= 0.5
        else ""
    )
    return (
        f"estimated to be mislabelled: {wrong.count:.0f} [{wrong.low:.0f}, {wrong.high:.0f}] of {wrong.n:,} "
        f"({share:.1f} %): confidently of another class when held out, and margin below 0 in training{ambiguous}"
    )


def describe_trust(result: Mislabelled) -> list[str]:
    """How far to trust the estimated number, in one line; nothing where there is none."""
    if not np.isfinite(result.wrong.count):
        return []
    return [
        "how far to trust that number: its 95 % interval is for another draw of examples, not for what the rule is off "
        "by (with labels made wrong it held the true number in 5 of 43 tests, and the rule counted 0.5 to 1.2 times as "
        "many as there were). Where classes overlap, right labels are counted too: in tests without a wrong one, up to "
        f"half of what the models got wrong when held out, which is {result.accuracy.errors / 2:.0f} here"
    ]


def describe_accuracy(dataset: Dataset, result: Mislabelled) -> str:
    """One line about how well the models predict held-out labels, beside chance and nearest neighbours."""
    accuracy, neighbours = result.accuracy, neighbour_accuracy(dataset)
    warning = ""
    if accuracy.high < neighbours.low:
        warning = ": the network learns less than they do, and its doubts count for less; try other --model or training"
    return (
        f"held-out accuracy {100 * accuracy.mean:.1f} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}] % on the "
        f"labels as they are, n = {accuracy.n:,}; the most frequent label is {100 * accuracy.chance:.1f} % of all, "
        f"and the {NEIGHBOURS} nearest of the other examples are right on {100 * neighbours.mean:.1f} "
        f"[{100 * neighbours.low:.1f}, {100 * neighbours.high:.1f}] %, n = {neighbours.n:,}{warning}"
    )


def neighbour_accuracy(dataset: Dataset) -> HeldoutAccuracy:
    """Leave-one-out accuracy of the most frequent label among the nearest other examples, by stored values.

    Of at most `MOST_NEIGHBOURED` examples, spread over the data.
    """
    from sklearn.neighbors import NearestNeighbors

    count = len(dataset.labels)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_NEIGHBOURED)).astype(int))
    inputs, labels = dataset.images[chosen].reshape(len(chosen), -1).astype(np.float32), dataset.labels[chosen]
    near = min(NEIGHBOURS, len(chosen) - 1)
    nearest = NearestNeighbors(n_neighbors=near).fit(inputs).kneighbors(return_distance=False)
    votes = np.stack([np.bincount(labels[row], minlength=dataset.num_classes) for row in nearest])
    right = (votes.argmax(1) == labels).astype(float)
    chance = float(np.bincount(labels).max() / len(labels))
    return HeldoutAccuracy(*mean_and_limits(right), chance, len(labels))


def describe_search(dataset: Dataset, result: Mislabelled) -> str:
    """The summary of a search, with tables of the most suspicious examples and the most confused classes."""
    lines = [
        [
            row["rank"],
            row["id"],
            row["label"],
            result.describe_suggestion(i),
            describe_with_error(float(row["score"]), float(row["stderr"])),
            row["heldout_n"],
        ]
        for i, row in zip(result.order[:MAX_ROWS], result.rows(), strict=False)
    ]
    header = ["rank", "id", "label", "suggested", f"{result.score.name} ± standard error", "held-out n"]
    parts = [
        describe_accuracy(dataset, result),
        describe_order(dataset, result),
        describe_count(result),
        *describe_trust(result),
        *([describe_flagged(result.threshold_samples.found)] if result.threshold_samples else []),
        to_table(header, [map(str, line) for line in lines]),
    ]
    if pairs := pair_lines(result):
        parts.append(to_table(["label", "estimated to be", "examples"], pairs))
    return "\n\n".join(parts)


def describe_with_error(value: float, error: float) -> str:
    """A value ± its standard error, to two significant digits of the error; a dash for an unknown value."""
    if np.isnan(value):
        return "—"
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def pair_lines(result: Mislabelled) -> list[list[str]]:
    """The most frequent label errors by estimate: given label, estimated class and number of examples."""
    names, joint = result.scores.class_names, np.nan_to_num(result.wrong.joint)
    order = np.argsort(-joint, axis=None, kind="stable")[:MAX_ROWS]
    pairs = zip(*np.unravel_index(order, joint.shape), strict=True)
    return [[str(names[i]), str(names[j]), f"{joint[i, j]:.0f}"] for i, j in pairs if joint[i, j]]


def report_benchmark(benchmark: Benchmark, spec: MislabelledSpec) -> Report:
    """The report of a benchmark: detection by every score, and estimated numbers of wrong labels."""
    text = describe_benchmark(benchmark, spec)
    title = f"{benchmark.dataset.name}: dots are repeats, n = {num_repeats(benchmark)} each; rings their mean"
    plotted = benchmark.rows, rank_scores(benchmark), spec.search.score, title
    files = {
        "league.csv": to_csv(benchmark.rows),
        "counts.csv": to_csv(benchmark.estimates),
        "league.png": functools.partial(draw_benchmark, *plotted),
        "table.md": text + "\n",
    }
    if benchmark.flags:
        files["flagged.csv"] = to_csv(benchmark.flags)
    return Report(with_resolved_width(spec, {benchmark.width}), text, files)


def num_repeats(benchmark: Benchmark) -> int:
    """The number of repeats."""
    return len({row["repeat"] for row in benchmark.rows})


def list_noises(benchmark: Benchmark) -> list[str]:
    """The kinds of injected noise, in order."""
    return list(dict.fromkeys(row["noise"] for row in benchmark.rows))


def measured_values(benchmark: Benchmark, score: str, noise: str, measure: str) -> np.ndarray:
    """The values of a measure of a score under a noise, one per repeat."""
    return np.array([row[measure] for row in benchmark.rows if (row["score"], row["noise"]) == (score, noise)])


def rank_scores(benchmark: Benchmark) -> list[str]:
    """Names of scores and baselines, best first by mean AUROC over noises and repeats."""
    names = dict.fromkeys(row["score"] for row in benchmark.rows)
    mean = {name: np.mean([row["auroc"] for row in benchmark.rows if row["score"] == name]) for name in names}
    return sorted(names, key=lambda name: -mean[name])


def describe_benchmark(benchmark: Benchmark, spec: MislabelledSpec) -> str:
    """Tables of each measure, of AUROC differences to the baselines, and of estimated numbers of wrong labels."""
    n, further = num_repeats(benchmark), spec.search.threshold_samples
    models = f"{count_of(benchmark.models, 'model')} for each noise and repeat"
    models += f", and {further} with threshold samples" if further else ""
    parts = [
        f"{benchmark.dataset.name}: {len(benchmark.dataset.labels):,} examples, {models}. In percent, mean ± half of "
        f"the 95 % interval of each alone, by Student's t over n = {count_of(n, 'repeat')}; best first by mean AUROC. "
        "Labels that were wrong before count as right."
    ]
    if any(noise.startswith("file:") for noise in list_noises(benchmark)):
        parts[0] += " Labels from a file are the same in every repeat: its intervals are over subsets and models alone."
    parts += [f"{title}\n\n{measure_table(benchmark, measure)}" for measure, title in MEASURES.items()]
    if lines := difference_lines(benchmark, spec.search.score):
        header = [f"{spec.search.score} less", *list_noises(benchmark)]
        parts.append(
            f"AUROC in points, in pairs, mean [95 % interval] of each alone, n = {n}\n\n{to_table(header, lines)}"
        )
    header = ["noise", "labels wrong", "estimated", "interval holds the number", "estimated by cleanlab, 5-fold"]
    parts.append(f"How many labels are wrong, mean over n = {n}\n\n{to_table(header, list(count_lines(benchmark)))}")
    if benchmark.flags:
        parts.append(f"Which labels are flagged, mean ± half of the interval, n = {n}\n\n{flag_table(benchmark.flags)}")
    return "\n\n".join([*parts, *benchmark.missing])


def measure_table(benchmark: Benchmark, measure: str) -> str:
    """The table of a measure: a row per score, a column per noise."""
    lines = []
    for name in rank_scores(benchmark):
        cells = [describe_half(measured_values(benchmark, name, noise, measure)) for noise in list_noises(benchmark)]
        origin = REGISTRY[name].origin if name in REGISTRY else "rival"
        lines.append([f"`{name}`" if name in REGISTRY else name, origin, *cells])
    return to_table(["score", "from", *list_noises(benchmark)], lines)


def describe_half(values: np.ndarray) -> str:
    """Mean ± half the width of its interval, in percent."""
    half = 100 * half_width(values)
    return f"{100 * values.mean():.2f}" + (f" ± {half:.2f}" if half > 0 else "")


def difference_lines(benchmark: Benchmark, score: str) -> list[list[str]]:
    """Rows with the AUROC of the chosen score minus that of each baseline."""
    baselines = dict.fromkeys(row["score"] for row in benchmark.rows if row["origin"] == "rival")
    lines = []
    for baseline in baselines:
        pairs = [
            measured_values(benchmark, score, noise, "auroc") - measured_values(benchmark, baseline, noise, "auroc")
            for noise in list_noises(benchmark)
        ]
        lines.append([baseline, *(describe_difference(compare(pair)) for pair in pairs)])
    return lines


def count_lines(benchmark: Benchmark) -> Iterator[Sequence[Any]]:
    """Rows with the true and estimated numbers of wrong labels under each noise."""
    for noise in list_noises(benchmark):
        estimates = [row for row in benchmark.estimates if row["noise"] == noise]
        names = ("wrong", "estimated", "low", "high", "cleanlab")
        means = {name: np.mean([row[name] for row in estimates]) for name in names}
        num_covered = sum(row["low"] <= row["wrong"] <= row["high"] for row in estimates)
        cleanlab = f"{means['cleanlab']:.0f}" if np.isfinite(means["cleanlab"]) else "—"
        estimated = f"{means['estimated']:.0f} [{means['low']:.0f}, {means['high']:.0f}]"
        if not np.isfinite(means["estimated"]):
            estimated = "— (at chance)"
        yield [noise, f"{means['wrong']:.0f}", estimated, f"{num_covered} of {len(estimates)}", cleanlab]
