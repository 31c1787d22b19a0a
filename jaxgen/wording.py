"""Numbers in texts for users: how many of a thing there are, and how far values spread."""

from collections.abc import Sequence

# Relative deviation up to which values count as equal: the rounding of float32 shares. Tests and texts agree on it.
ROUNDING = 1e-5
# Seconds of each unit of time, the largest first.
UNITS = ((86400, "days"), (3600, "h"), (60, "min"))


def count_of(number: int | str, noun: str) -> str:
    """A number of things, such as ``1 run``, ``2,000 passes``, or of text ``3 to 5 runs``; the noun is singular."""
    text = number if isinstance(number, str) else f"{number:,}"
    if text == "1":
        return f"1 {noun}"
    if noun.endswith("ry"):
        return f"{text} {noun[:-1]}ies"
    return f"{text} {noun}{'es' if noun.endswith(('s', 'tch', 'x')) else 's'}"


def some_of(names: Sequence[object], most: int = 5) -> str:
    """The first few of some names, such as ``a, b, ...``."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def all_of(number: int, noun: str) -> str:
    """All of a number of things, such as ``all 3 models`` or ``the only model``; the noun is singular."""
    return f"the only {noun}" if number == 1 else f"all {count_of(number, noun)}"


def duration(seconds: float) -> str:
    """A span of time in two digits, in the largest unit that it has two of, such as ``28 s``, ``1.5 h``."""
    if seconds < 1:
        return "under 1 s"
    unit, name = next(((size, name) for size, name in UNITS if seconds >= 2 * size), (1, "s"))
    amount = seconds / unit
    return f"{amount:.0f} {name}" if amount >= 10 else f"{amount:.1f} {name}"


def mean_and_deviation(mean: float, deviation: float, decimals: int) -> str:
    """Mean ± standard deviation with so many decimals; the mean alone if the deviation is NaN.

    A deviation that these decimals would show as 0 has its first digit in place of them, such as ``± 0.003``. So zeros
    are those of equal values, but for rounding (`ROUNDING`).
    """
    text = f"{mean:,.{decimals}f}"
    if deviation != deviation:
        return text
    spread = f"{deviation:,.{decimals}f}"
    if not float(spread.replace(",", "")) and deviation > ROUNDING * abs(mean):
        exponent = int(f"{deviation:.0e}".partition("e")[2])
        spread = f"{deviation:.{-exponent}f}"
    return f"{text} ± {spread}"
