"""Flags of `jaxgen.compare`."""

import dataclasses
from typing import ClassVar, Literal

from jaxgen.config.fields import option
from jaxgen.config.rules import CommandSpec, Spec, at_least, between
from jaxgen.config.training import DataSpec


@dataclasses.dataclass(frozen=True)
class ComparisonSpec(Spec):
    """Comparison"""

    first: str = option(
        "",
        "the first file: a cscores.npz, or the folder of its job; a published .npz or .npy; any .npz with --score; "
        "FILE.csv:COLUMN; a folder of published runs (<ratio>/<run>/aux_arrays.npz) or of a datamodels store "
        "(masks.npy, margins.npy)",
    )
    second: str = option("", "the second, of any of these kinds")
    score: tuple[str, ...] = option(
        (),
        "which score of the files; two with a comma between, if it is not the same one in both (empty: what each file "
        "is about)",
        rule=lambda names: len(names) <= 2,
        says="give one name, or two: that of the first and that of the second file",
    )
    reorder: Literal["none", "tfds", "original"] = option(
        "none",
        "tfds: examples of the file that does not say which is which (of the first, if neither does) lie in the order "
        "of tensorflow-datasets; original: in that of the original files",
    )
    other_labels: bool = option(False, "go on where labels differ, as before and after they were cleaned")
    allow_pickle: tuple[str, ...] = option(
        (), "files whose arrays of Python objects may be read: bytes, texts and numbers only"
    )
    lowest: tuple[int, ...] = option(
        (),
        "how many lowest to hold beside each other (empty: 1, 5, 10 and 20 % of the examples)",
        step=1,
        rule=lambda counts: all(count >= 1 for count in counts) and len({*counts}) == len(counts),
        says="give numbers of examples, each 1 or more, and none twice",
    )
    num_draws: int = option(1000, "bootstrap draws for each interval", **at_least(20))


@dataclasses.dataclass(frozen=True)
class CompareSpec(CommandSpec):
    """Compare two scores of the same examples: order and labels, correlations, the lowest, where they disagree most."""

    # Flags that may be given as bare words, in this order.
    WORDS: ClassVar[tuple[str, ...]] = ("first", "second")

    comparison: ComparisonSpec = dataclasses.field(default_factory=ComparisonSpec)
    data: DataSpec = dataclasses.field(default_factory=lambda: DataSpec(dataset=""))
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results (empty: runs/compare_<first>_<second>)")
