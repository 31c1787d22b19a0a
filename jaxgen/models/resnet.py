"""Residual networks: those of He, Zhang, Ren and Sun for CIFAR and for ImageNet, and a fast one for CIFAR."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.blocks import Unit, overlapping_pool
from jaxgen.models.layers import ComputeConfig, Mode


class ResNet(nn.Module):
    """Stages of residual blocks, of which all but the first halve the image, and global average pooling.

    He et al., Deep residual learning for image recognition, CVPR 2016, https://arxiv.org/abs/1512.03385: table 1 (for
    ImageNet) and section 4.2 (for CIFAR). Without a norm, residual branches are initially zero (see `ResidualBlock`).

    Attributes:
      widths: channels of the 3x3 convolutions of each stage.
      depths: number of blocks of each stage.
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
      large: True for the ImageNet variant: first a 7x7 convolution and max-pooling, both of stride 2; shortcuts that
        change the shape are 1x1 convolutions. False for the CIFAR variant: first a 3x3 convolution; shortcuts have no
        parameters.
      bottleneck: whether blocks are bottlenecks.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    norm: str
    compute: ComputeConfig
    large: bool = False
    bottleneck: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """``[b, h, w, d]`` images to ``[b, f]`` features."""
        unit = functools.partial(Unit, self.widths[0], self.norm, self.compute)
        maps = overlapping_pool(unit(size=7, stride=2)(inputs, mode)) if self.large else unit()(inputs, mode)
        make_block = functools.partial(ResidualBlock, project=self.large, bottleneck=self.bottleneck)
        num_blocks = 0
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                # Linen derives the initial weights from the names of blocks: renaming them would change every run.
                maps = make_block(width, stride, self.norm, self.compute, name=f"Block_{num_blocks}")(maps, mode)
                num_blocks += 1
        return jnp.mean(maps, axis=(1, 2))


class ResidualBlock(nn.Module):
    """A residual block: ReLU of a shortcut plus two 3x3 convolutions, or plus a bottleneck, 1x1, 3x3 and 1x1.

    In a bottleneck the 3x3 convolution has the stride, as in torchvision ("v1.5"), and the last convolution has four
    times the channels. Without a norm the last convolution is initially zero, so that activations do not grow with
    depth (Zhang, Dauphin and Ma, Fixup, ICLR 2019, https://arxiv.org/abs/1901.09321; its other rules are not used).

    Attributes:
      features: channels of the 3x3 convolutions.
      stride: of the block.
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
      project: whether a shortcut that changes the shape is a 1x1 convolution (option B) or `pad_channels` (option A).
      bottleneck: whether the block is a bottleneck.
    """

    features: int
    stride: int
    norm: str
    compute: ComputeConfig
    project: bool = False
    bottleneck: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        unit = functools.partial(Unit, norm=self.norm, compute=self.compute)
        start = nn.initializers.zeros if self.norm == "none" else nn.initializers.he_normal()
        last = functools.partial(unit, active=False, kernel_init=start)
        if self.bottleneck:
            branch = unit(self.features, size=1)(inputs, mode)
            branch = unit(self.features, stride=self.stride)(branch, mode)
            branch = last(4 * self.features, size=1)(branch, mode)
        else:
            branch = unit(self.features, stride=self.stride)(inputs, mode)
            branch = last(self.features)(branch, mode)
        shortcut = inputs
        if inputs.shape != branch.shape and self.project:
            shortcut = unit(branch.shape[-1], size=1, stride=self.stride, active=False)(inputs, mode)
        elif inputs.shape != branch.shape:
            shortcut = pad_channels(inputs, self.stride, branch.shape[-1])
        return nn.relu(branch + shortcut.astype(branch.dtype))


def pad_channels(inputs: jax.Array, stride: int, features: int) -> jax.Array:
    """Subsamples by `stride`, and pads channels with zeros: ``[b, h, w, i]`` to ``[b, h', w', features]``."""
    more = features - inputs.shape[-1]
    return jnp.pad(inputs[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (more // 2, more - more // 2)])


class ResNet9(nn.Module):
    """Eight convolutions, two shortcuts and a linear classifier: few wide layers, which run fast on accelerators.

    The architecture is that of Page's DAWNBench entry (How to train your ResNet, 2018-2019,
    https://myrtle.ai/learn/how-to-train-your-resnet; https://github.com/davidcpage/cifar10-fast): few residual
    branches, global max-pooling, logits scaled by 1/8. As in Jordan's airbench (94% on CIFAR-10 in 3.29 seconds on a
    single GPU, 2024, https://arxiv.org/abs/2404.00498), pooling precedes norm and ReLU. It has 6,573,130 parameters
    with 3 channels and 10 classes.

    Attributes:
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
    """

    norm: str
    compute: ComputeConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """``[b, h, w, d]`` images to ``[b, 512]`` features."""
        unit = functools.partial(Unit, norm=self.norm, compute=self.compute)
        maps = unit(64)(inputs, mode)
        maps = unit(128, pool=2)(maps, mode)
        maps += unit(128)(unit(128)(maps, mode), mode)
        maps = unit(256, pool=2)(maps, mode)
        maps = unit(512, pool=2)(maps, mode)
        maps += unit(512)(unit(512)(maps, mode), mode)
        return jnp.max(maps, axis=(1, 2)) / 8
