"""Two scores beside each other: a scatter with its density, the overlap of the lowest, and where they disagree most."""

from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled
from jaxgen.views.gallery import TILE_CAPTION, draw_tile

# Of more examples density is told by the colour of a cell, of fewer by the points themselves.
MANY = 500
CELLS = 45


@styled
def draw_agreement(found) -> Figure:
    """Left: both scores, and how many examples lie where. Right: what share of the lowest k is the same."""
    figure = new_figure(10, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    first, second = found.matched.values
    if len(first) > MANY:
        cells = left.hexbin(first, second, gridsize=CELLS, mincnt=1, norm=LogNorm(), cmap="viridis_r", linewidths=0.1)
        bar = figure.colorbar(cells, ax=left, label="examples a cell (log scale)")
        bar.ax.yaxis.set_major_formatter("{x:,.0f}")
        bar.ax.yaxis.set_minor_formatter("")
    else:
        left.scatter(first, second, s=10, color=ACCENT, alpha=0.5, linewidth=0)
    left.set(xlabel=found.matched.names[0], ylabel=found.matched.names[1])
    low, high = found.intervals[1]
    said = f"Spearman {found.correlations.spearman:.3f} [{low:.3f}, {high:.3f}], n = {len(first):,}"
    left.set_title(said, color=INK, fontsize=10)

    counts = [each.k for each in found.overlaps]
    right.plot(counts, [each.share for each in found.overlaps], color=ACCENT, marker="o", markersize=4, label="shared")
    right.plot(
        counts, [each.chance for each in found.overlaps], color=INK, linewidth=0.8, linestyle=":", label="chance"
    )
    band = [each.chance_low for each in found.overlaps], [each.chance_high for each in found.overlaps]
    right.fill_between(counts, *band, color=SOFT, linewidth=0, label="chance, 95 %")
    right.set(xlabel="k", ylabel="share of the lowest k", ylim=(0, 1.02), xlim=(0, None))
    right.set_title("the lowest k of one among those of the other", color=INK, fontsize=10)
    right.legend(frameon=False, fontsize=8)
    return figure


@styled
def draw_disagreements(found) -> Figure:
    """Above: what the first score ranks far lower than the second; below: far higher. First over second value."""
    dataset, places = found.pictures
    columns = max(len(found.lower), 1)
    height = 2 * (1.4 + TILE_CAPTION)
    figure = new_figure(max(1.02 * columns + 0.3, 6), 1.02 * height + 0.3, layout="none")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.95))
    axes.set(xlim=(0, columns), ylim=(height, 0))
    axes.axis("off")
    for row, (chosen, word) in enumerate(((found.lower, "lower"), (found.higher, "higher"))):
        top = row * (1.4 + TILE_CAPTION) + 0.35
        title = f"{found.matched.names[0]} ranks them {word} than {found.matched.names[1]} does"
        axes.text(columns / 2, top - 0.1, title, ha="center", fontsize=9, color=INK)
        for column, i in enumerate(chosen):
            value = f"{found.matched.values[0, i]:.2f} | {found.matched.values[1, i]:.2f}"
            draw_tile(axes, dataset, int(places[i]), column, top, str(found.matched.ids[i]), value)
    return figure
