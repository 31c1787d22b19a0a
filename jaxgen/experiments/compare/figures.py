"""Figures of two scores: a scatter plot, the overlap of the lowest k, and the largest disagreements."""

from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled
from jaxgen.views.gallery import TILE_CAPTION, draw_tile

# Above so many examples, hexagonal bins replace the scatter plot.
MAX_SCATTER = 500
GRID_SIZE = 45


@styled
def draw_agreement(comparison) -> Figure:
    """Left: one score against the other. Right: the share of the lowest k that both have in common."""
    figure = new_figure(10, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    first, second = comparison.matched.values
    if len(first) > MAX_SCATTER:
        cells = left.hexbin(
            first, second, gridsize=GRID_SIZE, mincnt=1, norm=LogNorm(), cmap="viridis_r", linewidths=0.1
        )
        bar = figure.colorbar(cells, ax=left, label="examples a cell (log scale)")
        bar.ax.yaxis.set_major_formatter("{x:,.0f}")
        bar.ax.yaxis.set_minor_formatter("")
    else:
        left.scatter(first, second, s=10, color=ACCENT, alpha=0.5, linewidth=0)
    left.set(xlabel=comparison.matched.names[0], ylabel=comparison.matched.names[1])
    low, high = comparison.intervals[1]
    title = f"Spearman {comparison.correlations.spearman:.3f} [{low:.3f}, {high:.3f}], n = {len(first):,}"
    left.set_title(title, color=INK, fontsize=10)

    counts = [overlap.k for overlap in comparison.overlaps]
    right.plot(
        counts,
        [overlap.share for overlap in comparison.overlaps],
        color=ACCENT,
        marker="o",
        markersize=4,
        label="shared",
    )
    right.plot(
        counts,
        [overlap.chance for overlap in comparison.overlaps],
        color=INK,
        linewidth=0.8,
        linestyle=":",
        label="chance",
    )
    band = (
        [overlap.chance_low for overlap in comparison.overlaps],
        [overlap.chance_high for overlap in comparison.overlaps],
    )
    right.fill_between(counts, *band, color=SOFT, linewidth=0, label="chance, 95 %")
    right.set(xlabel="k", ylabel="share of the lowest k", ylim=(0, 1.02), xlim=(0, None))
    right.set_title("the lowest k of one among those of the other", color=INK, fontsize=10)
    right.legend(frameon=False, fontsize=8)
    return figure


@styled
def draw_disagreements(comparison) -> Figure:
    """Examples that the first score ranks far lower than the second (top) and far higher (bottom), with both values."""
    dataset, positions = comparison.pictures
    columns = max(len(comparison.lower), 1)
    height = 2 * (1.4 + TILE_CAPTION)
    figure = new_figure(max(1.02 * columns + 0.3, 6), 1.02 * height + 0.3, layout="none")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.95))
    axes.set(xlim=(0, columns), ylim=(height, 0))
    axes.axis("off")
    for row, (examples, direction) in enumerate(((comparison.lower, "lower"), (comparison.higher, "higher"))):
        top = row * (1.4 + TILE_CAPTION) + 0.35
        title = f"{comparison.matched.names[0]} ranks them {direction} than {comparison.matched.names[1]} does"
        axes.text(columns / 2, top - 0.1, title, ha="center", fontsize=9, color=INK)
        for column, i in enumerate(examples):
            value = f"{comparison.matched.values[0, i]:.2f} | {comparison.matched.values[1, i]:.2f}"
            draw_tile(axes, dataset, int(positions[i]), column, top, str(comparison.matched.ids[i]), value)
    return figure
