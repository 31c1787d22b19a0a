"""Finished chunks on disk, one file with a checksum each.

    STORE/<digest of the plan's identity>/plan.json
    STORE/<digest>/<run group>/<first run>-<last run>.npz

A chunk is written to a temporary file, flushed and renamed, so that a reader sees all of it or nothing.
"""

import contextlib
import functools
import glob
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.io.writing import process_name, write_durably
from jaxgen.runs.checkpoints import DiskCheckpoint
from jaxgen.runs.chunk_files import Arrays, DamagedChunk, read_chunk, write_chunk
from jaxgen.runs.plan import Chunk, Plan, Span, count_runs, gaps
from jaxgen.runs.signals import Stop

CHUNK_NAME = re.compile(r"(\d+)-(\d+)\.npz")
PLAN_NAME = "plan.json"
# Boolean array ``[m]`` of a chunk: which runs did not diverge.
FINITE = "finite"
# Bytes reserved for output other than runs: figures, scores.
RESERVED_BYTES = 10**7
# Packages whose version can change rounding or random draws.
NUMERIC_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
# A temporary file older than this, in seconds, was left by a killed writer.
STALE_SECONDS = 3600


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, by name."""
    packages = {name: importlib.metadata.version(name) for name in NUMERIC_PACKAGES}
    return {"python": platform.python_version(), **packages}


def settings_name(program: str) -> str:
    """File name of a program's recorded settings; a job's only program, of empty name, has them in `PLAN_NAME`."""
    return f"plan-{program}.json" if program else PLAN_NAME


class Store:
    """The finished chunks of one plan. Create it with `open_store`.

    Attributes:
      folder: of the plan, which is named by its digest.
      plan: which runs are wanted.
    """

    def __init__(self, folder: pathlib.Path, plan: Plan):
        self.folder = folder
        self.plan = plan

    def read_settings(self, program: str = "") -> dict[str, Any]:
        """Settings (width, kernels) that the first driver recorded for all later ones; empty if none are recorded yet.

        Args:
          program: name of the program, if the job has several.

        Raises:
          UserError: if the file is damaged, or missing beside finished runs: how they were trained is then unknown.
        """
        path = self.folder / settings_name(program)
        chunk_pattern = f"*,{glob.escape(program)}/*.npz" if program else "*/*.npz"
        if not path.exists() and next(self.folder.glob(chunk_pattern), None) is None:
            return {}
        try:
            return dict(json.loads(path.read_text())["settings"])
        except UNREADABLE:
            raise UserError(
                f"{path}: cannot be read, so how the runs beside it were trained is unknown; remove {self.folder} to "
                "train them again, or choose another --out"
            ) from None

    def other_versions(self, program: str = "") -> str:
        """Packages whose version changed since the settings were recorded, as text; empty if none did."""
        try:
            recorded = dict(json.loads((self.folder / settings_name(program)).read_text())["versions"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        now = package_versions()
        changed = [
            f"{name} {recorded[name]} then, {now[name]} now"
            for name in now
            if recorded.get(name) not in (None, now[name])
        ]
        return ", ".join(changed)

    def record_settings(self, settings: dict[str, Any], program: str = "", *, replace: bool = False) -> dict[str, Any]:
        """Records a program's settings unless some are recorded already.

        Args:
          settings: JSON values.
          program: name of the program, if the job has several.
          replace: overwrite recorded settings.

        Returns:
          The settings in effect: those of another driver if it was faster.
        """
        # The plan's file is always written: it identifies the folder to `open_store`.
        for name, values in {PLAN_NAME: {}, settings_name(program): settings}.items():
            record = {"identity": self.plan.identity, "settings": values, "versions": package_versions()}
            text = json.dumps(record, indent=1, sort_keys=True)
            write_durably(self.folder / name, text.encode(), replace=replace and name == settings_name(program))
        return self.read_settings(program)

    def spans(self, run_group: str) -> list[Span]:
        """Finished runs of a run group, as ascending disjoint spans."""
        folder = self.folder / run_group
        names = (CHUNK_NAME.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
        stored = sorted(Span(int(name[1]), int(name[2]) + 1) for name in names if name)
        spans: list[Span] = []
        for span in stored:
            if span.stop > span.start and (not spans or span.start >= spans[-1].stop):
                spans.append(span)
        return spans

    def wanted(self) -> dict[str, list[Span]]:
        """All runs of the plan, by run group."""
        return {run_group: [Span(0, wanted)] for run_group, wanted in self.plan.run_groups.items()}

    def missing(self) -> dict[str, list[Span]]:
        """Wanted runs that are not finished, by run group."""
        return {
            run_group: list(gaps(self.spans(run_group), wanted)) for run_group, wanted in self.plan.run_groups.items()
        }

    def path(self, chunk: Chunk) -> pathlib.Path:
        """Path of a chunk's file."""
        return self.folder / chunk.run_group / f"{chunk.start:06d}-{chunk.stop - 1:06d}.npz"

    def checkpoint(self, chunk: Chunk, minutes: float, stop: Stop | None = None) -> DiskCheckpoint:
        """The chunk's checkpoint while it is unfinished; arguments as of `DiskCheckpoint`."""
        return DiskCheckpoint(self.path(chunk).with_suffix(".checkpoint"), minutes, stop)

    def has_checkpoints(self) -> bool:
        """Whether there are checkpoints of unfinished chunks."""
        return next(self.folder.glob("*/*.checkpoint/*"), None) is not None

    def remove_checkpoints(self) -> None:
        """Removes all checkpoints of unfinished chunks."""
        for folder in self.folder.glob("*/*.checkpoint"):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, chunk: Chunk, arrays: Arrays) -> None:
        """Writes a finished chunk; all arrays have one row a run."""
        write_chunk(self.path(chunk), self._identity(chunk), arrays)
        self.checkpoint(chunk, 0).remove()
        # The reason of an earlier failure.
        self.path(chunk).with_suffix(".failed.txt").unlink(missing_ok=True)

    def read(self, chunk: Chunk, *, tracked: bool = False) -> dict[str, np.ndarray]:
        """Reads a finished chunk.

        Args:
          chunk: to read.
          tracked: whether to read the arrays of single examples during training too.

        Returns:
          Arrays by name, with one row a run.

        Raises:
          DamagedChunk: if the file is damaged, or was written for other runs.
        """
        num_runs = chunk.stop - chunk.start
        return read_chunk(self.path(chunk), self._identity(chunk), num_runs, tracked=tracked)

    def _identity(self, chunk: Chunk) -> str:
        return f"{self.plan.digest}/{chunk.run_group}/{chunk.start}-{chunk.stop}"

    def set_aside(self, chunk: Chunk) -> pathlib.Path:
        """Renames a damaged chunk's file, so that its runs are missing; returns the new path."""
        path = self.path(chunk)
        aside = path.with_suffix(".npz.damaged")
        # Another driver may have renamed it already.
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
        return aside

    def verify(self, report: Callable[[str], None]) -> None:
        """Reads every finished chunk, sets damaged ones aside and calls `report` with a line for each."""
        for part in self.folder.rglob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE_SECONDS:
                    part.unlink()
        for run_group in self.plan.run_groups:
            for span in self.spans(run_group):
                chunk = Chunk(run_group, *span)
                try:
                    self.read(chunk, tracked=True)
                except DamagedChunk as error:
                    report(f"{self.set_aside(chunk)}: damaged ({error}); its runs are trained again")

    def runs(self, run_group: str, *, tracked: bool = False, start: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Yields the wanted runs of a run group in order, a chunk at a time.

        Args:
          run_group: of the runs.
          tracked: as of `read`.
          start: chunks that begin before this run are skipped.

        Raises:
          UserError: if a chunk was damaged after `verify`.
        """
        wanted = self.plan.run_groups[run_group]
        for span in self.spans(run_group):
            if start <= span.start < wanted:
                chunk = Chunk(run_group, *span)
                try:
                    arrays = self.read(chunk, tracked=tracked)
                except DamagedChunk as error:
                    raise UserError(
                        f"{self.path(chunk)}: damaged since it was written ({error}); give the same command "
                        "again, and its runs are trained again"
                    ) from None
                yield {name: array[: wanted - span.start] for name, array in arrays.items()}


def open_store(folder: pathlib.Path, plan: Plan, run_bytes: int, remedy: str = "") -> Store:
    """Opens the store of `plan` below `folder`, creating it if needed.

    Args:
      folder: need not exist.
      plan: which runs are wanted.
      run_bytes: size of a finished run on disk.
      remedy: appended to the message about a full disk: what to do besides using another one.

    Raises:
      UserError: if the folder holds runs of other flags, cannot be written, or its disk lacks space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{process_name()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"--out={folder.parent}: cannot be written ({error.strerror}); choose another folder") from None
    for other in sorted(folder.glob(f"*/{PLAN_NAME}")):
        if other.parent.name != plan.digest and holds_usable_runs(other.parent):
            raise UserError(
                f"--out={folder.parent}: holds runs of another job ({difference(other, plan)}); "
                "choose another --out, or the flags of that job"
            )
    store = Store(folder / plan.digest, plan)
    missing = sum(count_runs(store.missing()).values())
    free, needed = shutil.disk_usage(folder).free, RESERVED_BYTES + run_bytes * missing
    if missing and free < needed:
        raise UserError(
            f"--out={folder.parent}: the runs need {needed / 1e6:.0f} MB and the disk has "
            f"{free / 1e6:.0f} MB free; make room or choose another folder{remedy}"
        )
    store.folder.mkdir(exist_ok=True)
    return store


def holds_usable_runs(folder: pathlib.Path) -> bool:
    """Whether a plan's folder has any run that did not diverge; an unreadable file counts as one."""
    for path in folder.glob("*/*.npz"):
        try:
            with ArrayFile(path) as file:
                if file[FINITE].any():
                    return True
        except UNREADABLE:
            return True
    return False


def difference(other: pathlib.Path, plan: Plan) -> str:
    """The first difference between the plan in file `other` and `plan`, as text."""
    try:
        recorded = dict(json.loads(other.read_text(encoding="utf-8"))["identity"])
    except UNREADABLE:
        return f"{other} cannot be read"
    for name in sorted(plan.identity.keys() | recorded.keys()):
        there, here = recorded.get(name, "absent"), plan.identity.get(name, "absent")
        if there != here:
            return f"{name} is {there} there and {here} here"
    return "of another version"
