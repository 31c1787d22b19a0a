"""Multi-layer perceptrons."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.layers import EVAL, Dropout, Kernels, Mode


class MLP(nn.Module):
    """Fully connected ReLU network on flattened inputs: Glorot-normal weights, zero biases, dropout after each ReLU.

    With hidden sizes (512, 256) it is the MNIST network of the C-score demo (Jiang et al. 2021,
    https://arxiv.org/abs/2002.03206; https://github.com/pluskid/structural-regularity); with one and three layers of
    512 those of Zhang et al. 2017 (https://arxiv.org/abs/1611.03530, table 1).

    Attributes:
      hidden: units of each hidden layer; none makes a linear classifier.
      num_classes: c, the number of logits.
      kernels: by which arithmetic.
    """

    hidden: tuple[int, ...]
    num_classes: int
    kernels: Kernels = Kernels()

    def setup(self) -> None:
        # A layer's name seeds its draws: another one would make every run another run.
        for i, size in enumerate((*self.hidden, self.num_classes)):
            init = nn.initializers.glorot_normal()
            setattr(self, f"Dense_{i}", nn.Dense(size, kernel_init=init, dtype=self.kernels.dtype))
        self.dropouts = [Dropout(i) for i in range(len(self.hidden))]

    def __call__(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """Maps ``[b, ...]`` inputs to float32 logits ``[b, c]``."""
        return self.classify(self.features(inputs, mode))

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: what the classifier sees, the last hidden layer or the flattened inputs."""
        activations = inputs.reshape(inputs.shape[0], -1)
        for i, dropout in enumerate(self.dropouts):
            activations = dropout(nn.relu(getattr(self, f"Dense_{i}")(activations)), mode)
        return activations

    def classify(self, features: jax.Array) -> jax.Array:
        """``[b, f]`` features to float32 logits ``[b, c]``."""
        return getattr(self, f"Dense_{len(self.hidden)}")(features).astype(jnp.float32)
