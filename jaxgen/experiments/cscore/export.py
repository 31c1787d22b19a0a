"""Exports the runs of a C-score job in the layout of the published runs.

A folder holds the runs of one job: `DIGEST_FILE` in it holds the digest of the job's plan.
"""

import pathlib

import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.data.published.run_files import NAME, write_run
from jaxgen.errors import UserError
from jaxgen.scores.heldout import RunStream
from jaxgen.types import Dataset

DIGEST_FILE = "plan.txt"


def check_export(spec: CscoreSpec, digest: str) -> None:
    """Checks the folder of ``--export_runs``.

    Raises:
      UserError: if it cannot be written, or holds runs of a plan with another digest.
    """
    path = spec.influence.export_runs
    if not path:
        return
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digest_file = folder / DIGEST_FILE
        known_digest = digest_file.read_text(errors="replace").strip() if digest_file.exists() else ""
    except OSError as error:
        raise write_error(path, error) from None
    if known_digest != digest and next(folder.rglob(NAME), None) is not None:
        raise UserError(
            f"--export_runs={path}: has runs that this job did not write (of other data or flags); its own would be "
            "mixed with them; choose another folder, or remove this one"
        )


def write_error(path: str, error: OSError) -> UserError:
    """The `UserError` for a folder that cannot be written."""
    return UserError(f"--export_runs={path}: cannot be written ({error.strerror}); choose another folder")


def export_runs(dataset: Dataset, spec: CscoreSpec, setting: str, runs: RunStream, digest: str) -> None:
    """Writes all runs that did not diverge, in a sweep to one folder per setting, and removes stale ones.

    Validation examples of early stopping count as trained on: the layout has no third kind.
    """
    check_export(spec, digest)
    folder = pathlib.Path(spec.influence.export_runs)
    try:
        (folder / DIGEST_FILE).write_text(f"{digest}\n")
        remove_stale_runs(folder / setting, write_runs(dataset, spec, folder / setting, runs))
    except OSError as error:
        raise write_error(spec.influence.export_runs, error) from None


def write_runs(dataset: Dataset, spec: CscoreSpec, root: pathlib.Path, runs: RunStream) -> set[pathlib.Path]:
    """Writes the runs of every ratio; returns their folders."""
    counts = len(dataset.labels), len(dataset.labels), 0 if dataset.test_labels is None else len(dataset.test_labels)
    written = set()
    for ratio_index, ratio in enumerate(spec.subsets.subset_ratios):
        number = 0
        for outcome in runs(ratio_index):
            fields = outcome.trained_on, outcome.correct, outcome.test_correct
            for finite, *rows in zip(outcome.finite, *fields, strict=True):
                bits = (np.unpackbits(row, count=count).astype(bool) for row, count in zip(rows, counts, strict=True))
                if finite:
                    written.add(root / f"{ratio:g}" / f"{number}")
                    write_run(root / f"{ratio:g}" / f"{number}", *bits)
                number += 1
    return written


def remove_stale_runs(root: pathlib.Path, written: set[pathlib.Path]) -> None:
    """Removes runs of an earlier call that are not among those `written`."""
    for file in list(root.glob(f"*/*/{NAME}")):
        if file.parent in written or not file.parent.name.isdigit():
            continue
        file.unlink()
        for folder in file.parents[:2]:
            if not any(folder.iterdir()):
                folder.rmdir()
