"""Runs of a C-score job in the layout in which those behind the published scores are given away."""

import pathlib

import numpy as np

from jaxgen.data.run_files import write_run
from jaxgen.errors import UserError
from jaxgen.scores.heldout import RunStream
from jaxgen.spec import CscoreSpec
from jaxgen.types import Dataset


def check_export(spec: CscoreSpec) -> None:
    """Refuses a folder for runs that cannot be written."""
    path = spec.influence.export_runs
    if not path:
        return
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(path, error) from None


def refusal(path: str, error: OSError) -> UserError:
    return UserError(f"--export_runs={path}: cannot be written ({error.strerror}); choose another folder")


def export_runs(dataset: Dataset, spec: CscoreSpec, setting: str, runs: RunStream) -> None:
    """Writes every run that did not diverge, those of a sweep in a folder for each setting.

    What a model was only stopped by counts as trained on, as the layout knows nothing else.
    """
    counts = len(dataset.labels), len(dataset.labels), 0 if dataset.test_labels is None else len(dataset.test_labels)
    root = pathlib.Path(spec.influence.export_runs, setting)
    for place, ratio in enumerate(spec.subsets.subset_ratios):
        number = 0
        for outcome in runs(place):
            fields = outcome.trained_on, outcome.correct, outcome.test_correct
            for finite, *rows in zip(outcome.finite, *fields, strict=True):
                bits = (np.unpackbits(row, count=count).astype(bool) for row, count in zip(rows, counts, strict=True))
                try:
                    if finite:
                        write_run(root / f"{ratio:g}" / f"{number}", *bits)
                except OSError as error:
                    raise refusal(spec.influence.export_runs, error) from None
                number += 1
