"""``python -m jaxgen.robustness``: what does corruption do to which training? See `jaxgen.experiments.robustness`."""

import sys
from collections.abc import Sequence

from jaxgen.config import RobustnessSpec, flags, sweep

PROGRAM = "jaxgen.robustness"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, RobustnessSpec, lambda spec: run(spec, command), arguments)


def run(spec: RobustnessSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.data.parts import hold_out_test
    from jaxgen.experiments.robustness.job import make_job
    from jaxgen.experiments.robustness.report import write_all
    from jaxgen.experiments.robustness.run import run_job
    from jaxgen.experiments.robustness.versions import export_tests
    from jaxgen.jobs.distributed import joined
    from jaxgen.jobs.run import describe_plan
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    dataset = hold_out_test(load_dataset(spec.data), spec.corruption.test_share, spec.seed)
    modifications = [one for one in sweep.alternatives(spec.corruption.train_modification) if one != "none"]
    spec = with_folder(spec, "robustness", dataset.name, "+".join(modifications))
    job = make_job(dataset, spec, log=log)
    if spec.compute.dry_run:
        show(describe_plan(job, log=log))
        return
    if spec.corruption.export_dir:
        export_tests(dataset, spec)
    text, files = write_all(job, run_job(job, resume=command, log=log), command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
