"""The methods that are compared on long tails, each given by numbers so that all share a compiled program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import HeadSpec
from jaxgen.engine.batch import ClassTerms
from jaxgen.transforms import classes

# How training labels are flipped: not at all, by label-noise rebalancing, as many at random.
NO_FLIPS, LNR_FLIPS, RANDOM_FLIPS = 0, 1, 2
# Methods without a stage 2, by the name of the stage-1 setting.
LDAM_DRW = "ldam_drw"
STAGE1_METHODS = ("ce", "mixup", "remix", LDAM_DRW)
# A method without a stage 2 that changes the classifiers of ``ce``.
TAU_NORMALIZATION = "tau_normalization"
# Methods that mix cached features by class pairs.
SELMIX_METHODS = ("selmix",)


class Method(NamedTuple):
    """A method of training the stage-2 classifier.

    Attributes:
      new: whether the classifier is reinitialized, or starts from stage 1's.
      head_rate, scale_rate: learning-rate factors of the classifier and of its per-class scales.
      aware: whether sampling is class-balanced, or every example once an epoch.
      few: whether each class is undersampled to the size of the smallest.
      terms: ``(counts [c], spec) -> ClassTerms``.
      flips: how labels are flipped: `NO_FLIPS`, `LNR_FLIPS` or `RANDOM_FLIPS`.
    """

    new: bool = False
    head_rate: float = 1.0
    scale_rate: float = 0.0
    aware: bool = False
    few: bool = False
    terms: Any = None
    flips: int = NO_FLIPS


def no_terms(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """No class-dependent terms."""
    zeros = np.zeros(len(counts), np.float32)
    return ClassTerms(zeros, zeros + 1, zeros)


def weighted(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Losses weighted by the inverse effective number of examples (Cui et al. 2019)."""
    return no_terms(counts, spec)._replace(weights=np.asarray(classes.effective_weights(jnp.asarray(counts))))


def adjusted(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Logits adjusted by tau times the log prior (Menon et al. 2021)."""
    prior = np.asarray(classes.log_prior(jnp.asarray(counts)))
    return no_terms(counts, spec)._replace(shift=spec.adjustment * prior)


def smoothed(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Label-aware smoothing (Zhong et al. 2021), by the class counts before flips."""
    smoothing = classes.smooth_by_class(
        jnp.asarray(counts), head=spec.most_smoothing, tail=spec.least_smoothing, shape=spec.smoothing_shape
    )
    if spec.smoothing_form == "paper":
        smoothing = classes.spread_over_others(smoothing, len(counts))
    return no_terms(counts, spec)._replace(smoothing=np.asarray(smoothing))


def make_methods(spec: HeadSpec) -> dict[str, Method]:
    """All stage-2 methods by name."""
    mislas = Method(head_rate=spec.head_factor, scale_rate=1.0, aware=True, terms=smoothed)
    return {
        "plain": Method(),
        "class_weights": Method(terms=weighted),
        "logit_adjustment": Method(terms=adjusted),
        "oversampling": Method(aware=True),
        "undersampling": Method(aware=True, few=True),
        "crt": Method(new=True, aware=True),
        "lws": Method(head_rate=0.0, scale_rate=1.0, aware=True),
        "selmix": Method(),
        "mislas": mislas,
        "lnr": mislas._replace(flips=LNR_FLIPS),
        "random_flips": mislas._replace(flips=RANDOM_FLIPS),
    }


def stack_terms(methods: Sequence[Method], counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """The class-dependent terms of all methods, stacked to ``[s, c]`` each."""
    terms = [(method.terms or no_terms)(counts, spec) for method in methods]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *terms)
