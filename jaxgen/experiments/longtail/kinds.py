"""Stage-1 settings and their programs.

Plain cross-entropy, mixup and Remix share a program. LDAM-DRW has one of its own, for it has another last layer. All
share their random draws.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import FlipSpec, LnrSpec, sweep
from jaxgen.engine.batch import Batch, Remix
from jaxgen.engine.members import EnsembleConfig, Examples, MemberConfig
from jaxgen.engine.sampling import SHUFFLED, plain_batch
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.ldam import LDAM, make_ldam_member
from jaxgen.experiments.longtail.methods import LDAM_DRW, STAGE1_METHODS, TAU_NORMALIZATION
from jaxgen.jobs.member_table import TableRow
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.keys import run_key
from jaxgen.models import with_cosine_classifier
from jaxgen.transforms.classes import KAPPA, class_counts


def stage1_kinds(spec: LnrSpec) -> list[str]:
    """Names of the stage-1 settings that the methods need.

    Raises:
      UserError: if a method needs mixup and ``--mixup`` is 0.
    """
    methods = spec.flips.methods
    if not spec.augmentation.mixup:
        mixing = [name for name in ("mixup", "remix") if name in methods]
        if mixing and methods != FlipSpec().methods:
            raise UserError(f"--methods={mixing[0]}: needs a --mixup above 0")
    own = {*methods} & {*STAGE1_METHODS} | ({"ce"} if TAU_NORMALIZATION in methods else set())
    starts_stage2 = "mixup" if spec.augmentation.mixup else "ce"
    needed = own | ({starts_stage2} if {*methods} - {*STAGE1_METHODS, TAU_NORMALIZATION} else set())
    if not spec.augmentation.mixup:
        needed = (needed & {"ce", LDAM_DRW}) or {"ce"}
    return [name for name in STAGE1_METHODS if name in needed]


def stage1_programs(spec: LnrSpec, num_classes: int) -> list[Program]:
    """The programs of the stage-1 settings.

    Raises:
      UserError: if a method needs mixup and ``--mixup`` is 0.
    """
    unmixed = dataclasses.replace(spec, augmentation=dataclasses.replace(spec.augmentation, mixup=0.0))
    kinds, programs = stage1_kinds(spec), []
    settings = [sweep.Setting(name, unmixed if name == "ce" else spec) for name in kinds if name != LDAM_DRW]
    if settings:
        make_member = functools.partial(make_stage1_member, num_classes)
        programs.append(Program("", tuple(settings), make_member, sampler=REMIXED if "remix" in kinds else SHUFFLED))
    if LDAM_DRW in kinds:
        make_member = functools.partial(make_ldam_member, num_classes)
        hooks = {"sampler": LDAM, "remake": with_cosine_classifier}
        programs.append(Program(LDAM_DRW, (sweep.Setting(LDAM_DRW, unmixed),), make_member, **hooks))
    return programs


def make_stage1_member(num_classes: int, program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The config of a stage-1 member. Runs of the same number share their draws across settings."""
    key = run_key(jax.random.key(program.spec.seed), row.run)
    kinds, remix = [setting.name for setting in program.settings], None
    if "remix" in kinds:
        kappas = jnp.asarray([KAPPA if kind == "remix" else np.inf for kind in kinds], jnp.float32)
        counts = class_counts(train.labels, num_classes)
        remix = Remix(counts.astype(jnp.float32), kappas[row.setting])
    return MemberConfig(key, jnp.ones(len(train.labels), bool), hparams_of(program, row.setting), extra=remix)


def remixed_batch(config: EnsembleConfig, member_config: MemberConfig, *arguments: Any) -> Batch:
    """A plain batch whose mixed examples are labelled by the member's `Remix`."""
    return plain_batch(config, member_config, *arguments)._replace(remix=member_config.extra)


REMIXED = SHUFFLED._replace(batch=remixed_batch)
