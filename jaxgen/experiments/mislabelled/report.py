"""What a search for mislabelled examples, and a league of scores, tell: tables, files."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen.config import MislabelledSpec
from jaxgen.experiments.mislabelled.benchmark import Benchmark
from jaxgen.experiments.mislabelled.figures import draw_benchmark, draw_suspects
from jaxgen.experiments.mislabelled.job import MislabelledJob
from jaxgen.experiments.mislabelled.search import Mislabelled
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_csv, to_table
from jaxgen.scores.intervals import half_width
from jaxgen.scores.paired import compare, describe_difference
from jaxgen.scores.registry import REGISTRY
from jaxgen.types import Dataset
from jaxgen.views.summary import describe_speed

# As many lines as tables of examples, and of pairs of classes, have.
MOST_SHOWN = 20
MEASURES = {"auroc": "AUROC", "average_precision": "average precision", "precision": "precision at the number wrong"}


def make_report(job: MislabelledJob, results: Mislabelled | Benchmark) -> Report:
    """The report of a search, or of a benchmark of scores."""
    if isinstance(results, Benchmark):
        return report_benchmark(results, job.spec)
    return report_search(job.dataset, results, job.spec)


def report_search(dataset: Dataset, found: Mislabelled, spec: MislabelledSpec) -> Report:
    """All examples in order of suspicion, the picture of the first ones, and all scores."""
    text, metadata = describe_search(dataset, found), found.scores.metadata
    shown = found.order[np.isfinite(found.values[found.order])][: spec.search.num_shown]
    title = f"{describe_order(dataset, found)}\n{describe_count(found)}"
    draw = functools.partial(draw_suspects, dataset, shown, found.suggested, found.values, found.score, title)
    files = {
        "mislabelled.csv": to_csv(list(found.rows())),
        "mislabelled.png": draw,
        "table.md": text + "\n",
        "cscores.npz": found.scores,
    }
    speed = describe_speed(*(metadata[name] for name in ("models_now", "seconds_now", "devices", "num_models")))
    return Report(with_resolved_width(spec, {metadata["width"]}), f"{speed}\n\n{text}", files)


def describe_order(dataset: Dataset, found: Mislabelled) -> str:
    """By what the examples are ranked."""
    scored = int(np.isfinite(found.values).sum())
    counts = found.scores.counts.sum(0)
    held = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return (
        f"{dataset.name}: {scored:,} of {len(found.order):,} examples ranked by {found.score.name} "
        f"({found.score.meaning}), each held out by {held} of {found.scores.metadata['num_models']:,} models"
    )


def describe_count(found: Mislabelled) -> str:
    """How many labels are estimated to be wrong, and how that was found."""
    wrong = found.wrong
    if not wrong.n:
        return "how many labels are wrong is unknown: no held-out probabilities were kept; add pred_probs to --track"
    share = 100 * wrong.count / wrong.n
    return (
        f"estimated to be mislabelled: {wrong.count:.0f} [{wrong.low:.0f}, {wrong.high:.0f}] of {wrong.n:,} "
        f"({share:.1f} %): confidently of another class when held out, and margin below 0 in training (95 % interval "
        "of other examples, not of the rule, which counted 0.5 to 1.2 times the true number where that was known)"
    )


def describe_search(dataset: Dataset, found: Mislabelled) -> str:
    """The order and the count in words, the most suspicious examples, and which classes are taken for which."""
    lines = [
        [
            row["rank"],
            row["id"],
            row["label"],
            row["suggested"] or "its own",
            describe_with_error(float(row["score"]), float(row["stderr"])),
            row["heldout_n"],
        ]
        for _, row in zip(range(MOST_SHOWN), found.rows(), strict=False)
    ]
    header = ["rank", "id", "label", "suggested", f"{found.score.name} ± standard error", "held-out n"]
    parts = [
        describe_order(dataset, found),
        describe_count(found),
        to_table(header, [map(str, line) for line in lines]),
    ]
    if pairs := pair_lines(found):
        parts.append(to_table(["label", "estimated to be", "examples"], pairs))
    return "\n\n".join(parts)


def describe_with_error(value: float, error: float) -> str:
    """A value to the digits that its error leaves it."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def pair_lines(found: Mislabelled) -> list[list[str]]:
    """The most frequent confusions among those estimated to be wrong: label, class by estimate, how many."""
    names, joint = found.scores.class_names, np.nan_to_num(found.wrong.joint)
    order = np.argsort(-joint, axis=None, kind="stable")[:MOST_SHOWN]
    places = zip(*np.unravel_index(order, joint.shape), strict=True)
    return [[str(names[i]), str(names[j]), f"{joint[i, j]:.0f}"] for i, j in places if joint[i, j]]


