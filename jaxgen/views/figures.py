"""What all figures share: a quiet style, made without a display, written whole."""

import functools
import io
import pathlib
from collections.abc import Callable, Iterable

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxgen.io.writing import write_durably

STYLE = {
    # Names come from the user's files: a dollar sign must not start a formula.
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "font.size": 9,
    "figure.dpi": 120,
    "savefig.dpi": 160,
}
INK, ACCENT, SOFT = "#222222", "#1f6f8b", "#b9d3da"


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Makes a drawing function draw in this style."""
    return functools.wraps(draw)(lambda *arguments, **options: _in_style(draw, *arguments, **options))


def _in_style(call: Callable, *arguments, **options):
    with matplotlib.rc_context(STYLE):
        return call(*arguments, **options)


def describe_counts(counts: Iterable[int]) -> str:
    """Of how many members a figure's points are: a number, or from the fewest to the most; 0 of none."""
    found = sorted(set(counts)) or [0]
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """A figure of this size in inches; no global state, so figures can be drawn in any thread or notebook."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure in the format its suffix names; a reader never sees half of it."""
    content = io.BytesIO()
    _in_style(figure.savefig, content, format=path.suffix[1:])
    write_durably(path, content.getbuffer())
