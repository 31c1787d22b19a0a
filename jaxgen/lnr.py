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
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.data.keel import load_keel
    from jaxgen.experiments.longtail.imbalances import answer_by_stages
    from jaxgen.experiments.tabular.job import are_tables
    from jaxgen.experiments.tabular.report import answer_by_folds
    from jaxgen.jobs.distributed import joined
    from jaxgen.reporting.console import log, show
    from jaxgen.reporting.files import with_folder

    spec = joined(spec)
    names = spec.tabular.keel
    datasets = [load_keel(name) for name in names] if names else [load_dataset(spec.data)]
    tables = are_tables(datasets, spec)
    spec = with_folder(spec, "lnr", "keel" if names else datasets[0].name, "table" if tables and not names else "")
    if tables:
        text, files = answer_by_folds(datasets, spec, command, log=log)
    else:
        text, files = answer_by_stages(datasets[0], spec, command, log=log)
    show(text, files)


if __name__ == "__main__":
    sys.exit(main())
