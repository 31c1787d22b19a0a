"""The most and the least regular examples of each class, as Jiang et al. (2021, figure 4) show them."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled

# Under a tile, for its words: a share of the tile's height.
TILE_CAPTION = 0.36
TILES = 10
MAX_CLASSES = 10
# In tiles: the space between the blocks, and under each tile for its score.
GAP, CAPTION = 0.75, 0.3
# Pixels a side to which small images are magnified, so that the spaces are whole pixels.
SIDE = 40
# Larger images are drawn at so many pixels a side: a tile is no larger in print.
MAX_SIDE = 160


@styled
def draw_examples(dataset: Dataset, scores: Scores) -> Figure:
    """Per class a block of the highest and a block of the lowest scores; for tables, score histograms by class.

    Only examples that have a score are shown; at most `MAX_CLASSES` classes, evenly chosen, which the title says.
    """
    classes = np.linspace(0, dataset.num_classes - 1, min(MAX_CLASSES, dataset.num_classes)).round().astype(int)
    if not dataset.has_images:
        return draw_class_histograms(dataset, scores, classes)
    blocks = [
        (left, [rank_class(scores, label, highest=highest)[:TILES] for label in classes])
        for left, highest in ((0.0, True), (TILES + GAP, False))
    ]
    width, height = 2 * TILES + GAP, len(classes) * (1 + CAPTION)
    figure = new_figure(0.55 * (width + 2.2), 0.55 * (height + 1.8), layout="none")
    axes = figure.add_axes((1.9 / (width + 2.2), 0.2 / (height + 1.8), width / (width + 2.2), height / (height + 1.8)))
    axes.imshow(mosaic(dataset, blocks, width, height), extent=(0, width, height, 0), interpolation="nearest")
    axes.axis("off")
    for left, rows in blocks:
        for row, chosen in enumerate(rows):
            for column, i in enumerate(chosen):
                axes.text(
                    left + column + 0.5,
                    row * (1 + CAPTION) + 1.02,
                    f"{scores.scores[i]:.2f}",
                    ha="center",
                    va="top",
                    fontsize=6.5,
                    color=INK,
                )
    for row, label in enumerate(classes):
        axes.text(
            -0.2,
            row * (1 + CAPTION) + 0.5,
            shorten(dataset.class_names[label]),
            ha="right",
            va="center",
            fontsize=10,
            color=INK,
        )
    for (left, _), end, extreme in zip(blocks, ("highest", "lowest"), (np.max, np.min), strict=True):
        title = f"{end} C-scores{describe_ties(scores, extreme)}"
        axes.text(left + TILES / 2, -0.2, title, ha="center", fontsize=11, color=INK)
    axes.text(width / 2, -1, describe(dataset, scores, len(classes)), ha="center", fontsize=11, color=INK)
    return figure


def mosaic(dataset: Dataset, blocks: list[tuple[float, list[np.ndarray]]], width: float, height: float) -> np.ndarray:
    """All tiles in one white picture of `width` x `height` tiles: one picture is drawn far faster than two hundred."""
    tall, wide = as_picture(dataset, 0).shape[:2]
    times = max(1, math.ceil(SIDE / max(tall, wide)))
    side = times * max(tall, wide)
    canvas = np.ones((round(height * side), round(width * side), 3), np.float32)
    for left, rows in blocks:
        for row, chosen in enumerate(rows):
            for column, i in enumerate(chosen):
                picture = np.kron(as_picture(dataset, i), np.ones((times, times, 1), np.float32))
                y, x = round(row * (1 + CAPTION) * side), round((left + column) * side)
                # A hair's breadth of white between neighbours.
                canvas[y : y + times * tall, x : x + times * wide - 1] = picture[:, :-1]
    return canvas


def as_picture(dataset: Dataset, i: int) -> np.ndarray:
    """Example i as red, green and blue in [0, 1]: ``[h, w, 3]``, thinned to `MAX_SIDE`; transparency is left out."""
    every = math.ceil(max(dataset.images.shape[1:3]) / MAX_SIDE)
    picture = np.clip(dataset.images[i, ::every, ::every].astype(np.float32) * dataset.scale, 0, 1)
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]


def rank_class(scores: Scores, label: int, *, highest: bool = False) -> np.ndarray:
    """Positions of the scored examples of a class, lowest (or highest) score first; of equal ones the earlier first."""
    members = np.flatnonzero((scores.labels == label) & np.isfinite(scores.scores))
    values = scores.scores[members]
    return members[np.argsort(-values if highest else values, kind="stable")]


def draw_class_histograms(dataset: Dataset, scores: Scores, shown: np.ndarray) -> Figure:
    """A histogram of C-scores for each class, all on one scale."""
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(2.6 * columns + 1, 1.9 * rows + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, label in zip(grid.flat, shown, strict=False):
        values = scores.scores[rank_class(scores, label)]
        axes.hist(values, bins=np.linspace(0, 1, 21), color=SOFT, edgecolor=ACCENT, linewidth=0.5)
        axes.set_title(f"{shorten(dataset.class_names[label])} (n = {len(values):,})")
    for axes in list(grid.flat)[len(shown) :]:
        axes.axis("off")
    figure.supxlabel("C-score")
    figure.supylabel("examples")
    figure.suptitle(describe(dataset, scores, len(shown)), fontsize=11)
    return figure


def describe(dataset: Dataset, scores: Scores, num_shown: int) -> str:
    classes = f", {num_shown} of {dataset.num_classes} classes" if num_shown < dataset.num_classes else ""
    return (
        f"{dataset.name}: n = {np.isfinite(scores.scores).sum():,} scored examples{classes}; "
        f"subset ratios: {len(scores.subset_ratios)}, runs at each: {scores.num_runs}"
    )


def describe_ties(scores: Scores, extreme: Callable[[np.ndarray], float]) -> str:
    """How many examples share the extreme score as it is written: of more than are shown, to be shown is no merit."""
    scored = np.round(scores.scores[np.isfinite(scores.scores)], 2)
    return f" ({(scored == extreme(scored)).sum():,} at {extreme(scored):.2f})" if len(scored) else ""


def shorten(name: str, limit: int = 11) -> str:
    """The name, cut to `limit` characters."""
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def draw_tile(axes, dataset: Dataset, i: int, left: float, top: float, name: str, value: str) -> None:
    """One example with its label and name, and a value under it."""
    axes.imshow(as_picture(dataset, i), extent=(left + 0.06, left + 0.94, top + 0.94, top + 0.06), aspect="auto")
    label = shorten(dataset.class_names[dataset.labels[i]], 9)
    axes.text(left + 0.5, top + 0.97, f"{label} ({shorten(name, 9)})", ha="center", va="top", fontsize=6, color=INK)
    axes.text(left + 0.5, top + 1.12, value, ha="center", va="top", fontsize=6.5, color=ACCENT)
