"""Stage 2: its classifiers, their programs, their members and their store."""

import dataclasses
import functools
import hashlib
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import AugmentationSpec, LnrSpec, ModelSpec, RegularizationSpec, TrainSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.engine.batch import ClassTerms, Variables
from jaxgen.engine.flat_variables import split_variables
from jaxgen.engine.members import Examples, MemberConfig
from jaxgen.experiments.longtail.balance import BALANCED, Balance, ValidationSet
from jaxgen.experiments.longtail.class_order import group_by_class
from jaxgen.experiments.longtail.features import Found
from jaxgen.experiments.longtail.frozen import Frozen, freeze, remake
from jaxgen.experiments.longtail.job import RUN_GROUP, Job, make_first_identity
from jaxgen.experiments.longtail.methods import (
    AS_THEY_ARE,
    GUIDED,
    RANDOM,
    REBALANCED,
    make_learner_config,
    stack_terms,
)
from jaxgen.experiments.longtail.selmix import SELMIX
from jaxgen.jobs.identity import typed_flags
from jaxgen.jobs.models import model_bytes
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.jobs.table import TableRow, make_rows
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Describe, Workload, make_workload
from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.transforms.classes import class_counts
from jaxgen.transforms.lnr import count_flips, flip_at_random, lnr_flip
from jaxgen.transforms.tails import choose_tail
from jaxgen.types import Dataset

# Classifiers of features that are there take seconds, and are trained by who finds stage 1 done.
ALONE = {"shard": "", "aggregate_only": False, "launcher": "local"}
# The program of classifiers that SelMix trains.
GUIDED_PROGRAM = "guided"
# Raised whenever selmix would draw other pairs than before.
PAIRS_VERSION = "2"


class Head(NamedTuple):
    """A classifier of stage 2, but for its run: its method, and the threshold of its flips."""

    method: str
    threshold: float = float("inf")

    @property
    def name(self) -> str:
        """As a setting."""
        return self.method + (f",threshold={format_value(self.threshold)}" if np.isfinite(self.threshold) else "")


def make_heads(job: Job) -> list[Head]:
    """All classifiers of stage 2, for each run."""
    methods = make_learner_config(job.spec.head)
    heads = []
    for name in job.spec.flips.methods:
        if name in AS_THEY_ARE or (name in GUIDED and job.spec.head.stage2 == "augmented"):
            continue
        flipped = methods[name].flips
        heads += [Head(name, threshold) for threshold in job.spec.flips.threshold] if flipped else [Head(name)]
    return heads


class Stage2(NamedTuple):
    """What the classifiers of stage 2 are made of, beside their rows.

    Attributes:
      heads: one a setting.
      found: what the models of stage 1 that it goes on from found, one a run.
      labels: that each head's classifiers are trained with, ints ``[s, runs, n]``.
      terms: of each head, ``[s, c]``.
      selection_labels: of the selection examples.
      frozen: the networks that see inputs anew in each step; None: features were computed once.
    """

    heads: list[Head]
    found: Found
    labels: np.ndarray
    terms: ClassTerms
    selection_labels: np.ndarray
    frozen: Frozen | None = None

    def split(self, row: np.ndarray) -> Variables:
        """What the store has of a classifier, ``params [p]``: its parameters, and all batch statistics if any."""
        kernel, bias = self.found.kernels[0], self.found.biases[0]
        stats = jax.tree.map(lambda leaf: leaf[0], self.frozen.stats) if self.frozen else {}
        return split_variables(row, Variables({"head": {"bias": bias, "kernel": kernel}, "scale": bias}, stats))


