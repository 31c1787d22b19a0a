"""``python -m jaxgen.lnr``: do flipped labels help where classes are of unequal size? See `jaxgen.experiments.lnr`."""

import sys
from collections.abc import Sequence

from jaxgen import flags
from jaxgen.errors import UserError
from jaxgen.spec import LnrSpec
from jaxgen.types import Dataset

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
    from jaxgen.data.parts import hold_out_test
    from jaxgen.experiments.files import with_folder
    from jaxgen.experiments.lnr import describe_plan, expect_flips, run_job
    from jaxgen.experiments.lnr_job import make_job
    from jaxgen.experiments.lnr_tables import what_if_table, write_all
    from jaxgen.experiments.members import tell

    if spec.tabular.keel:
        if spec.data.dataset != LnrSpec().data.dataset or spec.tabular.protocol == "two_stage":
            raise UserError(
                "--keel: is in place of --dataset, and its tables are for --protocol=tabular; leave one out"
            )
        run_on_tables([load_keel(name) for name in spec.tabular.keel], with_folder(spec, "lnr", "keel"), command)
        return
    dataset = load_dataset(spec.data)
    spec = with_folder(spec, "lnr", dataset.name)
    if spec.tabular.protocol == "tabular" or (
        spec.tabular.protocol == "auto" and not dataset.has_images and dataset.num_classes == 2
    ):
        run_on_tables([dataset], spec, command)
        return
    job = make_job(hold_out_test(dataset, spec.longtail.test_share, spec.seed), spec)
    if spec.compute.dry_run:
        print(describe_plan(job, say=tell))
        return
    if spec.flips.what_if:
        print(what_if_table(job, expect_flips(job, resume=command, say=tell)))
        return
    text, files = write_all(job, run_job(job, resume=command, say=tell), command)
    print(text)
    print("\n".join(["", *(str(file) for file in files)]))


def run_on_tables(datasets: Sequence[Dataset], spec: LnrSpec, command: str) -> None:
    """Folds of rows in two classes, by scikit-learn's classifiers."""
    from jaxgen.experiments.members import tell
    from jaxgen.experiments.tabular_job import describe_folds, expect_table_flips, make_table_job, run_tables
    from jaxgen.experiments.tabular_tables import write_tables

    job = make_table_job(datasets, spec, say=tell)
    if spec.compute.dry_run:
        print(describe_folds(job))
        return
    if spec.flips.what_if:
        print(expect_table_flips(job))
        return
    text, files = write_tables(job, run_tables(job, resume=command, say=tell), command)
    print(text)
    print("\n".join(["", *(str(file) for file in files)]))


if __name__ == "__main__":
    sys.exit(main())
