"""Statements about results: when a difference is stated, and how."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores.paired import compare

# A difference is stated if one as consistent came about by chance in fewer than so many of a hundred tests (Student's t
# over runs). A job makes some dozens of tests, each by itself.
SIGNIFICANT = 0.01

# Fewer runs say nothing.
LEAST = 3


def list_statements(statements: Sequence[str], num_runs: int) -> str:
    """A line each; or why there are none."""
    if statements:
        return "\n".join(f"- {statement}" for statement in statements)
    if num_runs < LEAST:
        return f"Nothing can be stated of fewer than {LEAST} runs, and these are {num_runs}: give more --num_runs."
    return "The results show nothing that can be stated."


def describe(values: Sequence[float], factor: float = 100, unit: str = " %", decimals: int = 1) -> str:
    """Mean ± sd (n)."""
    found = factor * np.asarray(values, float)
    spread = f" ± {found.std(ddof=1):,.{decimals}f}" if len(found) > 1 else ""
    return f"{found.mean():,.{decimals}f}{spread}{unit} (n = {len(found)})"


def is_consistent(differences: Sequence[float], resolution: float = 0.0) -> bool:
    """Whether the mean over runs is not 0, by the test of `pairs.compare`."""
    return len(differences) >= LEAST and compare(differences, resolution).p < SIGNIFICANT


def rank_resolution(count: int) -> float:
    """Half the least by which two rank correlations over so many values differ (Spearman's formula without ties)."""
    return 6 / (count * (count**2 - 1))
