"""The arguments of a gradient step: a batch, the index of the step, variables, and the config of the learner."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from jaxgen.training.optimizers import HParams
from jaxgen.transforms.mixing import Mixed


class ClassTerms(NamedTuple):
    """Terms of the loss by class, float ``[c]`` each.

    Attributes:
      smoothing: label smoothing of the examples of each class.
      weights: of their losses.
      shift: added to logits in training (logit adjustment).
      margins: subtracted from the logit of an example's label in training; None: 0.
    """

    smoothing: jax.Array
    weights: jax.Array
    shift: jax.Array
    margins: jax.Array | None = None


class Remix(NamedTuple):
    """Labels of mixtures by the sizes of their classes (`jaxgen.transforms.classes.remix_share`).

    Attributes:
      counts: examples of each class ``[c]``.
      kappa: ratio of sizes from which on the smaller class gives the label; infinite: labels are mixed as inputs are.
    """

    counts: jax.Array
    kappa: jax.Array


class Batch(NamedTuple):
    """b examples: ``inputs [b, ...]`` as the network sees them, ``labels [b]``, ``weights [b]``.

    A weight of 0 leaves an example out; those of weight 1 come first. `terms` are class-dependent terms of the loss,
    smoothing included. With `remix`, labels of mixtures are weighted by the sizes of their classes.
    """

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    terms: ClassTerms | None = None
    remix: Remix | None = None


class StepIndex(NamedTuple):
    """Step `step` of the `num_steps` steps of epoch `epoch`; both count from 0."""

    epoch: jax.Array
    step: jax.Array
    num_steps: jax.Array

    @property
    def count(self) -> jax.Array:
        """The number of steps taken before."""
        return self.epoch * self.num_steps + self.step

    @property
    def progress(self) -> jax.Array:
        """Epochs finished after this step, float32."""
        return self.epoch + (self.step + 1) / self.num_steps

    @property
    def length(self) -> jax.Array:
        """The part of an epoch that a step takes, float32."""
        return 1 / self.num_steps


class Variables(NamedTuple):
    """Variables of a network: parameters, and running batch statistics (empty without batch norm)."""

    params: Any
    stats: Any


class LearnerConfig(NamedTuple):
    """How a learner takes its steps; fixed when its program is compiled.

    Attributes:
      optimize: from `jaxgen.training.optimizers.make_optimizer`.
      augment: from `jaxgen.transforms.augment.make_augmentation`, or None.
      normalize: of augmented inputs, as in `jaxgen.engine.members.EnsembleConfig`.
      in_use: names of the hyperparameters that are above 0 for some member; only these are compiled.
      microbatch_size: examples whose gradient is computed together, a divisor of the batch size; None: the whole batch.
        Activations of a few examples fit a CPU's cache. Networks with batch norm need the whole batch.
      precision: of float32 products, as in `jax.default_matmul_precision`.
      groups: names of all top-level groups of parameters, if each has a step size of its own: the usual one times the
        hyperparameter ``<group>_rate``. At 0 a group is frozen.
      returns_logits: whether a step returns its logits too: those of its inputs as augmented and mixed.
    """

    optimize: Callable[[jax.Array, HParams], optax.GradientTransformationExtraArgs]
    augment: Callable[[jax.Array, jax.Array, HParams, jax.Array], Mixed] | None = None
    normalize: Callable[[jax.Array], jax.Array] | None = None
    in_use: frozenset[str] = frozenset()
    microbatch_size: int | None = None
    precision: str = "float32"
    groups: tuple[str, ...] = ()
    returns_logits: bool = False


def as_collections(variables: Variables) -> Mapping[str, Any]:
    """Variables as Flax collections."""
    return {"params": variables.params} | ({"batch_stats": variables.stats} if variables.stats else {})
