"""The folder of a job and the flag file that reproduces it."""

import dataclasses
import pathlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jaxgen
from jaxgen.config.flags import to_flagfile
from jaxgen.errors import UserError

FLAG_FILE = "flags.cfg"


def with_folder(spec: Any, *words: str) -> Any:
    """The spec with ``--out`` set: as given, or to ``runs/<words joined by _>``; empty words are left out."""
    return dataclasses.replace(spec, out=spec.out or str(pathlib.Path("runs") / "_".join(filter(None, words))))


def with_resolved_width(spec: Any, widths: Collection[int]) -> Any:
    """The spec of the whole job, with ``--width`` set if all programs were trained at the same width.

    Models trained at another width may round differently.
    """
    width = next(iter(widths)) if len(set(widths)) == 1 else spec.compute.width
    spec = without_shard(spec)
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, width=width))


def without_shard(spec: Any) -> Any:
    """The spec of the whole job, without ``--shard`` and ``--aggregate_only``."""
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, shard="", aggregate_only=False))


def write_flags(
    flagfile: pathlib.Path, spec: Any, program: str, command: str, set_by_preset: Mapping[str, str] | None = None
) -> None:
    """Writes a job's flag file, under a header with version, original command and command that repeats the job.

    Flags in `set_by_preset` are written as comments with these values.
    """
    header = f"jaxgen {jaxgen.__version__}\n{command}\npython -m {program} --flagfile={flagfile}"
    flagfile.write_text(to_flagfile(spec, header, set_by_preset), encoding="utf-8")


@contextmanager
def report_write_errors(out: str) -> Iterator[None]:
    """Turns an `OSError` in the block into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--out={out}: results cannot be written ({error}); all models are kept: make room or move what is in "
            "the way, and give the same command again"
        ) from None
