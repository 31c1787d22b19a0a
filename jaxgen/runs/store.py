"""What is done: finished chunks on disk, each one file, atomic, checksummed, never trained twice.

    STORE/<digest of the plan's identity>/plan.json
    STORE/<digest>/<cell>/<first run>-<last run>.npz

A chunk appears by rename after its bytes are on the disk, so a reader or a resumed job sees all of it or nothing.
"""

import contextlib
import functools
import glob
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.io.writing import process_name, write_durably, write_npz
from jaxgen.runs.checkpoints import DiskCheckpoint
from jaxgen.runs.plan import Chunk, Plan, Span, count_runs, gaps
from jaxgen.runs.signals import Stop
from jaxgen.types import TRACKED

Arrays = Mapping[str, np.ndarray]
CHUNK_NAME = re.compile(r"(\d+)-(\d+)\.npz")
PLAN_NAME = "plan.json"
CHECKSUM = "checksum"
# Of the arrays that tell of single examples, which most readers have no use for.
TRACKED_CHECKSUM = "checksum_of_tracked"
# The array of a chunk that says which runs stayed finite.
FINITE = "finite"
# Bytes for all that is no run: figures, scores.
ROOM = 10**7
# Packages whose other versions may round otherwise, or draw otherwise.
DECIDING = ("jax", "jaxlib", "flax", "optax", "numpy")
# A part of a file that is older than this, in seconds, was left by a writer that was killed.
STALE = 3600


@functools.cache
def versions() -> dict[str, str]:
    """Of Python, and of what decides how models round."""
    found = {name: importlib.metadata.version(name) for name in DECIDING}
    return {"python": platform.python_version(), **found}


def settings_name(program: str) -> str:
    """The file of the settings of one of a job's programs; the only program's are in the plan's own file."""
    return f"plan-{program}.json" if program else PLAN_NAME


class DamagedChunk(Exception):
    """A chunk file that does not hold what was written."""


