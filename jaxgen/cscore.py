"""``python -m jaxgen.cscore``: which examples are regular, and which are not? See `jaxgen.experiments.cscore`."""

import sys
from collections.abc import Sequence

from jaxgen.config import CscoreSpec, flags

PROGRAM = "jaxgen.cscore"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return flags.run_entry(PROGRAM, CscoreSpec, lambda spec: run(spec, flags.command(PROGRAM, arguments)), arguments)


def run(spec: CscoreSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.experiments.cscore.run import describe_plan, score_settings
    from jaxgen.jobs.distributed import joined
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    dataset = load_dataset(spec.data)
    spec = with_folder(spec, "cscore", dataset.name)
    if spec.compute.dry_run:
        show(describe_plan(dataset, spec, log=log))
        return
    found = score_settings(dataset, spec, resume=command, log=log)
    # Imported here: what draws takes half a second, and nothing is drawn before.
    from jaxgen.experiments.cscore.report import write_all

    text, files = write_all(dataset, found, spec, command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
