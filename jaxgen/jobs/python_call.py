"""Flags as keyword arguments, for functions that take the user's own arrays."""

import difflib
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jaxgen.config import DataSpec
from jaxgen.config.fields import as_value, flag_fields, flag_values, spec_from_values
from jaxgen.data.python_arrays import DATA_FLAGS
from jaxgen.errors import UserError
from jaxgen.jobs.distributed import join_processes
from jaxgen.runs.jax_settings import fixed_settings


@contextmanager
def spec_of_call(
    kind: type[Any],
    program: str,
    flags: Mapping[str, Any],
    out: str | os.PathLike | None,
    left_out: Collection[str] = (),
) -> Iterator[Any]:
    """Makes a spec of keyword arguments, with a temporary folder if `out` is None; inside, JAX's settings are fixed.

    Args:
      kind: class of the spec.
      program: module of the command, for messages.
      flags: by name, with Python values; they count as given.
      out: the folder for finished runs; None: a temporary one, removed when the block ends.
      left_out: flags, besides those of the data, that cannot be given with arrays.

    Raises:
      UserError: for a name that is no flag or is left out, and for values that break a rule.
    """
    fields = {field.name: field for _, field in flag_fields(kind())}
    data_flags = flag_values(DataSpec()).keys() - DATA_FLAGS
    if unknown := flags.keys() - (fields.keys() - data_flags - set(left_out)):
        name = min(unknown)
        if name in fields:
            raise UserError(f"{name}: is no flag of a call from Python; leave it out")
        near = difflib.get_close_matches(name, fields, n=3)
        raise UserError(f"{name}: is no flag of {program}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    values = {name: as_value(fields[name], value) for name, value in flags.items()}
    with tempfile.TemporaryDirectory(prefix="jaxgen-") as folder, fixed_settings():
        yield join_processes(spec_from_values(kind, {**values, "out": os.fspath(out) if out else folder}, given=flags))
