"""A small convolutional network of the plainest parts."""

import flax.linen as nn
import jax

from jaxgen.models.blocks import Unit, hidden_layer
from jaxgen.models.layers import Kernels, Mode


class ConvNet(nn.Module):
    """Convolutions 3x3 of 32, 64 and 64 channels, the last two pooled 2x2, and a hidden layer of 128 units.

    The network of many a tutorial (such as https://github.com/pytorch/examples/blob/main/mnist), with a third
    convolution. With 10 classes it has 458,570 parameters on 28x28x1 images and 582,026 on 32x32x3.

    Attributes:
      norm: ``batch``, ``group`` or ``none``.
      kernels: by which arithmetic.
    """

    norm: str
    kernels: Kernels

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """``[b, h, w, d]`` images to ``[b, 128]`` features."""
        maps = Unit(32, self.norm, self.kernels)(inputs, mode)
        maps = Unit(64, self.norm, self.kernels, pool=2)(maps, mode)
        maps = Unit(64, self.norm, self.kernels, pool=2)(maps, mode)
        return hidden_layer(maps.reshape(len(maps), -1), 128, self.kernels)
