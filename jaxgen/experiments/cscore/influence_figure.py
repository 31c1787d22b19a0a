"""Test examples beside the training examples that influence them most, as Feldman and Zhang (2020, figure 3) show."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import INK, new_figure, styled
from jaxgen.views.gallery import TILE_CAPTION, draw_tile

ROWS, COLUMNS = 8, 6
# In tiles: between test and training examples.
GAP = 0.3


def beside(scores: Scores, rows: int = ROWS, columns: int = COLUMNS) -> list[tuple[int, np.ndarray]]:
    """Test examples of the largest influence, each with the places of its pairs, the largest first."""
    tests = scores.more["influence_test"]
    _, first = np.unique(tests, return_index=True)
    return [(int(tests[i]), np.flatnonzero(tests == tests[i])[:columns]) for i in np.sort(first)[:rows]]


def count_largest(scores: Scores) -> int:
    """Test examples that have a pair of the largest influence there is: of more than are shown, it is no merit to be
    shown."""
    values = scores.more["influence"]
    return len(np.unique(scores.more["influence_test"][values == values.max()])) if len(values) else 0


@styled
def draw_influence(dataset: Dataset, scores: Scores) -> Figure:
    """A row a test example: itself, how often it is got right, and its most influential training examples."""
    shown, told = beside(scores), scores.metadata["influence"]
    tests = dataclasses.replace(dataset, images=dataset.test_images, labels=dataset.test_labels)
    width, height = 1 + GAP + COLUMNS, max(len(shown), 1) * (1 + TILE_CAPTION)
    figure = new_figure(1.02 * width + 0.3, 1.02 * height + 0.9, layout="none")
    axes = figure.add_axes((0.02, 0.01, 0.96, height / (height + 0.9)))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    accuracy, more = scores.more["test_accuracy_by_example"], scores.more
    for row, (test, pairs) in enumerate(shown):
        top = row * (1 + TILE_CAPTION)
        draw_tile(axes, tests, test, 0, top, f"test {test}", f"right: {accuracy[test]:.2f}")
        for column, pair in enumerate(pairs):
            train = int(more["influence_train"][pair])
            value = f"{more['influence'][pair]:.2f} ± {more['influence_stderr'][pair]:.2f}"
            draw_tile(axes, dataset, train, 1 + GAP + column, top, str(dataset.ids[train]), value)
    ratio, runs = scores.more["influence_ratio"], told["num_runs"]
    title = f"{dataset.name}: influence of training examples on the test example at the left"
    figure.text(0.5, 1 - 0.3 / (height + 0.9), title, ha="center", va="center", fontsize=10, color=INK)
    second = f"± standard error; ratio {ratio:g}, n = {runs:,} runs; label and id over the value"
    if len(shown) < (alike := count_largest(scores)):
        second += f"\n{len(shown)} of the {alike:,} test examples whose largest influence is {more['influence'][0]:.2f}"
    figure.text(0.5, 1 - 0.6 / (height + 0.9), second, ha="center", va="center", fontsize=8, color=INK)
    return figure


def describe_influence(dataset: Dataset, scores: Scores) -> str:
    """How many pairs are kept and how many are as those published, by influence and by chance; the strongest."""
    more, told = scores.more, scores.metadata["influence"]
    count = len(more["influence"])
    ties = int((more["influence"] == more["influence"].max()).sum()) if count else 0
    lines = [
        f"influence at ratio {more['influence_ratio']:g} over {told['num_runs']:,} runs: {count:,} pairs are kept; of "
        f"memorization >= 0.25 and influence >= 0.15 there are {told['pairs']:,}, on {told['test_examples']:,} test "
        f"examples (with but one pair: {told['single']:,}); {describe_chance(told)}",
        "",
        "most influential: training id, label -> test position, label, influence, its 95 % interval as one pair alone"
        + (f" (the first of {ties:,} pairs alike)" if ties > 5 else ""),
    ]
    names = dataset.class_names
    for i in range(min(5, count)):
        train, test = more["influence_train"][i], more["influence_test"][i]
        lines.append(
            f"{dataset.ids[train]}  {names[dataset.labels[train]]} -> {test}  {names[dataset.test_labels[test]]}  "
            f"{more['influence'][i]:.3f} [{more['influence_low'][i]:.3f}, {more['influence_high'][i]:.3f}]"
        )
    return "\n".join(lines)


def describe_chance(told: Mapping[str, Any]) -> str:
    """What there would be without influence: pairs, and the largest of all, which selection makes too large."""
    pairs, strongest = told["by_chance_of_shifts"], told["strongest_by_chance_of_shifts"]
    if not pairs:
        return "too few runs to tell what arises by chance"
    return (
        f"by chance alone, with other models' answers (n = {len(pairs)} pairings): {np.mean(pairs):,.0f} pairs "
        f"({min(pairs):,} to {max(pairs):,}), and the largest influence of all is {np.mean(strongest):.3f} "
        f"({min(strongest):.3f} to {max(strongest):.3f})"
    )
