"""``python -m jaxgen.report RUN_DIR``: what a job found, as one page for a browser. See `jaxgen.views.page`."""

import sys
from collections.abc import Sequence

from jaxgen.config import ReportSpec, flags

PROGRAM = "jaxgen.report"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    return flags.run_entry(PROGRAM, ReportSpec, run, argv)


def run(spec: ReportSpec) -> None:
    """Writes the page of a finished job, and shows its path and size."""
    # Imported here: --help and refused flags need no NumPy.
    from jaxgen.experiments.cscore.page import write_report
    from jaxgen.reporting.console import log, show

    path = write_report(spec, log=log)
    show(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(main())
