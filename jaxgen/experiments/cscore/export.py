"""Runs of a C-score job in the layout in which those behind the published scores are given away.

A folder of them is of one job: `MARK` in it holds the digest of the job's plan.
"""

import pathlib

import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.data.run_files import NAME, write_run
from jaxgen.errors import UserError
from jaxgen.scores.heldout import RunStream
from jaxgen.types import Dataset

MARK = "plan.txt"


def check_export(spec: CscoreSpec, digest: str) -> None:
    """Refuses a folder for runs that cannot be written, or that has runs of another plan than that of `digest`."""
    path = spec.influence.export_runs
    if not path:
        return
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / MARK
        known = mark.read_text(errors="replace").strip() if mark.exists() else ""
    except OSError as error:
        raise refusal(path, error) from None
    if known != digest and next(folder.rglob(NAME), None) is not None:
        raise UserError(
            f"--export_runs={path}: has runs that this job did not write (of other data or flags); its own would be "
            "mixed with them; choose another folder, or remove this one"
        )


def refusal(path: str, error: OSError) -> UserError:
    """The error for a folder that cannot be written."""
    return UserError(f"--export_runs={path}: cannot be written ({error.strerror}); choose another folder")


def export_runs(dataset: Dataset, spec: CscoreSpec, setting: str, runs: RunStream, digest: str) -> None:
    """Writes every run that did not diverge, those of a sweep in a folder for each setting, and removes all others.

    What a model was only stopped by counts as trained on, as the layout knows nothing else.
    """
    check_export(spec, digest)
    folder = pathlib.Path(spec.influence.export_runs)
    try:
        (folder / MARK).write_text(f"{digest}\n")
        remove_others(folder / setting, write_runs(dataset, spec, folder / setting, runs))
    except OSError as error:
        raise refusal(spec.influence.export_runs, error) from None


def write_runs(dataset: Dataset, spec: CscoreSpec, root: pathlib.Path, runs: RunStream) -> set[pathlib.Path]:
    """Writes the runs of every ratio; returns their folders."""
    counts = len(dataset.labels), len(dataset.labels), 0 if dataset.test_labels is None else len(dataset.test_labels)
    written = set()
    for place, ratio in enumerate(spec.subsets.subset_ratios):
        number = 0
        for outcome in runs(place):
            fields = outcome.trained_on, outcome.correct, outcome.test_correct
            for finite, *rows in zip(outcome.finite, *fields, strict=True):
                bits = (np.unpackbits(row, count=count).astype(bool) for row, count in zip(rows, counts, strict=True))
                if finite:
                    written.add(root / f"{ratio:g}" / f"{number}")
                    write_run(root / f"{ratio:g}" / f"{number}", *bits)
                number += 1
    return written


def remove_others(root: pathlib.Path, written: set[pathlib.Path]) -> None:
    """Removes runs of an earlier call: of more runs or other ratios, or of models that have diverged since."""
    for file in list(root.glob(f"*/*/{NAME}")):
        if file.parent in written or not file.parent.name.isdigit():
            continue
        file.unlink()
        for folder in file.parents[:2]:
            if not any(folder.iterdir()):
                folder.rmdir()