def make_stage2(
    job: Job, found: Found, heads: list[Head] | None = None, labels: np.ndarray | None = None
) -> tuple[Dataset, list[Program]]:
    """The data and the programs of stage 2: features of frozen networks, or images, and classifiers.

    Args:
      job: of all.
      found: what stage 1 found.
      heads: which classifiers; None: all.
      labels: that they are trained with, ints ``[s, runs, n]``; None: flipped as their methods say.
    """
    found, data, own = job.of_base(found), job.tail.dataset, job.spec.head
    methods, heads = make_learner_config(own), heads or make_heads(job)
    counts = np.bincount(data.labels, minlength=data.num_classes)
    labels = flip_labels(job, heads, found.probabilities) if labels is None else labels
    spec, frozen, programs = stage2_spec(job), freeze(job) if own.stage2 == "augmented" else None, []
    for name in ("", GUIDED_PROGRAM):
        places = [i for i, head in enumerate(heads) if (head.method in GUIDED) == bool(name)]
        if not places:
            continue
        chosen = [heads[i] for i in places]
        terms = stack_terms([methods[head.method] for head in chosen], counts, own)
        stage2 = Stage2(chosen, found, labels[places], terms, job.tail.labels, frozen)
        kept, groups = ("head", "scale"), ("network",) if frozen and frozen.params else ()
        settings = tuple(sweep.Setting(head.name, spec) for head in chosen)
        hooks = {"sampler": SELMIX if name else BALANCED, "context": stage2}
        program = Program(name, settings, make_head_member, groups=(*kept, *groups), keeps=kept, **hooks)
        programs.append(program._replace(remake=functools.partial(remake, own.shift_bn) if frozen else None))
    nothing = {"test_images": None, "test_labels": None}
    if frozen:
        return dataclasses.replace(data, **nothing), programs
    features = found.train.reshape(-1, found.train.shape[-1])
    return dataclasses.replace(data, images=features, scale=1.0, whiten=False, **nothing), programs


def stage2_spec(job: Job) -> LnrSpec:
    """How classifiers are trained."""
    own, spec = job.spec.head, job.spec
    augmented = own.stage2 == "augmented"
    # Of several processes all but the first end with stage 1.
    shared = augmented and spec.compute.launcher != "distributed"
    unmixed = dataclasses.replace(spec.augmentation, mixup=0.0, cutmix=0.0)
    return dataclasses.replace(
        spec,
        model=spec.model if augmented else ModelSpec(model="scaled_linear"),
        train=TrainSpec(
            epochs=own.head_epochs,
            batch_size=own.head_batch_size,
            learning_rate=own.head_learning_rate,
            schedule="cosine",
        ),
        regularization=RegularizationSpec(weight_decay=own.head_weight_decay),
        augmentation=unmixed if augmented else AugmentationSpec(),
        # What is kept of them is their parameters, in the store.
        compute=dataclasses.replace(spec.compute, save_models=False, **({} if shared else ALONE)),
    )


