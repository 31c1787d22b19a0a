"""Flags of single experiments: subsets, tracking, influence, label noise, randomization, corruption."""

import dataclasses
from typing import Literal

from jaxgen.config.corruption_names import CORRUPTIONS
from jaxgen.config.fields import hparam, option
from jaxgen.config.rules import Spec, at_least, between, within
from jaxgen.config.sweep import alternatives
from jaxgen.errors import UserError


@dataclasses.dataclass(frozen=True)
class SubsetSpec(Spec):
    """Subsets"""

    subset_ratios: tuple[float, ...] = option(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "shares of the examples to train on: start:stop[:step] or a,b,c",
        step=0.1,
        rule=lambda ratios: (
            bool(ratios)
            and all(0 < ratio < 1 for ratio in ratios)
            and len({round(ratio, 6) for ratio in ratios}) == len(ratios)
        ),
        says="give one or more; each ratio must lie strictly between 0 and 1, and none may come twice",
    )
    num_runs: int = option(200, "models per ratio", **at_least(1))
    target_reliability: float = option(
        0.0,
        "train further blocks of models until the scores have this split-half reliability (0: --num_runs and no more)",
        **between(0, 1),
    )
    max_runs: int = option(2000, "target_reliability: models per ratio at most", **at_least(1))
    design: Literal["balanced", "independent", "nested"] = option(
        "balanced",
        "how subsets are drawn: balanced (in a block of runs every example is held out equally "
        "often), independent (each run on its own) or nested (the same draw for every ratio)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_reliability and self.max_runs < self.num_runs:
            raise UserError(
                f"--max_runs={self.max_runs}: is less than --num_runs={self.num_runs}, with which "
                "--target_reliability begins; raise it, or give fewer --num_runs"
            )
        # Runs are named by their ratio to the millionth: further digits must not make two runs of one name differ.
        object.__setattr__(self, "subset_ratios", tuple(round(ratio, 6) for ratio in self.subset_ratios))


TRACKS = ("dynamics", "pred_probs", "curves", "grand", "pixel_density", "feature_density", "pixel_lof", "feature_lof")


@dataclasses.dataclass(frozen=True)
class TrackSpec(Spec):
    """Every example"""

    track: tuple[str, ...] = option(
        ("auto",),
        "what is noted of single examples while models train: dynamics (scores of how training goes), pred_probs "
        "(held-out class probabilities), curves (learning curves), grand (norms of their gradients; slow), "
        "pixel_density (how near their classes are in pixels), feature_density (the same of what the last layer sees; "
        "needs --save_models), pixel_lof, feature_lof (local outlier factors of the same, by 20 nearest neighbours); "
        "auto: the first three, the second and third where they "
        "take at most a megabyte of a model, and none of them where other flags hold lists; none",
        rule=lambda names: (
            bool(names)
            and {*names} <= {"auto", "none", *TRACKS}
            and len({*names}) == len(names)
            and ("none" not in names or len(names) == 1)
        ),
        says=f"give auto, none, or some of {', '.join(TRACKS)}, none twice",
    )
    heldout_epochs: int = option(
        4,
        "track: after so many epochs, spaced by their logarithms, the last among them, held-out examples are examined",
        **at_least(1),
    )
    early_epoch: int = option(
        0, "track: the epoch that el2n and grand are taken from (0: a tenth of them, but not the first)", **at_least(0)
    )


@dataclasses.dataclass(frozen=True)
class InfluenceSpec(Spec):
    """Influence"""

    influence_pairs: int = option(
        0,
        "keep so many most influential training examples of each test example, and so many most influenced test "
        "examples of each training example, at the ratio nearest 0.7 (0: none); needs a test set",
        **at_least(0),
    )
    influence_within_class: bool = option(
        False, "influence: only of training examples on test examples of their own class, in a fraction of the time"
    )
    export_runs: str = option(
        "",
        "write what each model saw and got right there, in the layout of the published runs: "
        "<ratio>/<run>/aux_arrays.npz",
    )


@dataclasses.dataclass(frozen=True)
class LabelNoiseSpec(Spec):
    """Label noise"""

    label_noise: float = hparam(0.0, "share of the training labels that are drawn anew", **within(0, 1))
    noise_kind: Literal["uniform", "others", "cyclic", "pairs", "matrix", "permutation", "instance"] = option(
        "uniform",
        "what they become: uniform (any class, its own included), others (any other class), cyclic (the next class), "
        "pairs (0 and 1 swap, 2 and 3, ...), matrix (by --noise_matrix), permutation (each other's), instance (by the "
        "image)",
        sweep=True,
    )
    noise_matrix: str = option(
        "", "matrix: a csv, npy or npz file of one row of probabilities a class: from the true label to the one given"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "matrix" in alternatives(self.noise_kind) and not self.noise_matrix:
            raise UserError("--noise_kind=matrix: needs a --noise_matrix")


@dataclasses.dataclass(frozen=True)
class NoiseSpec(LabelNoiseSpec):
    """Randomization"""

    preset: Literal["none", "figure1", "table1", "label_noise", "regularizers", "optimizers"] = option(
        "none",
        "an experiment of Zhang et al. (2017) or after them, for the flags that are not given. "
        "figure1: pixels and label noise; table1: networks with and without augmentation and weight decay, true and "
        "random labels; label_noise: eleven rates with and without three regularizers; regularizers: each on its own, "
        "true and random labels; optimizers: SGD, momentum, Adam and schedules, true and random labels",
    )
    pixels: Literal["true", "shuffled", "random", "gaussian"] = option(
        "true",
        "the pixels: true, shuffled (one permutation for all images), random (one for each) or gaussian (noise of the "
        "data's mean and deviation)",
        sweep=True,
        hparam=True,
    )


@dataclasses.dataclass(frozen=True)
class FitSpec(Spec):
    """Measuring"""

    fit_at: tuple[float, ...] = option(
        (1.0,),
        "training accuracies, on the labels given, at which a member counts as having fitted",
        rule=lambda shares: bool(shares) and all(0 < share <= 1 for share in shares) and len({*shares}) == len(shares),
        says="give one or more, each above 0 and at most 1, and none twice",
    )
    stop_when_fitted: bool = option(
        True, "a member is done when it has reached the highest --fit_at; another takes its place"
    )
    test_share: float = option(
        0.2, "share of the examples that no member sees, where the data have no test set", **between(0, 1)
    )


@dataclasses.dataclass(frozen=True)
class CorruptionSpec(Spec):
    """Corruption"""

    preset: Literal["auto", "ablation", "none"] = option(
        "auto",
        "ablation: plain training, augmentation, weight decay, label noise of 0.2 and 0.4, each of --corruptions as "
        "training augmentation, Adam; none: what the flags say; auto: none if --train_modification or a list is given, "
        "or else ablation",
    )
    corruptions: tuple[str, ...] = option(
        ("standard",),
        "what members are judged under: standard (the 15 of CIFAR-10-C), all (of grey images all but saturate and "
        "grayscale, which leave them as they are), or names",
        rule=lambda names: (
            bool(names) and {*names} <= {"standard", "all", *CORRUPTIONS} and len({*names}) == len(names)
        ),
        says=f"give standard, all, or some of {', '.join(CORRUPTIONS)}, none twice",
    )
    severities: tuple[int, ...] = option(
        (1, 2, 3, 4, 5),
        "at which severities (clean images, severity 0, are always judged)",
        step=1,
        rule=lambda levels: bool(levels) and all(1 <= level <= 5 for level in levels) and len({*levels}) == len(levels),
        says="give one or more from 1 to 5, none twice",
    )
    constants: Literal["auto", "small", "imagenet", "mnist"] = option(
        "auto",
        "strengths as published for images of 32 (small), 224 (imagenet) or MNIST's 28 pixels (mnist: one severity); "
        "auto: imagenet from 64 pixels on, or else small",
    )
    corrupted_dir: str = option(
        "",
        "judge on this folder of corrupted test images, in the layout of CIFAR-10-C or MNIST-C, instead of drawing "
        "them (--corruptions=standard: the 15 of CIFAR-10-C or of MNIST-C; all: all that it has)",
    )
    export_dir: str = option("", "write the test images there, under --corruptions, in the layout of CIFAR-10-C")
    train_corruption: Literal["none", *CORRUPTIONS] = option(
        "none", "show training images under this corruption in a share of the steps", sweep=True, hparam=True
    )
    train_share: float = hparam(0.5, "train_corruption: the share", **within(0, 1))
    train_modification: Literal["none", *CORRUPTIONS] = option(
        "none",
        "train on the original and on the so modified data set side by side, and judge on both test sets",
        sweep=True,
        hparam=True,
    )
    train_severity: int = option(3, "severity of training corruption and modification", **within(1, 5))
    baseline: str = option("", "the setting, by its name in table.md, that mCE is relative to (empty: the first)")
    cscores: str = option("", "a cscores.npz of these training examples: judge them too, by tenths of their C-scores")
    test_share: float = option(
        0.2, "share of the examples that no member sees, where the data have no test set", **between(0, 1)
    )
