"""Figure of test examples and their most influential training examples, after Feldman and Zhang (2020, figure 3)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import INK, new_figure, styled
from jaxgen.views.gallery import TILE_CAPTION, draw_tile
from jaxgen.wording import count_of

ROWS, COLUMNS = 8, 6
# Gap between test and training examples, in tiles.
GAP = 0.3


def strongest_by_test(scores: Scores, rows: int = ROWS, columns: int = COLUMNS) -> list[tuple[int, np.ndarray]]:
    """Test examples in order of their largest influence, each with the indices of its pairs, largest first."""
    tests = scores.more["influence_test"]
    _, first = np.unique(tests, return_index=True)
    return [(int(tests[i]), np.flatnonzero(tests == tests[i])[:columns]) for i in np.sort(first)[:rows]]


def count_largest(scores: Scores) -> int:
    """The number of test examples that have a pair of the largest influence (ties)."""
    values = scores.more["influence"]
    return len(np.unique(scores.more["influence_test"][values == values.max()])) if len(values) else 0


@styled
def draw_influence(dataset: Dataset, scores: Scores) -> Figure:
    """A row per test example: its image, its accuracy over models, and its most influential training examples."""
    shown, summary = strongest_by_test(scores), scores.metadata["influence"]
    tests = dataclasses.replace(dataset, images=dataset.test_images, labels=dataset.test_labels)
    width, height = 1 + GAP + COLUMNS, max(len(shown), 1) * (1 + TILE_CAPTION)
    figure = new_figure(1.02 * width + 0.3, 1.02 * height + 0.9, layout="none")
    axes = figure.add_axes((0.02, 0.01, 0.96, height / (height + 0.9)))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    accuracy, arrays = scores.more["test_accuracy_by_example"], scores.more
    for row, (test, pairs) in enumerate(shown):
        top = row * (1 + TILE_CAPTION)
        draw_tile(axes, tests, test, 0, top, f"test {test}", f"right: {accuracy[test]:.2f}")
        for column, pair in enumerate(pairs):
            train = int(arrays["influence_train"][pair])
            value = f"{arrays['influence'][pair]:.2f} ± {arrays['influence_stderr'][pair]:.2f}"
            draw_tile(axes, dataset, train, 1 + GAP + column, top, str(dataset.ids[train]), value)
    ratio, runs = scores.more["influence_ratio"], summary["num_runs"]
    title = f"{dataset.name}: influence of training examples on the test example at the left"
    figure.text(0.5, 1 - 0.3 / (height + 0.9), title, ha="center", va="center", fontsize=10, color=INK)
    subtitle = f"± standard error; ratio {ratio:g}, n = {count_of(runs, 'run')}; label and id over the value"
    if len(shown) < (num_tied := count_largest(scores)):
        subtitle += (
            f"\n{len(shown)} of the {num_tied:,} test examples whose largest influence is {arrays['influence'][0]:.2f}"
        )
    figure.text(0.5, 1 - 0.6 / (height + 0.9), subtitle, ha="center", va="center", fontsize=8, color=INK)
    return figure


def describe_influence(dataset: Dataset, scores: Scores) -> str:
    """Summary of the pairs as text: counts, counts under the published thresholds and by chance, the strongest."""
    arrays, summary = scores.more, scores.metadata["influence"]
    count = len(arrays["influence"])
    ties = int((arrays["influence"] == arrays["influence"].max()).sum()) if count else 0
    lines = [
        f"influence at ratio {arrays['influence_ratio']:g} over {summary['num_runs']:,} runs: {count:,} pairs are "
        f"kept; of memorization >= 0.25 and influence >= 0.15 there are {summary['pairs']:,}, on "
        f"{summary['test_examples']:,} test examples (with but one pair: {summary['single']:,}); "
        f"{describe_chance(summary)}",
        "",
        "most influential: training id, label -> test position, label, influence, its 95 % interval as one pair alone"
        + (f" (the first of {ties:,} pairs alike)" if ties > 5 else ""),
    ]
    names = dataset.class_names
    for i in range(min(5, count)):
        train, test = arrays["influence_train"][i], arrays["influence_test"][i]
        lines.append(
            f"{dataset.ids[train]}  {names[dataset.labels[train]]} -> {test}  {names[dataset.test_labels[test]]}  "
            f"{arrays['influence'][i]:.3f} [{arrays['influence_low'][i]:.3f}, {arrays['influence_high'][i]:.3f}]"
        )
    return "\n".join(lines)


def describe_chance(summary: Mapping[str, Any]) -> str:
    """Pairs, and the largest influence of all, that arise by chance alone."""
    if not summary.get("pairings"):
        return "too few runs to tell what arises by chance"
    strongest, least, most = (summary[f"strongest_by_chance{end}"] for end in ("", "_least", "_most"))
    return (
        f"by chance alone, with other models' answers (n = {summary['pairings']} pairings): {summary['by_chance']:,} "
        f"pairs ({summary['by_chance_least']:,.0f} to {summary['by_chance_most']:,.0f}), and the largest influence of "
        f"all is {strongest:.3f} ({least:.3f} to {most:.3f})"
    )
