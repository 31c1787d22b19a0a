"""``python -m jaxgen.bench``: how fast is that, here? See `jaxgen.experiments.benchmark`."""

import sys
from collections.abc import Sequence

from jaxgen import flags
from jaxgen.spec import BenchSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (by default the process's own); returns the exit code."""
    return flags.run_entry("jaxgen.bench", BenchSpec, run, argv)


def run(spec: BenchSpec) -> None:
    # Imported here: --help and refused flags need no JAX.
    from jaxgen.experiments.benchmark import measure_scaling, measure_speed

    print(measure_speed(spec) if spec.measure == "speed" else measure_scaling(spec))


if __name__ == "__main__":
    sys.exit(main())
