"""A small plain convolutional network."""

import flax.linen as nn
import jax

from jaxgen.models.blocks import Unit, hidden_layer
from jaxgen.models.layers import ComputeConfig, Mode


class ConvNet(nn.Module):
    """3x3 convolutions with 32, 64 and 64 channels, the last two with 2x2 pooling, and a hidden layer of 128 units.

    It is the network of many tutorials (such as https://github.com/pytorch/examples/blob/main/mnist) with a third
    convolution. With 10 classes it has 458,570 parameters for 28x28x1 images and 582,026 for 32x32x3.

    Attributes:
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
    """

    norm: str
    compute: ComputeConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """``[b, h, w, d]`` images to ``[b, 128]`` features."""
        maps = Unit(32, self.norm, self.compute)(inputs, mode)
        maps = Unit(64, self.norm, self.compute, pool=2)(maps, mode)
        maps = Unit(64, self.norm, self.compute, pool=2)(maps, mode)
        return hidden_layer(maps.reshape(len(maps), -1), 128, self.compute)
