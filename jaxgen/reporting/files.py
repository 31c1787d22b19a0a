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
    """The spec with a folder for results: ``--out``, or else one in ``runs`` named by these words but empty ones."""
    return dataclasses.replace(spec, out=spec.out or str(pathlib.Path("runs") / "_".join(filter(None, words))))


def with_resolved_width(spec: Any, widths: Collection[int]) -> Any:
    """The flags of the whole job, with the width that was found, if it is one for all programs.

    Models of another width may round otherwise.
    """
    width = next(iter(widths)) if len(set(widths)) == 1 else spec.compute.width
    spec = without_shard(spec)
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, width=width))


def without_shard(spec: Any) -> Any:
    """The flags of the whole job, of whatever share they are."""
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, shard="", aggregate_only=False))


def write_flags(
    flagfile: pathlib.Path, spec: Any, program: str, command: str, set_by_preset: Mapping[str, str] | None = None
) -> None:
    """Writes a job's flags below the version, the command that was given, and the one that does it again.

    Those that a preset sets, with their values in `set_by_preset`, are comments.
    """
    header = f"jaxgen {jaxgen.__version__}\n{command}\npython -m {program} --flagfile={flagfile}"
    flagfile.write_text(to_flagfile(spec, header, set_by_preset))


@contextmanager
def written_or_told(out: str) -> Iterator[None]:
    """Turns a failure to write into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--out={out}: results cannot be written ({error}); all models are kept: make room or move what is in "
            "the way, and give the same command again"
        ) from None
