"""``python -m jaxgen.bench``: how fast is that, here? See `jaxgen.benchmarks`."""

import sys
from collections.abc import Sequence

from jaxgen.config import BenchSpec, flags, sweep
from jaxgen.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    return flags.run_entry("jaxgen.bench", BenchSpec, run, argv)


def run(spec: BenchSpec) -> None:
    """Shows the measure that is asked for.

    Raises:
      UserError: for lists of values, and what the measure refuses.
    """
    if lists := sweep.swept(spec.job):
        raise UserError(f"--{lists[0]}: a benchmark takes one value of each flag; give one, without commas or colons")
    if spec.job.pilot:
        raise UserError("--pilot: a benchmark trains what its flags say; leave it out")
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.benchmarks.measures import MEASURES
    from jaxgen.reporting.console import show

    show(MEASURES[spec.measure](spec))


if __name__ == "__main__":
    sys.exit(main())
