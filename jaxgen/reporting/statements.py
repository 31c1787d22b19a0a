"""Statements about results: significance tests and formatting."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores.paired import compare

# Differences are stated below this p of Student's t test over runs. A job makes some dozens of tests, uncorrected.
SIGNIFICANT = 0.01
# Runs that a statement needs.
MIN_RUNS = 3


def list_statements(statements: Sequence[str], num_runs: int) -> str:
    """The statements as a Markdown list, or the reason why there are none."""
    if statements:
        return "\n".join(f"- {statement}" for statement in statements)
    if num_runs < MIN_RUNS:
        return f"Nothing can be stated of fewer than {MIN_RUNS} runs, and these are {num_runs}: give more --num_runs."
    return "The results show nothing that can be stated."


def describe(values: Sequence[float], factor: float = 100, unit: str = " %", decimals: int = 1) -> str:
    """Values as text: mean ± sd and n, scaled by `factor`."""
    scaled = factor * np.asarray(values, float)
    spread = f" ± {scaled.std(ddof=1):,.{decimals}f}" if len(scaled) > 1 else ""
    return f"{scaled.mean():,.{decimals}f}{spread}{unit} (n = {len(scaled)})"


def is_consistent(differences: Sequence[float], resolution: float = 0.0) -> bool:
    """Whether the mean over runs differs significantly from 0, by `jaxgen.scores.paired.compare`."""
    return len(differences) >= MIN_RUNS and compare(differences, resolution).p < SIGNIFICANT


def rank_resolution(count: int) -> float:
    """Half the smallest difference between two Spearman correlations over `count` values without ties."""
    return 6 / (count * (count**2 - 1))
