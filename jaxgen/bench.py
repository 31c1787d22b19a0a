"""``python -m jaxgen.bench``: how fast is that, here? See `jaxgen.benchmarks`."""

import dataclasses
import sys
from collections.abc import Sequence

from jaxgen.config import BenchSpec, flags, sweep
from jaxgen.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    named = flags.named_in(BenchSpec, arguments)
    return flags.run_entry("jaxgen.bench", BenchSpec, lambda spec: run(spec, named), arguments)


def run(spec: BenchSpec, named: Sequence[str] = ()) -> None:
    """Shows the measure that is asked for.

    Raises:
      UserError: for lists of values, and what the measure refuses.
    """
    if lists := sweep.swept(spec.job):
        raise UserError(f"--{lists[0]}: a benchmark takes one value of each flag; give one, without commas or colons")
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.benchmarks.measures import MEASURES
    from jaxgen.reporting.console import show

    show(MEASURES[spec.measure](dataclasses.replace(spec, keep=tuple(sorted({*spec.keep, *named} - {"keep"})))))


if __name__ == "__main__":
    sys.exit(main())