def report_benchmark(benchmark: Benchmark, spec: MislabelledSpec) -> Report:
    """How every score finds known noise, and how many wrong labels were estimated."""
    text = describe_benchmark(benchmark, spec)
    title = f"{benchmark.dataset.name}: dots are repeats, n = {num_repeats(benchmark)} each; rings their mean"
    shown = benchmark.rows, in_order(benchmark), spec.search.score, title
    files = {
        "league.csv": to_csv(benchmark.rows),
        "counts.csv": to_csv(benchmark.estimates),
        "league.png": functools.partial(draw_benchmark, *shown),
        "table.md": text + "\n",
    }
    return Report(with_resolved_width(spec, {benchmark.width}), text, files)


def num_repeats(benchmark: Benchmark) -> int:
    """How many repeats were run."""
    return len({row["repeat"] for row in benchmark.rows})


def noises_of(benchmark: Benchmark) -> list[str]:
    """The kinds of injected noise, in the order that they were run."""
    return list(dict.fromkeys(row["noise"] for row in benchmark.rows))


def values_of(benchmark: Benchmark, score: str, noise: str, measure: str) -> np.ndarray:
    """A measure of a score by repeat."""
    return np.array([row[measure] for row in benchmark.rows if (row["score"], row["noise"]) == (score, noise)])


def in_order(benchmark: Benchmark) -> list[str]:
    """The scores and rivals, best first by mean AUROC over noises and repeats."""
    names = dict.fromkeys(row["score"] for row in benchmark.rows)
    mean = {name: np.mean([row["auroc"] for row in benchmark.rows if row["score"] == name]) for name in names}
    return sorted(names, key=lambda name: -mean[name])


def describe_benchmark(benchmark: Benchmark, spec: MislabelledSpec) -> str:
    """A table for each measure, differences of the chosen score from its rivals, and what estimates of the number of
    wrong labels are worth."""
    n = num_repeats(benchmark)
    parts = [
        f"{benchmark.dataset.name}: {len(benchmark.dataset.labels):,} examples, {benchmark.models:,} models for each "
        "noise and repeat. In percent, mean ± half of the 95 % interval by Student's t over "
        f"n = {n} repeats; best first by mean AUROC. Labels that were wrong before count as right."
    ]
    parts += [f"{title}\n\n{measure_table(benchmark, measure)}" for measure, title in MEASURES.items()]
    if lines := difference_lines(benchmark, spec.search.score):
        header = [f"{spec.search.score} less", *noises_of(benchmark)]
        parts.append(f"AUROC in points, in pairs, mean [95 % interval], n = {n}\n\n{to_table(header, lines)}")
    header = ["noise", "labels wrong", "estimated", "interval holds the number", "estimated by cleanlab, 5-fold"]
    parts.append(f"How many labels are wrong, mean over n = {n}\n\n{to_table(header, list(count_lines(benchmark)))}")
    return "\n\n".join([*parts, *benchmark.missing])


def measure_table(benchmark: Benchmark, measure: str) -> str:
    """A line a score, a column a noise."""
    lines = []
    for name in in_order(benchmark):
        cells = [describe_half(values_of(benchmark, name, noise, measure)) for noise in noises_of(benchmark)]
        origin = REGISTRY[name].origin if name in REGISTRY else "rival"
        lines.append([f"`{name}`" if name in REGISTRY else name, origin, *cells])
    return to_table(["score", "from", *noises_of(benchmark)], lines)


def describe_half(values: np.ndarray) -> str:
    """Mean ± half of its interval, in percent."""
    half = 100 * half_width(values)
    return f"{100 * values.mean():.2f}" + (f" ± {half:.2f}" if np.isfinite(half) else "")


def difference_lines(benchmark: Benchmark, score: str) -> list[list[str]]:
    """The chosen score's AUROC less each rival's."""
    baselines = dict.fromkeys(row["score"] for row in benchmark.rows if row["origin"] == "rival")
    found = []
    for baseline in baselines:
        pairs = [
            values_of(benchmark, score, noise, "auroc") - values_of(benchmark, baseline, noise, "auroc")
            for noise in noises_of(benchmark)
        ]
        found.append([baseline, *(describe_difference(compare(pair)) for pair in pairs)])
    return found


def count_lines(benchmark: Benchmark) -> Iterator[Sequence[Any]]:
    """Of each noise: how many labels were wrong, and how many were estimated to be."""
    for noise in noises_of(benchmark):
        own = [row for row in benchmark.estimates if row["noise"] == noise]
        mean = {name: np.mean([row[name] for row in own]) for name in ("wrong", "estimated", "low", "high", "cleanlab")}
        held = sum(row["low"] <= row["wrong"] <= row["high"] for row in own)
        theirs = f"{mean['cleanlab']:.0f}" if np.isfinite(mean["cleanlab"]) else "—"
        estimated = f"{mean['estimated']:.0f} [{mean['low']:.0f}, {mean['high']:.0f}]"
        yield [noise, f"{mean['wrong']:.0f}", estimated, f"{held} of {len(own)}", theirs]