def make_head_member(program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The member of a row of stage 2. A run has the features and the classifier of its model of stage 1."""
    stage2, found = program.context, program.context.found
    methods = [make_learner_config(program.spec.head)[head.method] for head in stage2.heads]

    def of(name: str) -> jax.Array:
        return jnp.asarray([getattr(method, name) for method in methods])[row.setting]

    key = draw_key(run_key(jax.random.key(program.spec.seed), row.run), Draw.STAGE2)
    labels = jnp.asarray(stage2.labels, jnp.int32)[row.setting, row.run]
    counts, every = class_counts(train.labels, found.biases.shape[1]), jnp.ones(len(labels), bool)
    fewest, few_key = jnp.min(jnp.where(counts > 0, counts, len(labels))), draw_key(key, Draw.FEW)
    of_each = jnp.full(len(counts), fewest)
    # Members are made one after another, so that most of them do without the draw.
    chosen = jax.lax.cond(of("few"), lambda: choose_tail(few_key, labels, of_each), lambda: every)
    terms = ClassTerms(*(jnp.asarray(part, jnp.float32)[row.setting] for part in stage2.terms))
    validation = None
    if is_guided(program):
        validation = ValidationSet(
            jnp.asarray(found.selection)[row.run], jnp.asarray(stage2.selection_labels, jnp.int32)
        )
    balance = Balance(group_by_class(labels, chosen, len(counts)), of("aware"), terms, validation)
    drawn = jax.nn.initializers.glorot_normal()(draw_key(key, Draw.INIT), found.kernels.shape[1:])
    kernel = jnp.where(of("new"), drawn, jnp.asarray(found.kernels)[row.run])
    bias = jnp.where(of("new"), 0.0, jnp.asarray(found.biases)[row.run])
    params = {"head": {"bias": bias, "kernel": kernel}, "scale": jnp.ones(len(counts))}
    rates = {f"{name}_rate": of(f"{name}_rate") for name in ("head", "scale")}
    # A frozen network's step size is 0.
    hparams = {**hparams_of(program, row.setting), **rates, "network_rate": jnp.zeros(())}
    member_config = MemberConfig(key, every, hparams, labels, variables=Variables(params, None), extra=balance)
    if stage2.frozen is None:
        return member_config._replace(version=jnp.asarray(row.run, jnp.int32))
    network, stats = jax.tree.map(lambda leaf: jnp.asarray(leaf)[row.run], (stage2.frozen.params, stage2.frozen.stats))
    return member_config._replace(variables=Variables({**params, **network}, stats))


def flip_key(root: jax.Array, run: jax.Array | int, number: int = 1) -> jax.Array:
    """The key of a run's flips in a round, by the job's; rounds count from 1."""
    return jax.random.fold_in(draw_key(run_key(root, run), Draw.FLIP), number)


def flip_labels(job: Job, heads: list[Head], probabilities: np.ndarray) -> np.ndarray:
    """The labels that classifiers are trained with, ints ``[s, runs, n]``: flipped once, by one draw at all thresholds.

    Args:
      job: of all.
      heads: ``[s]``.
      probabilities: of the training examples, ``[runs, n, c]``.
    """
    methods = make_learner_config(job.spec.head)
    kinds = jnp.asarray([methods[head.method].flips for head in heads])
    thresholds = jnp.asarray([head.threshold for head in heads], jnp.float32)
    root, labels = jax.random.key(job.spec.seed), jnp.asarray(job.tail.dataset.labels)
    num_classes = probabilities.shape[2]

    def of_run(place: tuple[jax.Array, jax.Array]) -> jax.Array:
        control_key = draw_key(run_key(root, place[0]), Draw.CONTROL)

        def of_head(kind: jax.Array, threshold: jax.Array) -> jax.Array:
            flipped = lnr_flip(flip_key(root, place[0]), place[1], labels, threshold=threshold).labels
            counts = count_flips(labels, flipped, num_classes)
            control = flip_at_random(control_key, labels, counts)
            return jnp.where(kind == REBALANCED, flipped, jnp.where(kind == RANDOM, control, labels))

        return jax.lax.map(lambda head: of_head(*head), (kinds, thresholds))

    found = jax.jit(lambda *places: jax.lax.map(of_run, places))(jnp.arange(len(probabilities)), probabilities)
    return np.asarray(found.astype(np.min_scalar_type(num_classes))).swapaxes(0, 1)


def is_guided(program: Program) -> bool:
    """Whether its classifiers are trained by SelMix."""
    return program.name == GUIDED_PROGRAM


def run_group_name(program: Program) -> str:
    """The name of a program's runs in the store of stage 2."""
    return program.name or RUN_GROUP


def second_run_groups(job: Job, program: Program) -> dict[str, RunGroup]:
    """The runs of a program of stage 2."""
    return {run_group_name(program): RunGroup(functools.partial(make_rows, program), len(job.tail.dataset.labels))}


def num_heads(job: Job, program: Program) -> int:
    """Classifiers that a program of stage 2 trains."""
    return job.spec.num_runs * len(program.settings)


def make_second_workload(
    job: Job, dataset: Dataset, programs: list[Program], features: int, describe: Describe, number: int = 1
) -> Workload:
    """All that a round of stage 2 trains; its store is beside that of stage 1, one for each set of stage 2's flags.

    Args:
      job: of all.
      dataset, programs: as `make_stage2` gives them.
      features: of the networks of stage 1.
      describe: gives a line about a program.
      number: of the round, from 1.
    """
    data, classifiers = job.tail.dataset, [setting.name for program in programs for setting in program.settings]
    identity = make_first_identity(job) | typed_flags(flag_values(job.spec.head))
    identity |= {"the classifiers": ",".join(classifiers)}
    identity |= {"the round": f"{number}"} if number > 1 else {}
    identity |= {"the draw of pairs": PAIRS_VERSION} if any(map(is_guided, programs)) else {}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    size = 4 * (features + 2) * data.num_classes + len(data.labels) // 2 + 400
    if job.spec.head.stage2 == "augmented":
        size += model_bytes(data, job.program)
    return make_workload(
        dataset,
        programs,
        functools.partial(second_run_groups, job),
        identity=identity,
        num_runs=job.spec.num_runs,
        run_bytes=size,
        describe=describe,
        out=job.spec.out,
        store=f"stage2/{digest}",
    )
