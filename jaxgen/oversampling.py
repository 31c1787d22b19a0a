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
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.experiments.oversampling.job import make_job
    from jaxgen.experiments.oversampling.measure import describe_plan, run_job
    from jaxgen.experiments.oversampling.report import write_all
    from jaxgen.jobs.distributed import joined
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    dataset = load_dataset(spec.data)
    spec = with_folder(spec, "oversampling", dataset.name)
    job = make_job(dataset, spec, log=log)
    if spec.compute.dry_run:
        show(describe_plan(job, log=log))
        return
    text, files = write_all(job, run_job(job, resume=command, log=log), command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
