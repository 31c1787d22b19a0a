"""What a gradient step is of: a batch, the moment, a network's weights, and what a learner does besides."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from jaxgen.training.optimizers import HParams
from jaxgen.transforms.augment import Mixed


class ClassTerms(NamedTuple):
    """What classes change of a loss, by the label given; float ``[c]`` all.

    Attributes:
      smoothing: label smoothing of a class's examples.
      weights: by which their losses count.
      shift: what is added to logits while training (logit adjustment).
    """

    smoothing: jax.Array
    weights: jax.Array
    shift: jax.Array


class Remix(NamedTuple):
    """Labels of mixtures by the classes' sizes (`jaxgen.transforms.classes.remix_share`).

    Attributes:
      counts: of the classes' examples ``[c]``.
      kappa: from which ratio on; infinite: labels are mixed as inputs are.
    """

    counts: jax.Array
    kappa: jax.Array


class Batch(NamedTuple):
    """b examples: ``inputs [b, ...]`` as the network sees them, ``labels [b]``, ``weights [b]``.

    A weight of 0 leaves an example out; those of weight 1 come first. With `terms`, smoothing is by class. With
    `remix`, a mixture's labels count by their classes' sizes.
    """

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    terms: ClassTerms | None = None
    remix: Remix | None = None


class StepIndex(NamedTuple):
    """When a step is taken: step `step` of the `num_steps` steps of epoch `epoch`; both count from 0."""

    epoch: jax.Array
    step: jax.Array
    num_steps: jax.Array

    @property
    def count(self) -> jax.Array:
        """Steps taken before."""
        return self.epoch * self.num_steps + self.step

    @property
    def progress(self) -> jax.Array:
        """Epochs finished when the step is done, float32."""
        return self.epoch + (self.step + 1) / self.num_steps


class Variables(NamedTuple):
    """What a network predicts with: parameters, and running batch statistics (empty without batch norm)."""

    params: Any
    stats: Any


class LearnerConfig(NamedTuple):
    """What a learner does besides gradient steps; fixed when its program is compiled.

    Attributes:
      optimize: from `jaxgen.training.optimizers.make_optimizer`.
      augment: from `jaxgen.transforms.augment.make_augmentation`, or None.
      in_use: names of the knobs that some member has above 0.
      microbatch_size: examples whose gradient is computed together, a divisor of the batch size; None: the whole batch.
        Activations of a few examples stay in a CPU's cache. Networks with batch norm need the whole batch.
      precision: of float32 products, as `jax.default_matmul_precision` has it.
      groups: names of all of the parameters' uppermost groups, if each has a step size of its own: the usual one times
        the knob ``<group>_rate``. At 0 a group stays as it is.
      tells_logits: whether a step gives its logits too: those of what it is trained on, augmented and mixed.
    """

    optimize: Callable[[jax.Array, HParams], optax.GradientTransformationExtraArgs]
    augment: Callable[[jax.Array, jax.Array, HParams, jax.Array], Mixed] | None = None
    in_use: frozenset[str] = frozenset()
    microbatch_size: int | None = None
    precision: str = "float32"
    groups: tuple[str, ...] = ()
    tells_logits: bool = False


def as_variables(weights: Variables) -> Mapping[str, Any]:
    """Variables as Flax collections."""
    return {"params": weights.params} | ({"batch_stats": weights.stats} if weights.stats else {})
