"""``python -m jaxgen.oversampling``: do noisy copies help where data are scarce?"""

import sys
from collections.abc import Sequence

from jaxgen.config import OversamplingSpec, flags

PROGRAM = "jaxgen.oversampling"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, OversamplingSpec, lambda spec: run(spec, command), arguments)


def run(spec: OversamplingSpec, command: str) -> None:
    """Runs the job of a spec; `command` is what its report says was typed."""
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.oversampling.experiment import EXPERIMENT
    from jaxgen.jobs import experiment

    experiment.run(EXPERIMENT, spec, command)


if __name__ == "__main__":
    sys.exit(main())
