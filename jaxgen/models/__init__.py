"""Networks by name, as Flax Linen modules.

To add a network, write a module here and add an entry to `MODELS`. Build it from `layers`, `blocks` and `pooling`,
whose convolutions and pooling are fast when mapped over many members.
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
from jaxgen.models.layers import ComputeConfig, Conv, CosineLinear, Network
from jaxgen.models.mlp import MLP
from jaxgen.models.resnet import ResNet, ResNet9

NORMS = ("batch", "group", "none")


class Entry(NamedTuple):
    """A registered network.

    Attributes:
      build: makes the network from a spec, the number of classes, a norm and a compute config.
      norms: supported norms; the first is the meaning of `auto`.
      least_side: least height and width of images, such that no pooling and no stride of 2 applies to a single pixel; 0
        for networks that take any shape, including rows of features.
    """

    build: Callable[[ModelSpec, int, str, ComputeConfig], nn.Module]
    norms: tuple[str, ...]
    least_side: int


def perceptron(*hidden: int) -> Entry:
    """The entry of an MLP with fixed hidden layer sizes."""
    return Entry(lambda spec, num_classes, norm, compute: MLP(hidden, num_classes, compute), ("none",), 0)


def convolutional(extractor: Callable[..., nn.Module], auto: str, least_side: int) -> Entry:
    """The entry of a convolutional network.

    Args:
      extractor: makes the feature extractor, with arguments ``norm=`` and ``compute=``.
      auto: the default norm.
      least_side: least height and width of images.
    """

    def build(spec: ModelSpec, num_classes: int, norm: str, compute: ComputeConfig) -> nn.Module:
        return Network(extractor(norm=norm, compute=compute), num_classes, compute)

    return Entry(build, (auto, *(norm for norm in NORMS if norm != auto)), least_side)


def residual(widths: tuple[int, ...], depths: tuple[int, ...], least_side: int, **form: Any) -> Entry:
    """The entry of a `ResNet`."""
    return convolutional(functools.partial(ResNet, widths, depths, **form), "batch", least_side)


DEFAULT_COMPUTE = ComputeConfig()

MODELS: dict[str, Entry] = {
    "mlp": Entry(lambda spec, num_classes, norm, compute: MLP(spec.hidden, num_classes, compute), ("none",), 0),
    "linear": perceptron(),
    "scaled_linear": Entry(lambda spec, num_classes, norm, compute: ScaledLinear(num_classes, compute), ("none",), 0),
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
    spec: ModelSpec, num_classes: int, input_shape: tuple[int, ...], compute: ComputeConfig = DEFAULT_COMPUTE
) -> nn.Module:
    """The network that `spec` names, called as ``network(inputs, mode)``; with methods `features` and `classify`.

    Args:
      spec: names the network and its norm.
      num_classes: c, the number of logits.
      input_shape: shape of one example, (h, w, d), or (f,) for a row of features.
      compute: convolution back-ends and dtype.

    Raises:
      UserError: if the name is unknown, the network does not support the norm, or the examples are not images, or
        images that are too small.
    """
    entry = find_entry(spec.model)
    if spec.norm not in (AUTO, *entry.norms):
        able = [name for name, other in MODELS.items() if spec.norm in other.norms]
        raise UserError(
            f"--norm={spec.norm}: --model={spec.model} takes only {', '.join((AUTO, *entry.norms))}; give one of "
            f"these, or --model={' or '.join(able[:3])}"
        )
    check_shape(spec.model, entry.least_side, input_shape)
    return entry.build(spec, num_classes, entry.norms[0] if spec.norm == AUTO else spec.norm, compute)


def with_cosine_classifier(model: nn.Module) -> nn.Module:
    """The network with a `CosineLinear` classifier in place of a linear one, as far as `takes_cosine` holds."""
    return model.clone(classifier_layer=CosineLinear)


def takes_cosine(model: nn.Module) -> bool:
    """Whether `with_cosine_classifier` takes the network: any but those whose classifier has scales of its own."""
    return hasattr(model, "classifier_layer")


def has_cosine(model: nn.Module) -> bool:
    """Whether the network's classifier is a `CosineLinear`."""
    return getattr(model, "classifier_layer", None) is CosineLinear


def find_entry(name: str) -> Entry:
    """The entry of a network in `MODELS`, or of an MLP of any depth and width, such as mlp2x256.

    Raises:
      UserError: if the name is unknown.
    """
    if name in MODELS:
        return MODELS[name]
    if shape := re.fullmatch(r"mlp([1-9]\d?)x([1-9]\d{0,4})", name):
        return perceptron(*[int(shape[2])] * int(shape[1]))
    raise UserError(f"--model={name}: unknown; known: {', '.join(sorted(MODELS))}, and mlpLxN, L layers of N units")


def other_norms(names: Sequence[str]) -> tuple[str, ...]:
    """The norms that all of the named networks support besides their default."""
    alternatives = [find_entry(name).norms[1:] for name in names]
    return tuple(norm for norm in NORMS if all(norm in norms for norms in alternatives))


def check_shape(name: str, least_side: int, input_shape: tuple[int, ...]) -> None:
    """Raises UserError for examples of an unsupported shape, and names networks that support it."""
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
    """Shapes of a network's parameters and batch statistics, for examples of a shape; nothing is computed."""
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *input_shape), jnp.float32))


def convolutions(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[Geometry, ...]:
    """The distinct geometries of a network's convolutions in order of use, for examples of a shape.

    Nothing is computed.
    """
    geometries: dict[Geometry, None] = {}

    def record(call: Callable, arguments: tuple, keywords: dict, context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, Conv) and context.method_name == "__call__":
            geometries[context.module.geometry(arguments[0].shape)] = None
        return call(*arguments, **keywords)

    with nn.intercept_methods(record):
        variable_shapes(model, input_shape)
    return tuple(geometries)
