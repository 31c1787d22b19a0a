"""``python -m jaxgen.randomization``: what do networks fit, and what do they learn?"""

import sys
from collections.abc import Sequence

from jaxgen.config import RandomizationSpec, flags

PROGRAM = "jaxgen.randomization"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, RandomizationSpec, lambda spec: run(spec, command), arguments)


def run(spec: RandomizationSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.data.parts import hold_out_test
    from jaxgen.experiments.randomization.job import make_job
    from jaxgen.experiments.randomization.report import write_all
    from jaxgen.experiments.randomization.run import run_job
    from jaxgen.jobs.distributed import joined
    from jaxgen.jobs.run import describe_plan
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    dataset = hold_out_test(load_dataset(spec.data), spec.fit.test_share, spec.seed)
    preset = spec.noise.preset if spec.noise.preset != "none" else ""
    spec = with_folder(spec, "randomization", dataset.name, preset)
    job = make_job(dataset, spec)
    if spec.compute.dry_run:
        show(describe_plan(job, log=log))
        return
    text, files = write_all(job, run_job(job, resume=command, log=log), command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
