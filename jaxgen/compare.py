"""``python -m jaxgen.compare A B``: do two scores of the same examples agree? See `jaxgen.experiments.compare`."""

import sys
from collections.abc import Sequence

from jaxgen.config import CompareSpec, flags

PROGRAM = "jaxgen.compare"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, CompareSpec, lambda spec: run(spec, command), arguments)


def run(spec: CompareSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.compare.run import compare, write_all
    from jaxgen.reporting.console import show

    found, spec = compare(spec)
    text, files = write_all(found, spec, command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
