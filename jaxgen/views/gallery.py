"""Galleries of the most and the least regular examples of each class, like figure 4 of Jiang et al. (2021)."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled

# Height of the caption below a tile with a name, in tiles.
TILE_CAPTION = 0.36
TILES = 10
MAX_CLASSES = 10
# Gap between the two blocks, and height of the caption below each tile, in tiles.
GAP, CAPTION = 0.75, 0.3
# Least size of a tile in pixels, to which small images are enlarged so that gaps are whole pixels.
SIDE = 40
# Largest size of a tile in pixels, sufficient for its size in print.
MAX_SIDE = 160


@styled
def draw_examples(dataset: Dataset, scores: Scores) -> Figure:
    """The examples with the highest and with the lowest scores of each class; score histograms for tabular data.

    Only examples with a score are shown. With more than `MAX_CLASSES` classes, evenly spaced ones are shown, as the
    title states.
    """
    classes = np.linspace(0, dataset.num_classes - 1, min(MAX_CLASSES, dataset.num_classes)).round().astype(int)
    if not dataset.has_images:
        return draw_class_histograms(dataset, scores, classes)
    highest = [rank_class(scores, label, highest=True)[:TILES] for label in classes]
    lowest = [below_the_highest(scores, rank_class(scores, label))[:TILES] for label in classes]
    blocks = [(0.0, highest), (TILES + GAP, lowest)]
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
    """All tiles in one white image, which is drawn far faster than two hundred separate ones.

    Args:
      dataset: the images.
      blocks: for each block its left edge, in tiles, and the indices of the examples in each row.
      width, height: size of the image in tiles.
    """
    tile_height, tile_width = as_picture(dataset, 0).shape[:2]
    zoom = max(1, math.ceil(SIDE / max(tile_height, tile_width)))
    side = zoom * max(tile_height, tile_width)
    canvas = np.ones((round(height * side), round(width * side), 3), np.float32)
    for left, rows in blocks:
        for row, chosen in enumerate(rows):
            for column, i in enumerate(chosen):
                picture = np.kron(as_picture(dataset, i), np.ones((zoom, zoom, 1), np.float32))
                y, x = round(row * (1 + CAPTION) * side), round((left + column) * side)
                # One pixel of white between neighbours.
                canvas[y : y + zoom * tile_height, x : x + zoom * tile_width - 1] = picture[:, :-1]
    return canvas


def as_picture(dataset: Dataset, i: int) -> np.ndarray:
    """Example i as RGB in [0, 1], ``[h, w, 3]``, subsampled to at most `MAX_SIDE` pixels; alpha is dropped."""
    step = math.ceil(max(dataset.images.shape[1:3]) / MAX_SIDE)
    picture = np.clip(dataset.images[i, ::step, ::step].astype(np.float32) * dataset.scale, 0, 1)
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]


def rank_class(scores: Scores, label: int, *, highest: bool = False) -> np.ndarray:
    """Indices of the scored examples of a class, sorted by ascending (or descending) score; the sort is stable."""
    examples = np.flatnonzero((scores.labels == label) & np.isfinite(scores.scores))
    values = scores.scores[examples]
    return examples[np.argsort(-values if highest else values, kind="stable")]


def below_the_highest(scores: Scores, examples: np.ndarray) -> np.ndarray:
    """Those of some examples whose score is below the highest of all; all of them where there is no other score."""
    top = np.nanmax(scores.scores, initial=-np.inf)
    return examples[scores.scores[examples] < top] if np.nanmin(scores.scores, initial=np.inf) < top else examples


def draw_class_histograms(dataset: Dataset, scores: Scores, shown: np.ndarray) -> Figure:
    """A histogram of C-scores for each of the classes `shown`, on common axes."""
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
    """The title of a gallery: data set, number of examples, classes shown, subset ratios, runs."""
    classes = f", {num_shown} of {dataset.num_classes} classes" if num_shown < dataset.num_classes else ""
    return (
        f"{dataset.name}: n = {np.isfinite(scores.scores).sum():,} scored examples{classes}; "
        f"subset ratios: {len(scores.subset_ratios)}, runs at each: {scores.num_runs}"
    )


def describe_ties(scores: Scores, extreme: Callable[[np.ndarray], float]) -> str:
    """The number of examples that share the extreme score; the tiles may show only some of them."""
    scored = scores.scores[np.isfinite(scores.scores)]
    return f" ({(scored == extreme(scored)).sum():,} at {extreme(scored):.3g})" if len(scored) else ""


def shorten(name: str, limit: int = 11) -> str:
    """The name, truncated to `limit` characters."""
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def draw_tile(axes, dataset: Dataset, i: int, left: float, top: float, name: str, value: str) -> None:
    """Draws example i with its label and `name`, and the text `value` below, at (left, top) in tiles."""
    axes.imshow(as_picture(dataset, i), extent=(left + 0.06, left + 0.94, top + 0.94, top + 0.06), aspect="auto")
    label = shorten(dataset.class_names[dataset.labels[i]], 9)
    axes.text(left + 0.5, top + 0.97, f"{label} ({shorten(name, 9)})", ha="center", va="top", fontsize=6, color=INK)
    axes.text(left + 0.5, top + 1.12, value, ha="center", va="top", fontsize=6.5, color=ACCENT)
