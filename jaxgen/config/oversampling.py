"""Flags of the oversampling experiment: sizes of samples, arms, noise, copies."""

import dataclasses
from typing import Literal

from jaxgen.config.fields import format_value, hparam, option, optional_hparam
from jaxgen.config.rules import Spec, at_least, between, within
from jaxgen.config.sweep import alternatives
from jaxgen.errors import UserError


@dataclasses.dataclass(frozen=True)
class CopiesSpec(Spec):
    """Oversampling"""

    sample_sizes: tuple[int, ...] = option(
        (),
        "numbers of unique examples, those for development included (empty: 500,1000,1500,2000,2500,3000,4000; where "
        "there are fewer than 8,000 training examples, the same parts of half of them)",
        rule=lambda sizes: all(size >= 1 for size in sizes) and len({*sizes}) == len(sizes),
        says="give numbers of examples, each 1 or more, and none twice",
    )
    arm: Literal["plain", "duplicates", "uniform", "gaussian", "salt_and_pepper", "augmented"] = option(
        ("plain", "duplicates", "uniform", "gaussian", "salt_and_pepper", "augmented"),
        "what a sample is trained beside: nothing (plain); exact copies (duplicates: as many steps as with noisy ones, "
        "and no noise); copies with uniform, gaussian or salt_and_pepper noise, which a copy keeps in all epochs; or, "
        "without copies, by augmentation as the flags below have it, drawn anew in every step (augmented)",
        sweep=True,
        hparam=True,
    )
    uniform_noise: float = optional_hparam(
        0.5, "uniform: what lies in [0, this] is added to each value, of pixels in [0, 1]", **at_least(0)
    )
    gaussian_noise: float = optional_hparam(
        0.3, "gaussian: standard deviation of what is added to each value", **at_least(0)
    )
    salt_and_pepper: float = optional_hparam(
        0.1,
        "salt_and_pepper: share of the values that are set, half to the lowest, half to the highest",
        **within(0, 1),
    )
    clipped: Literal["no", "yes"] = option(
        "no", "whether noisy values are cut to the range of the data", sweep=True, hparam=True
    )
    num_copies: int = hparam(1, "copies of each example that is copied", **at_least(0))
    copied_share: float = hparam(1.0, "share of the examples that are copied", **within(0, 1))
    split: Literal["before", "after"] = option(
        "before",
        "whether development examples are taken out before copying, or after it: the leaky way, which leaves copies of "
        "them among those trained on",
        sweep=True,
        hparam=True,
    )
    dev_share: float = option(0.1, "share of a sample that is for development", **between(0, 1))
    test_set: Literal["source", "rest"] = option(
        "source",
        "source: the test set of the data, or --test_share of them where they have none; rest: all training examples "
        "but those that samples are drawn from, which are then as many as the largest sample",
    )
    test_share: float = option(
        0.2, "share of the examples that no member sees, where the data have no test set", **between(0, 1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # With 0 an arm would be `plain` by another name.
        copying = {*alternatives(self.arm)} - {"plain", "augmented"}
        for name in ("num_copies", "copied_share"):
            if copying and 0 in (values := alternatives(getattr(self, name))):
                raise UserError(f"--{name}={format_value(values)}: copies nothing; --arm=plain does that")
