"""Networks by name. A new one is a module here and a line in `MODELS`."""

from collections.abc import Callable

import flax.linen as nn

from jaxgen.errors import UserError
from jaxgen.models.mlp import MLP
from jaxgen.spec import ModelSpec

MODELS: dict[str, Callable[[ModelSpec, int], nn.Module]] = {
    "mlp": lambda spec, num_classes: MLP(hidden=spec.hidden, num_classes=num_classes),
}


def make_model(spec: ModelSpec, num_classes: int) -> nn.Module:
    """The network that `spec` names.

    Raises:
      UserError: for an unknown name, with the known ones.
    """
    if spec.model not in MODELS:
        raise UserError(f"--model={spec.model}: unknown; known: {', '.join(sorted(MODELS))}")
    return MODELS[spec.model](spec, num_classes)
