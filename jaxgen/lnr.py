"""``python -m jaxgen.lnr``: do flipped labels help where classes are of unequal size?"""

import sys
from collections.abc import Sequence

from jaxgen.config import LnrSpec, flags

PROGRAM = "jaxgen.lnr"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, LnrSpec, lambda spec: run(spec, command), arguments)


def run(spec: LnrSpec, command: str) -> None:
    """Runs the job of a spec, in stages or, for tables, in folds; `command` is what its report says was typed."""
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.longtail.experiment import EXPERIMENT as IN_STAGES
    from jaxgen.experiments.tabular.experiment import EXPERIMENT as IN_FOLDS
    from jaxgen.experiments.tabular.job import are_tables
    from jaxgen.jobs import experiment
    from jaxgen.jobs.distributed import join_processes

    spec = join_processes(spec)
    datasets = IN_FOLDS.load(spec)
    experiment.run(IN_FOLDS if are_tables(datasets, spec) else IN_STAGES, spec, command, datasets)


if __name__ == "__main__":
    sys.exit(main())
