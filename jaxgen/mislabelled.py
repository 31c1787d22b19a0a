"""``python -m jaxgen.mislabelled``: which labels are wrong? See `jaxgen.experiments.mislabelled`."""

import sys
from collections.abc import Sequence

from jaxgen.config import MislabelledSpec, flags

PROGRAM = "jaxgen.mislabelled"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return flags.run_entry(
        PROGRAM, MislabelledSpec, lambda spec: run(spec, flags.command(PROGRAM, arguments)), arguments
    )


def run(spec: MislabelledSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.experiments.cscore.run import describe_plan
    from jaxgen.experiments.mislabelled.benchmark import run_benchmark
    from jaxgen.experiments.mislabelled.report import write_benchmark, write_search
    from jaxgen.experiments.mislabelled.search import check_search, cscore_spec, search
    from jaxgen.jobs.distributed import joined
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    check_search(spec)
    dataset = load_dataset(spec.data)
    spec = with_folder(spec, "mislabelled", dataset.name, "league" if spec.search.inject else "")
    if spec.compute.dry_run:
        show(describe_plan(dataset, cscore_spec(spec), log=log))
        return
    if spec.search.inject:
        text, files = write_benchmark(run_benchmark(dataset, spec, resume=command, log=log), spec, command)
    else:
        text, files = write_search(dataset, search(dataset, spec, resume=command, log=log), spec, command)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
