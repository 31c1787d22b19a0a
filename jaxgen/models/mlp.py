"""Multi-layer perceptrons."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.layers import EVAL, ComputeConfig, Dropout, Mode


class MLP(nn.Module):
    """A multi-layer perceptron on flattened inputs, with ReLU and dropout after each hidden layer.

    Weights are initialized Glorot-normal, biases zero. Hidden sizes (512, 256) give the MNIST network of the C-score
    demo (Jiang et al. 2021, https://arxiv.org/abs/2002.03206; https://github.com/pluskid/structural-regularity). One
    and three layers of 512 give those of Zhang et al. 2017 (https://arxiv.org/abs/1611.03530, table 1).

    Attributes:
      hidden: sizes of the hidden layers; a linear classifier if empty.
      num_classes: c, the number of logits.
      compute: convolution back-ends and dtype.
      classifier_layer: the last layer, `flax.linen.Dense` or `jaxgen.models.layers.CosineLinear`.
    """

    hidden: tuple[int, ...]
    num_classes: int
    compute: ComputeConfig = ComputeConfig()
    classifier_layer: type[nn.Dense] = nn.Dense

    def setup(self) -> None:
        """Makes all layers."""
        # Linen derives the initial weights from the names of layers: renaming a layer would change every run.
        for i, size in enumerate((*self.hidden, self.num_classes)):
            init, layer = nn.initializers.glorot_normal(), self.classifier_layer if i == len(self.hidden) else nn.Dense
            setattr(self, f"Dense_{i}", layer(size, kernel_init=init, dtype=self.compute.dtype))
        self.dropouts = [Dropout(i) for i in range(len(self.hidden))]

    def __call__(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """Maps ``[b, ...]`` inputs to float32 logits ``[b, c]``."""
        return self.classify(self.features(inputs, mode))

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: the last hidden layer, or the flattened inputs if there is none."""
        activations = inputs.reshape(inputs.shape[0], -1)
        for i, dropout in enumerate(self.dropouts):
            activations = dropout(nn.relu(getattr(self, f"Dense_{i}")(activations)), mode)
        return activations

    def classify(self, features: jax.Array) -> jax.Array:
        """Maps ``[b, f]`` features to float32 logits ``[b, c]``."""
        return getattr(self, f"Dense_{len(self.hidden)}")(features).astype(jnp.float32)
