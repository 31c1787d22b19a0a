"""Networks of stage 1 inside stage 2, where features are not computed once."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from jaxgen.experiments.longtail.job import Job, load_frozen
from jaxgen.models import variable_shapes
from jaxgen.models.heads import Retrained
from jaxgen.runs.saved_models import LoadedModel


class Frozen(NamedTuple):
    """The networks that stage 2 goes on from, one a run.

    Attributes:
      models: as they were kept.
      params, stats: their parameters, without the classifiers', and running batch statistics, as `Retrained` has them,
        ``[runs, ...]``; empty where there are none.
    """

    models: list[LoadedModel]
    params: dict[str, Any]
    stats: dict[str, Any]

    def shifted(self, run: int, stats: dict[str, Any]) -> LoadedModel:
        """A run's network with the batch statistics that a member ended with."""
        variables = {**self.models[run].variables, "batch_stats": stats["network"]}
        return self.models[0].with_variables(variables)


def remake(shift: bool, network: nn.Module) -> Retrained:
    """The frozen network with a classifier of stage 2."""
    return Retrained(network.num_classes, network.compute, network, shift)


def freeze(job: Job) -> Frozen:
    """What stage 1 has kept of them."""
    models = load_frozen(job)
    shapes = variable_shapes(remake(False, models[0].network), job.tail.dataset.images.shape[1:])
    found = {}
    for name, place in (("params", "params"), ("stats", "batch_stats")):
        needed = shapes.get(place, {}).get("network")
        own = [{part: model.variables[place][part] for part in needed} for model in models] if needed else []
        found[name] = {"network": jax.tree.map(lambda *leaves: np.stack(leaves), *own)} if own else {}
    return Frozen(models, **found)
