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
    """Compares the score files of a spec, and shows and writes the report."""
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.compare.report import make_report
    from jaxgen.experiments.compare.run import compare
    from jaxgen.reporting.console import show
    from jaxgen.reporting.report import write_report

    report = make_report(*compare(spec))
    show(report.summary, write_report(report, PROGRAM, command))


if __name__ == "__main__":
    sys.exit(main())
