"""Networks by name, as Linen modules.

A new one is a module here and a line in `MODELS`; `layers` and `convolution` have what is computed for many members at
once.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.config import ModelSpec
from jaxgen.config.fields import AUTO
from jaxgen.errors import UserError
from jaxgen.models.alexnet import SmallAlexNet
from jaxgen.models.convnet import ConvNet
from jaxgen.models.convolution import Geometry
from jaxgen.models.heads import ScaledLinear
from jaxgen.models.inception import SmallInception
from jaxgen.models.layers import Conv, Kernels, Network
from jaxgen.models.mlp import MLP
from jaxgen.models.resnet import ResNet, ResNet9

NORMS = ("batch", "group", "none")


class Entry(NamedTuple):
    """A network that can be asked for.

    Attributes:
      build: makes it, of a spec, the number of classes, a norm and kernels.
      norms: the norms it takes; the first is what `auto` means.
      least_side: height and width of the smallest image on which no pool and no stride of 2 meets a lone pixel. 0: it
        takes any shape, rows of features too.
    """

    build: Callable[[ModelSpec, int, str, Kernels], nn.Module]
    norms: tuple[str, ...]
    least_side: int


def perceptron(*hidden: int) -> Entry:
    """An MLP with these hidden layers."""
    return Entry(lambda spec, num_classes, norm, kernels: MLP(hidden, num_classes, kernels), ("none",), 0)


def convolutional(extractor: Callable[..., nn.Module], auto: str, least_side: int) -> Entry:
    """A feature extractor, made with ``norm=`` and ``kernels=``, and a linear classifier."""

    def build(spec: ModelSpec, num_classes: int, norm: str, kernels: Kernels) -> nn.Module:
        return Network(extractor(norm=norm, kernels=kernels), num_classes, kernels)

    return Entry(build, (auto, *(norm for norm in NORMS if norm != auto)), least_side)


def residual(widths: tuple[int, ...], depths: tuple[int, ...], least_side: int, **form: Any) -> Entry:
    """A `ResNet`."""
    return convolutional(functools.partial(ResNet, widths, depths, **form), "batch", least_side)


PLAIN_KERNELS = Kernels()

MODELS: dict[str, Entry] = {
    "mlp": Entry(lambda spec, num_classes, norm, kernels: MLP(spec.hidden, num_classes, kernels), ("none",), 0),
    "linear": perceptron(),
    "scaled_linear": Entry(lambda spec, num_classes, norm, kernels: ScaledLinear(num_classes, kernels), ("none",), 0),
    "mlp1x512": perceptron(512),
    "mlp3x512": perceptron(512, 512, 512),
    "convnet": convolutional(ConvNet, "none", 4),
    "alexnet_small": convolutional(SmallAlexNet, "none", 3),
    "inception_small": convolutional(SmallInception, "batch", 3),
    "resnet9": convolutional(ResNet9, "batch", 8),
    "resnet20": residual((16, 32, 64), (3, 3, 3), 3),
    "resnet32": residual((16, 32, 64), (5, 5, 5), 3),
    "resnet18": residual((64, 128, 256, 512), (2, 2, 2, 2), 17, large=True),
    "resnet50": residual((64, 128, 256, 512), (3, 4, 6, 3), 17, large=True, bottleneck=True),
}


def make_model(
    spec: ModelSpec, num_classes: int, input_shape: tuple[int, ...], kernels: Kernels = PLAIN_KERNELS
) -> nn.Module:
    """The network that `spec` names, to be called as ``network(inputs, mode)``; it has `features` and `classify` too.

    Args:
      spec: names it and its norm.
      num_classes: c, the number of logits.
      input_shape: of one example: (h, w, d), or (f,) for a row of features.
      kernels: by which arithmetic it is computed.

    Raises:
      UserError: for an unknown name, for a norm that the network does not take, and for examples that are no images or
        too small ones.
    """
    entry = find_entry(spec.model)
    if spec.norm not in (AUTO, *entry.norms):
        able = [name for name, other in MODELS.items() if spec.norm in other.norms]
        raise UserError(
            f"--norm={spec.norm}: --model={spec.model} takes only {', '.join((AUTO, *entry.norms))}; give one of "
            f"these, or --model={' or '.join(able[:3])}"
        )
    check_shape(spec.model, entry.least_side, input_shape)
    return entry.build(spec, num_classes, entry.norms[0] if spec.norm == AUTO else spec.norm, kernels)


def find_entry(name: str) -> Entry:
    """The registry's entry of a network, or that of an MLP of any depth and width, such as mlp2x256.

    Raises:
      UserError: if there is none.
    """
    if name in MODELS:
        return MODELS[name]
    if shape := re.fullmatch(r"mlp([1-9]\d?)x([1-9]\d{0,4})", name):
        return perceptron(*[int(shape[2])] * int(shape[1]))
    raise UserError(f"--model={name}: unknown; known: {', '.join(sorted(MODELS))}, and mlpLxN, L layers of N units")


def other_norms(names: Sequence[str]) -> tuple[str, ...]:
    """What ``--norm`` may be for all of the named networks besides what each was published with."""
    norms = [find_entry(name).norms[1:] for name in names]
    return tuple(norm for norm in NORMS if all(norm in own for own in norms))


def check_shape(name: str, least_side: int, input_shape: tuple[int, ...]) -> None:
    """Refuses examples that the network cannot take, and names the networks that can."""
    side = min(input_shape[:2]) if len(input_shape) == 3 else 0
    if side >= least_side:
        return
    if side:
        needs = f"images of {least_side}x{least_side} pixels or more, and these have {input_shape[0]}x{input_shape[1]}"
    else:
        needs = f"images, and these examples are rows of {input_shape[0]} numbers"
    fitting = [other for other, entry in sorted(MODELS.items()) if entry.least_side <= side]
    raise UserError(f"--model={name}: needs {needs}; take --model={', '.join(fitting[:-1])} or {fitting[-1]}")


def variable_shapes(model: nn.Module, input_shape: tuple[int, ...]) -> Any:
    """A network's weights and batch statistics on such examples, as shapes. Nothing is computed."""
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *input_shape), jnp.float32))


def convolutions(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[Geometry, ...]:
    """The geometries of the convolutions that a network computes on such examples, each once, in order of use.

    Nothing is computed.
    """
    found: dict[Geometry, None] = {}

    def note(call: Callable, arguments: tuple, keywords: dict, context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, Conv) and context.method_name == "__call__":
            found[context.module.geometry(arguments[0].shape)] = None
        return call(*arguments, **keywords)

    with nn.intercept_methods(note):
        variable_shapes(model, input_shape)
    return tuple(found)
