"""Kinds of stage 1: plain, with mixup, with Remix; one program, whose runs share their draws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import FlipSpec, LnrSpec
from jaxgen.engine.batch import Batch, Remix
from jaxgen.engine.members import EnsembleConfig, Examples, MemberConfig
from jaxgen.engine.sampling import SHUFFLED, plain_batch
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.methods import AS_THEY_ARE
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.jobs.table import TableRow
from jaxgen.keys import run_key
from jaxgen.transforms.classes import KAPPA, class_counts


def choose_kinds(spec: LnrSpec) -> list[str]:
    """The kinds of stage 1 that the methods need.

    Raises:
      UserError: for those that mix where nothing is mixed.
    """
    methods = spec.flips.methods
    if not spec.augmentation.mixup:
        mixing = [name for name in ("mixup", "remix") if name in methods]
        if mixing and methods != FlipSpec().methods:
            raise UserError(f"--methods={mixing[0]}: needs a --mixup above 0")
        return ["ce"]
    second = {*methods} - {*AS_THEY_ARE}
    return [name for name in AS_THEY_ARE if name in methods or (name == "mixup" and second)]


def make_first_member(num_classes: int, program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The member of a row of stage 1. Runs of all kinds share their draws."""
    key = run_key(jax.random.key(program.spec.seed), row.run)
    kinds, remix = [setting.name for setting in program.settings], None
    if "remix" in kinds:
        kappas = jnp.asarray([KAPPA if kind == "remix" else np.inf for kind in kinds], jnp.float32)
        counts = class_counts(train.labels, num_classes)
        remix = Remix(counts.astype(jnp.float32), kappas[row.setting])
    return MemberConfig(key, jnp.ones(len(train.labels), bool), hparams_of(program, row.setting), extra=remix)


def remixed_batch(config: EnsembleConfig, member_config: MemberConfig, *arguments: Any) -> Batch:
    """The batch of plain training, mixtures in it labelled as the member's `Remix` says."""
    return plain_batch(config, member_config, *arguments)._replace(remix=member_config.extra)


REMIXED = SHUFFLED._replace(batch=remixed_batch)
