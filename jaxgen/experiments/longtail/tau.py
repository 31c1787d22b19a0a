"""The tau-normalized classifier: that of ``ce``, with the weights of each class divided by a power of their norm.

B. Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
(https://arxiv.org/abs/1910.09217), section 4.2. Nothing is trained. The bias is left out and tau goes from 0 to 2 in
steps of 0.1, as in the authors' code (facebookresearch/classifier-balancing, ``tau_norm.py``). Tau is chosen on the
selection examples, as thresholds of flips are. Networks are trained without mixup, as theirs: then norms are larger for
larger classes. Of networks trained with mixup on the digits they are not, so that there is nothing to normalize.
"""

import itertools
from typing import Any

import numpy as np

from jaxgen.experiments.longtail.features import Stage1Outputs
from jaxgen.experiments.longtail.job import LongTailJob
from jaxgen.experiments.longtail.measure import ClassifierResult, measure
from jaxgen.experiments.longtail.methods import TAU_NORMALIZATION
from jaxgen.experiments.longtail.stage2 import Head
from jaxgen.reporting.tables import describe_n, describe_percent, means_of, to_table

TAUS = tuple(i / 10 for i in range(21))


def tau_normalized(kernel: np.ndarray, tau: float) -> np.ndarray:
    """The weights ``[..., f, c]`` of c classes, each class's divided by its Euclidean norm to the power `tau`.

    At 0 they are as they were, at 1 all classes have the norm 1. Weights that are all 0 stay so.
    """
    norms = np.linalg.norm(kernel, axis=-2, keepdims=True)
    return kernel / np.where(norms > 0, norms, 1) ** tau


def measure_taus(job: LongTailJob, outputs: Stage1Outputs) -> dict[float, list[ClassifierResult]]:
    """Results of all runs by tau; empty if it is not among the methods."""
    if TAU_NORMALIZATION not in job.spec.flips.methods:
        return {}
    outputs = job.outputs_of(outputs, "ce")

    def measure_run(run: int, kernel: np.ndarray) -> ClassifierResult:
        logits = {"test": outputs.test[run] @ kernel, "selection": outputs.selection[run] @ kernel}
        return measure(job, Head(TAU_NORMALIZATION), run, **logits, flips=0, finite=bool(outputs.finite[run]))

    return {tau: [*itertools.starmap(measure_run, enumerate(tau_normalized(outputs.kernels, tau)))] for tau in TAUS}


def choose_tau(by_tau: dict[float, list[ClassifierResult]]) -> float | None:
    """The tau of the highest mean selection accuracy over runs; ties go to the lowest, which changes the least.

    None if all runs diverged.
    """
    # Means of the same numbers differ by rounding only.
    means = {row["tau"]: round(row["selection_accuracy"], 9) for row in tau_rows(by_tau) if row["n"]}
    return min(means, key=lambda tau: (-means[tau], tau), default=None)


def tau_rows(by_tau: dict[float, list[ClassifierResult]]) -> list[dict[str, Any]]:
    """One dictionary per tau: means and standard deviations over the runs that stayed finite."""
    rows = []
    for tau, results in by_tau.items():
        finite = [result.row for result in results if result.row["finite"]]
        row = {"tau": tau, "n": len(finite), "diverged": len(results) - len(finite)}
        rows.append(row | means_of(finite, ("selection_accuracy", "balanced_accuracy", "few_accuracy")))
    return rows


def describe_taus(tau: float | None) -> str:
    """How tau was chosen, and which one."""
    method = (
        "tau_normalization is the classifier of ce without its bias, the weights of each class divided by their norm "
        "to the power tau. "
    )
    if tau is None:
        return f"{method}All networks of ce diverged, so that none was chosen."
    return (
        f"{method}Of {TAUS[0]:g} to {TAUS[-1]:g} in steps of 0.1 tau = {tau:g} has the highest balanced "
        "accuracy on the selection examples (the lowest of as good ones)."
    )


def tau_table(by_tau: dict[float, list[ClassifierResult]]) -> str:
    """The table of all tau, one line each; in percent."""
    lines = [
        [
            f"{row['tau']:g}",
            *(describe_percent(row, name) for name in ("selection_accuracy", "balanced_accuracy", "few_accuracy")),
            describe_n(row),
        ]
        for row in tau_rows(by_tau)
    ]
    return to_table(["tau", "selection", "test", "few", "n"], lines)
