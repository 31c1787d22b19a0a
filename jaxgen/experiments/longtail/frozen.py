"""Frozen stage-1 networks inside stage 2, for features that are recomputed on augmented images."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from jaxgen.experiments.longtail.job import LongTailJob, load_base_models
from jaxgen.models import variable_shapes
from jaxgen.models.heads import Retrained
from jaxgen.runs.saved_models import LoadedModel


class FrozenNetworks(NamedTuple):
    """The stage-1 networks that stage 2 starts from, one per run.

    Attributes:
      models: the saved models.
      params, stats: parameters without the classifiers' and running batch statistics, in the layout of `Retrained`,
        ``[runs, ...]``; empty if the network has none.
    """

    models: list[LoadedModel]
    params: dict[str, Any]
    stats: dict[str, Any]

    def shifted(self, run: int, stats: dict[str, Any]) -> LoadedModel:
        """The network of a run with the final batch statistics of a member."""
        variables = {**self.models[run].variables, "batch_stats": stats["network"]}
        return self.models[0].with_variables(variables)


def attach_head(shift: bool, network: nn.Module) -> Retrained:
    """The frozen network with a stage-2 classifier; `shift` updates its batch statistics."""
    return Retrained(network.num_classes, network.compute, network, shift)


def load_frozen_networks(job: LongTailJob) -> FrozenNetworks:
    """Loads the stage-1 networks that stage 2 starts from."""
    models = load_base_models(job)
    shapes = variable_shapes(attach_head(False, models[0].network), job.tail.dataset.images.shape[1:])
    stacked = {}
    for name, collection in (("params", "params"), ("stats", "batch_stats")):
        needed = shapes.get(collection, {}).get("network")
        trees = [{part: model.variables[collection][part] for part in needed} for model in models] if needed else []
        stacked[name] = {"network": jax.tree.map(lambda *leaves: np.stack(leaves), *trees)} if trees else {}
    return FrozenNetworks(models, **stacked)
