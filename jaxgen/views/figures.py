"""The style of all figures, their creation without a display, and atomic writing."""

import functools
import io
import pathlib
import warnings
from collections.abc import Callable, Iterable

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxgen.io.writing import write_durably

STYLE = {
    # Names come from user files, in which a dollar sign does not start a formula.
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "font.size": 9,
    "figure.dpi": 120,
    "savefig.dpi": 160,
}
# Fonts with the letters of many scripts: of Linux, macOS and Windows.
OTHER_SCRIPTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans Devanagari", "Noto Sans Thai")
OTHER_SCRIPTS += ("PingFang SC", "Hiragino Sans", "Arial Unicode MS", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic")
INK, ACCENT, SOFT = "#222222", "#1f6f8b", "#b9d3da"


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorator that applies the style to a drawing function."""
    return functools.wraps(draw)(lambda *arguments, **options: _in_style(draw, *arguments, **options))


def _in_style(call: Callable, *arguments, **options):
    with matplotlib.rc_context({**STYLE, "font.family": font_families()}), warnings.catch_warnings():
        # Where no font has a letter, a box stands for it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        return call(*arguments, **options)


@functools.cache
def font_families() -> list[str]:
    """Matplotlib's default, then those fonts of `OTHER_SCRIPTS` that are installed, for letters that it lacks."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["sans-serif", *(name for name in OTHER_SCRIPTS if name in installed)]


def describe_counts(counts: Iterable[int]) -> str:
    """The number of members behind the points of a figure, as text: one number, a range, or 0 if there are none."""
    distinct = sorted(set(counts)) or [0]
    return f"{distinct[0]}" if distinct[0] == distinct[-1] else f"{distinct[0]} to {distinct[-1]}"


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """A figure of the given size in inches, independent of pyplot's global state."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure atomically, in the format of the suffix."""
    content = io.BytesIO()
    _in_style(figure.savefig, content, format=path.suffix[1:])
    write_durably(path, content.getbuffer())