class Store:
    """The finished chunks of one plan. Use `open_store`."""

    def __init__(self, folder: pathlib.Path, plan: Plan):
        self.folder = folder
        self.plan = plan

    def read_settings(self, program: str = "") -> dict[str, Any]:
        """What the first driver settled for all later ones (width, kernels); empty where nothing is settled yet.

        Args:
          program: which of the job's programs, if it has several.

        Raises:
          UserError: if the file that says so is damaged or gone: how its runs were trained is then unknown.
        """
        path = self.folder / settings_name(program)
        runs = f"*,{glob.escape(program)}/*.npz" if program else "*/*.npz"
        if not path.exists() and next(self.folder.glob(runs), None) is None:
            return {}
        try:
            return dict(json.loads(path.read_text())["settings"])
        except UNREADABLE:
            raise UserError(
                f"{path}: cannot be read, so how the runs beside it were trained is unknown; remove {self.folder} to "
                "train them again, or choose another --out"
            ) from None

    def other_versions(self, program: str = "") -> str:
        """In words, what has another version now than when the settings were settled; empty where nothing has."""
        try:
            before = dict(json.loads((self.folder / settings_name(program)).read_text())["versions"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        now = versions()
        changed = [
            f"{name} {before[name]} then, {now[name]} now" for name in now if before.get(name) not in (None, now[name])
        ]
        return ", ".join(changed)

    def settle(self, settings: dict[str, Any], program: str = "", *, replace: bool = False) -> dict[str, Any]:
        """Writes the settings if none are written yet, or with `replace`; returns those that hold."""
        # Whose settings they are is known by the plan's own file, also where they are kept beside it.
        for name, kept in {PLAN_NAME: {}, settings_name(program): settings}.items():
            told = {"identity": self.plan.identity, "settings": kept, "versions": versions()}
            text = json.dumps(told, indent=1, sort_keys=True)
            write_durably(self.folder / name, text.encode(), replace=replace and name == settings_name(program))
        return self.read_settings(program)

    def spans(self, run_group: str) -> list[Span]:
        """Finished runs of a cell as ascending spans that do not overlap."""
        folder = self.folder / run_group
        names = (CHUNK_NAME.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
        found = sorted(Span(int(name[1]), int(name[2]) + 1) for name in names if name)
        spans: list[Span] = []
        for span in found:
            if span.stop > span.start and (not spans or span.start >= spans[-1].stop):
                spans.append(span)
        return spans

    def wanted(self) -> dict[str, list[Span]]:
        """By cell, all runs of the plan."""
        return {run_group: [Span(0, wanted)] for run_group, wanted in self.plan.run_groups.items()}

    def missing(self) -> dict[str, list[Span]]:
        """By cell, the wanted runs that are not finished."""
        return {
            run_group: list(gaps(self.spans(run_group), wanted)) for run_group, wanted in self.plan.run_groups.items()
        }

    def path(self, chunk: Chunk) -> pathlib.Path:
        return self.folder / chunk.run_group / f"{chunk.start:06d}-{chunk.stop - 1:06d}.npz"

    def checkpoint(self, chunk: Chunk, minutes: float, stop: Stop | None = None) -> DiskCheckpoint:
        """Where the chunk's training is kept in its middle."""
        return DiskCheckpoint(self.path(chunk).with_suffix(".checkpoint"), minutes, stop)

    def has_checkpoints(self) -> bool:
        """Whether something is kept of unfinished chunks."""
        return next(self.folder.glob("*/*.checkpoint/*"), None) is not None

    def forget_checkpoints(self) -> None:
        """Removes what is kept of unfinished chunks."""
        for folder in self.folder.glob("*/*.checkpoint"):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, chunk: Chunk, arrays: Arrays) -> None:
        """Adds a finished chunk: all arrays have one row a run."""
        plain, tracked = split_tracked(arrays)
        sums = {CHECKSUM: plain, TRACKED_CHECKSUM: tracked} if tracked else {CHECKSUM: plain}
        sums = {name: np.asarray(self.checksum(chunk, part)) for name, part in sums.items()}
        write_npz(self.path(chunk), {**arrays, **sums})
        self.checkpoint(chunk, 0).remove()
        # Why it had failed, if it had.
        self.path(chunk).with_suffix(".failed.txt").unlink(missing_ok=True)

    def read(self, chunk: Chunk, *, tracked: bool = False) -> dict[str, np.ndarray]:
        """The arrays of a finished chunk.

        Args:
          chunk: which.
          tracked: whether those too that tell of single examples while they were trained.

        Raises:
          DamagedChunk: if the file is not as it was written, or was written for other runs.
        """
        try:
            with ArrayFile(self.path(chunk)) as file:
                arrays = {name: file[name] for name in file if tracked or not name.startswith(TRACKED)}
        except UNREADABLE as error:
            raise DamagedChunk(str(error)) from None
        checksums = {name: str(arrays.pop(name, "")) for name in (CHECKSUM, TRACKED_CHECKSUM)}
        plain, more = split_tracked(arrays)
        if checksums[CHECKSUM] != self.checksum(chunk, plain):
            raise DamagedChunk("its checksum does not fit")
        if tracked and checksums[TRACKED_CHECKSUM] != (self.checksum(chunk, more) if more else ""):
            raise DamagedChunk("its checksum of what was tracked does not fit")
        # Anyone can write a checksum that fits.
        if any(array.shape[:1] != (chunk.stop - chunk.start,) for array in arrays.values()):
            raise DamagedChunk("it has not a row for each of its runs")
        return arrays

    def checksum(self, chunk: Chunk, arrays: Arrays) -> str:
        """SHA-256 of named arrays, of the plan they belong to and of the runs they are."""
        sha = hashlib.sha256(f"{self.plan.digest}/{chunk.run_group}/{chunk.start}-{chunk.stop}".encode())
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
            sha.update(array.tobytes())
        return sha.hexdigest()

    def set_aside(self, chunk: Chunk) -> pathlib.Path:
        """Renames a damaged chunk so that its runs count as not done; returns the new name."""
        path = self.path(chunk)
        aside = path.with_suffix(".npz.damaged")
        # Another driver may have been faster.
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
        return aside

    def verify(self, report: Callable[[str], None]) -> None:
        """Reads every finished chunk and sets damaged ones aside, telling `report` which."""
        for part in self.folder.rglob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE:
                    part.unlink()
        for run_group in self.plan.run_groups:
            for span in self.spans(run_group):
                chunk = Chunk(run_group, *span)
                try:
                    self.read(chunk, tracked=True)
                except DamagedChunk as error:
                    report(f"{self.set_aside(chunk)}: damaged ({error}); its runs are trained again")

    def runs(self, run_group: str, *, tracked: bool = False, start: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """The wanted runs of a cell in order, a chunk at a time, from that on which begins at run `start`; `tracked` as
        of `read`."""
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


def split_tracked(arrays: Arrays) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays that tell of runs, and those that tell of single examples while they were trained."""
    plain = {name: array for name, array in arrays.items() if not name.startswith(TRACKED)}
    return plain, {name: array for name, array in arrays.items() if name not in plain}


def open_store(folder: pathlib.Path, plan: Plan, run_bytes: int, remedy: str = "") -> Store:
    """The store of `plan` below `folder`, made if there is none.

    Args:
      folder: may not exist yet.
      plan: what is wanted.
      run_bytes: what a finished run takes on disk.
      remedy: what else than another disk would help if there is no room.

    Raises:
      UserError: if the folder holds runs made by other flags, cannot be written, or its disk lacks room.
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
    free, needed = shutil.disk_usage(folder).free, ROOM + run_bytes * missing
    if missing and free < needed:
        raise UserError(
            f"--out={folder.parent}: the runs need {needed / 1e6:.0f} MB and the disk has "
            f"{free / 1e6:.0f} MB free; make room or choose another folder{remedy}"
        )
    store.folder.mkdir(exist_ok=True)
    return store


def holds_usable_runs(folder: pathlib.Path) -> bool:
    """Whether a plan's folder has any run that did not diverge; a file that cannot be read may have one."""
    for path in folder.glob("*/*.npz"):
        try:
            with ArrayFile(path) as file:
                if file[FINITE].any():
                    return True
        except UNREADABLE:
            return True
    return False


def difference(other: pathlib.Path, plan: Plan) -> str:
    """In words, the first thing in which the plan written in `other` differs from `plan`."""
    try:
        theirs = dict(json.loads(other.read_text())["identity"])
    except UNREADABLE:
        return f"{other} cannot be read"
    for name in sorted(plan.identity.keys() | theirs.keys()):
        there, here = theirs.get(name, "absent"), plan.identity.get(name, "absent")
        if there != here:
            return f"{name} is {there} there and {here} here"
    return "of another version"
