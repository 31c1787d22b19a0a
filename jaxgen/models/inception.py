"""The small Inception of Zhang, Bengio, Hardt, Recht and Vinyals."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.blocks import Unit, overlapping_pool
from jaxgen.models.layers import ComputeConfig, Mode

# Channels of the 1x1 and 3x3 convolutions of each module; a single number stands for a downsampling module.
MODULES = ((32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96, (176, 160), (176, 160))


class SmallInception(nn.Module):
    """Ten modules of parallel 1x1 and 3x3 convolutions, and global average pooling.

    Zhang et al., Understanding deep learning requires rethinking generalization, ICLR 2017,
    https://arxiv.org/abs/1611.03530, figure 3. Jiang et al. (2021) used a small Inception for the C-scores of CIFAR
    too, but the network of the models they released is not this one. With biases, and norms without scale and shift, it
    has the paper's 1,649,402 parameters (3 channels, 10 classes), with batch norm and without.

    Attributes:
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
    """

    norm: str
    compute: ComputeConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """``[b, h, w, d]`` images to ``[b, 336]`` features."""

        def unit(features: int, maps: jax.Array, size: int, stride: int = 1) -> jax.Array:
            return Unit(features, self.norm, self.compute, size=size, stride=stride, affine=False)(maps, mode)

        maps = unit(96, inputs, size=3)
        for module in MODULES:
            if isinstance(module, int):
                parts = unit(module, maps, size=3, stride=2), overlapping_pool(maps)
            else:
                parts = unit(module[0], maps, size=1), unit(module[1], maps, size=3)
            maps = jnp.concatenate(parts, axis=-1)
        return jnp.mean(maps, axis=(1, 2))
