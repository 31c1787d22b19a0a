"""``python -m jaxgen.cscore``: which examples are regular, and which are not? See `jaxgen.experiments.cscore`."""

import sys
from collections.abc import Sequence

from jaxgen.config import CscoreSpec, flags

PROGRAM = "jaxgen.cscore"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, CscoreSpec, lambda spec: run(spec, command), arguments)


def run(spec: CscoreSpec, command: str) -> None:
    """Runs the job of a spec; `command` is what its report says was typed."""
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.cscore.experiment import EXPERIMENT
    from jaxgen.jobs import experiment

    experiment.run(EXPERIMENT, spec, command)


if __name__ == "__main__":
    sys.exit(main())
