"""Seconds a model against members trained side by side."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import LogLocator

from jaxgen.views.figures import ACCENT, SOFT, new_figure, styled, write_figure
from jaxgen.wording import count_of


@styled
def draw_members(seconds: Mapping[int, Sequence[float]], title: str, path: pathlib.Path) -> None:
    """Writes the picture: by number of members the seconds a model of each round, and their median."""
    figure = new_figure(6, 3.8)
    axis = figure.subplots()
    counts = np.array(list(seconds))
    for members, times in seconds.items():
        axis.scatter([members] * len(times), times, s=12, color=SOFT, linewidth=0)
    axis.plot(counts, [np.median(times) for times in seconds.values()], color=ACCENT, marker="o", markersize=4)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(counts, [f"{count:,}" for count in counts])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter("")
    axis.set_xlabel("members side by side")
    axis.set_ylabel("seconds a model (log scale)")
    axis.set_title(f"{title}\nn = {count_of(len(next(iter(seconds.values()))), 'round')}", fontsize=9)
    write_figure(figure, path)
