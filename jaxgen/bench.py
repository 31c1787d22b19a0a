"""``python -m jaxgen.bench``: how fast is that, here? See `jaxgen.benchmarks`."""

import sys
from collections.abc import Sequence

from jaxgen.config import BenchSpec, flags, sweep
from jaxgen.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    return flags.run_entry("jaxgen.bench", BenchSpec, run, argv)


def run(spec: BenchSpec) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.benchmarks.corruptions import measure_corruptions
    from jaxgen.benchmarks.heads import measure_heads
    from jaxgen.benchmarks.images import measure_images
    from jaxgen.benchmarks.influence import measure_influence
    from jaxgen.benchmarks.label_noise import measure_label_noise
    from jaxgen.benchmarks.launchers import measure_launchers
    from jaxgen.benchmarks.oversampling import measure_oversampling
    from jaxgen.benchmarks.speed import measure_precision, measure_scaling, measure_speed
    from jaxgen.benchmarks.store import measure_store
    from jaxgen.benchmarks.width import measure_members
    from jaxgen.reporting.console import show

    measures = {
        "speed": measure_speed,
        "scaling": measure_scaling,
        "images": measure_images,
        "members": measure_members,
        "precision": measure_precision,
        "label_noise": measure_label_noise,
        "corruptions": measure_corruptions,
        "oversampling": measure_oversampling,
        "heads": measure_heads,
        "influence": measure_influence,
        "launchers": measure_launchers,
        "store": measure_store,
    }
    if lists := sweep.swept(spec.job):
        raise UserError(f"--{lists[0]}: a benchmark takes one value of each flag; give one, without commas or colons")
    show(measures[spec.measure](spec))


if __name__ == "__main__":
    sys.exit(main())
