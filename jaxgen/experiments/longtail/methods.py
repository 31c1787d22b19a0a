"""The methods that long-tailed classifiers are compared by: what each is, in numbers, so that all share a program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgen.config import HeadSpec
from jaxgen.engine.batch import ClassTerms
from jaxgen.transforms import classes

# Whose labels are flipped: nobody's, as label-noise rebalancing does, as many at random.
NONE, REBALANCED, RANDOM = 0, 1, 2
# Rows of the table that are stage 1 as it is, by the kind of stage 1.
AS_THEY_ARE = ("ce", "mixup", "remix")
# Those that mix cached features as they gain.
GUIDED = ("selmix",)


class Method(NamedTuple):
    """A way to train stage 2's classifier.

    Attributes:
      new: whether it begins anew, or with stage 1's.
      head_rate, scale_rate: shares of the step size for the classifier and for its classes' scales.
      aware: whether classes are seen alike often, or every example once an epoch.
      few: whether of each class only as many examples as the smallest has.
      terms: ``(counts [c], spec) -> ClassTerms``.
      flips: of whose labels.
    """

    new: bool = False
    head_rate: float = 1.0
    scale_rate: float = 0.0
    aware: bool = False
    few: bool = False
    terms: Any = None
    flips: int = NONE


def no_terms(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Nothing by class."""
    zeros = np.zeros(len(counts), np.float32)
    return ClassTerms(zeros, zeros + 1, zeros)


def weighted(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Losses weighted by the effective number of examples (Cui et al. 2019)."""
    return no_terms(counts, spec)._replace(weights=np.asarray(classes.effective_weights(jnp.asarray(counts))))


def adjusted(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Logits shifted by tau times the logarithm of the prior (Menon et al. 2021)."""
    prior = np.asarray(classes.log_prior(jnp.asarray(counts)))
    return no_terms(counts, spec)._replace(shift=spec.adjustment * prior)


def smoothed(counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """Labels smoothed by class (Zhong et al. 2021), as many as there were before any was flipped."""
    smoothing = classes.smooth_by_class(
        jnp.asarray(counts), head=spec.most_smoothing, tail=spec.least_smoothing, shape=spec.smoothing_shape
    )
    if spec.smoothing_form == "paper":
        smoothing = classes.spread_over_others(smoothing, len(counts))
    return no_terms(counts, spec)._replace(smoothing=np.asarray(smoothing))


def make_learner_config(spec: HeadSpec) -> dict[str, Method]:
    """All that are trained in stage 2, by name."""
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
        "lnr": mislas._replace(flips=REBALANCED),
        "random_flips": mislas._replace(flips=RANDOM),
    }


def stack_terms(methods: Sequence[Method], counts: np.ndarray, spec: HeadSpec) -> ClassTerms:
    """The terms of all methods, ``[s, c]`` each."""
    found = [(method.terms or no_terms)(counts, spec) for method in methods]
    return ClassTerms(*(np.stack([getattr(one, name) for one in found]) for name in ClassTerms._fields))
