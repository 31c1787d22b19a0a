"""What functions that take the user's own arrays share: flags as Python arguments, and a folder where none is given."""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jaxgen.config import DataSpec
from jaxgen.config.fields import as_value, flag_fields, flag_values, spec_from_values
from jaxgen.errors import UserError
from jaxgen.jobs.distributed import join_processes


@contextmanager
def spec_of_call(
    kind: type[Any], program: str, flags: Mapping[str, Any], out: str | None, left_out: Collection[str] = ()
) -> Iterator[Any]:
    """The spec that keyword arguments describe; where no folder is given, runs are kept in one until the block ends.

    Args:
      kind: of spec.
      program: whose flags they are.
      flags: by name, with Python values.
      out: the folder for finished runs, or None.
      left_out: names that arrays cannot go with, beside those of the data.

    Raises:
      UserError: for a name that is not a flag or is left out, and for values that cannot be used.
    """
    fields = {field.name: field for _, field in flag_fields(kind())}
    if unknown := flags.keys() - (fields.keys() - flag_values(DataSpec()).keys() - set(left_out)):
        raise UserError(f"{min(unknown)}: not a flag of {program} that arrays can go with")
    chosen = {name: as_value(fields[name], value) for name, value in flags.items()}
    with tempfile.TemporaryDirectory(prefix="jaxgen-") as folder:
        yield join_processes(spec_from_values(kind, {**chosen, "out": out or folder}))
