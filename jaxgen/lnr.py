"""``python -m jaxgen.lnr``: do flipped labels help where classes are of unequal size? See `jaxgen.experiments.lnr`."""

import sys
from collections.abc import Sequence

from jaxgen import flags
from jaxgen.spec import LnrSpec

PROGRAM = "jaxgen.lnr"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = flags.command(PROGRAM, arguments)
    return flags.run_entry(PROGRAM, LnrSpec, lambda spec: run(spec, command), arguments)


def run(spec: LnrSpec, command: str) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.data import load_dataset
    from jaxgen.data.parts import hold_out_test
    from jaxgen.experiments.files import with_folder
    from jaxgen.experiments.lnr import describe_plan, expect_flips, run_job
    from jaxgen.experiments.lnr_job import make_job
    from jaxgen.experiments.lnr_tables import what_if_table, write_all
    from jaxgen.experiments.members import tell

    dataset = hold_out_test(load_dataset(spec.data), spec.longtail.test_share, spec.seed)
    job = make_job(dataset, with_folder(spec, "lnr", dataset.name))
    if spec.compute.dry_run:
        print(describe_plan(job, say=tell))
        return
    if spec.flips.what_if:
        print(what_if_table(job, expect_flips(job, resume=command, say=tell)))
        return
    text, files = write_all(job, run_job(job, resume=command, say=tell), command)
    print(text)
    print("\n".join(["", *(str(file) for file in files)]))


if __name__ == "__main__":
    sys.exit(main())
