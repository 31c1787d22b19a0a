"""Multi-layer perceptrons."""

import flax.linen as nn
import jax


class MLP(nn.Module):
    """Fully connected ReLU network on flattened inputs: Glorot-normal weights, zero biases.

    With hidden sizes (512, 256) it is the MNIST network of the C-score demo (Jiang et al. 2021,
    https://arxiv.org/abs/2002.03206; https://github.com/pluskid/structural-regularity).

    Attributes:
      hidden: units of each hidden layer; none makes a linear classifier.
      num_classes: c, the number of logits.
    """

    hidden: tuple[int, ...]
    num_classes: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps ``[b, ...]`` inputs to ``[b, c]`` logits."""
        activations = inputs.reshape(inputs.shape[0], -1)
        for size in self.hidden:
            activations = nn.relu(nn.Dense(size, kernel_init=nn.initializers.glorot_normal())(activations))
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.glorot_normal())(activations)
