"""Stage 2: retrain classifiers on frozen features."""

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
from jaxgen.experiments.longtail.features import Stage1Outputs
from jaxgen.experiments.longtail.frozen import FrozenNetworks, attach_head, load_frozen_networks
from jaxgen.experiments.longtail.job import LongTailJob, make_stage1_identity, run_group_name
from jaxgen.experiments.longtail.methods import (
    LNR_FLIPS,
    RANDOM_FLIPS,
    SELMIX_METHODS,
    make_methods,
    stack_terms,
)
from jaxgen.experiments.longtail.selmix import SELMIX
from jaxgen.jobs.identity import typed_flags
from jaxgen.jobs.member_table import TableRow, make_rows
from jaxgen.jobs.models import model_bytes
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Describe, Workload, make_workload
from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.transforms.classes import class_counts
from jaxgen.transforms.lnr import count_flips, flip_at_random, lnr_flip
from jaxgen.transforms.tails import choose_tail
from jaxgen.types import Dataset

# Training on cached features takes seconds, so it is not split over processes or shards.
UNSHARDED = {"shard": "", "aggregate_only": False, "launcher": "local"}
# Name of the program of SelMix classifiers.
SELMIX_PROGRAM = "guided"
# Increase whenever the pairs that selmix draws change.
PAIRS_VERSION = "2"


class Head(NamedTuple):
    """A setting of a stage-2 classifier: its method, and the threshold of its flips."""

    method: str
    threshold: float = float("inf")

    @property
    def name(self) -> str:
        """Name of the setting."""
        return self.method + (f",threshold={format_value(self.threshold)}" if np.isfinite(self.threshold) else "")


def make_heads(job: LongTailJob) -> list[Head]:
    """All settings of stage-2 classifiers; each is trained in every run."""
    methods = make_methods(job.spec.head)
    heads = []
    for name in job.spec.flips.methods:
        if name not in methods or (name in SELMIX_METHODS and job.spec.head.stage2 == "augmented"):
            continue
        flips = methods[name].flips
        heads += [Head(name, threshold) for threshold in job.spec.flips.threshold] if flips else [Head(name)]
    return heads


class Stage2(NamedTuple):
    """Inputs of a stage-2 program, shared by all its members.

    Attributes:
      heads: one head per setting.
      outputs: outputs of the stage-1 models that stage 2 starts from, one per run.
      labels: training labels of each setting and run, ints ``[s, runs, n]``.
      terms: class-dependent loss terms of each setting, ``[s, c]``.
      selection_labels: labels of the selection examples.
      frozen: networks that recompute features in each step; None if features are cached.
    """

    heads: list[Head]
    outputs: Stage1Outputs
    labels: np.ndarray
    terms: ClassTerms
    selection_labels: np.ndarray
    frozen: FrozenNetworks | None = None

    def split(self, flat: np.ndarray) -> Variables:
        """Splits a classifier's flat variables ``[p]`` into parameters and batch statistics, if any."""
        kernel, bias = self.outputs.kernels[0], self.outputs.biases[0]
        stats = jax.tree.map(lambda leaf: leaf[0], self.frozen.stats) if self.frozen else {}
        return split_variables(flat, Variables({"head": {"bias": bias, "kernel": kernel}, "scale": bias}, stats))


def make_stage2(
    job: LongTailJob, outputs: Stage1Outputs, heads: list[Head] | None = None, labels: np.ndarray | None = None
) -> tuple[Dataset, list[Program]]:
    """Makes the dataset (features of frozen networks, or images) and the programs of stage 2.

    Args:
      job: the job.
      outputs: outputs of stage 1.
      heads: settings to train; by default all.
      labels: training labels, ints ``[s, runs, n]``; by default flipped as the methods require.
    """
    outputs, data, head_spec = job.base_outputs(outputs), job.tail.dataset, job.spec.head
    methods, heads = make_methods(head_spec), heads or make_heads(job)
    counts = np.bincount(data.labels, minlength=data.num_classes)
    labels = flip_labels(job, heads, outputs.probabilities) if labels is None else labels
    frozen = load_frozen_networks(job) if head_spec.stage2 == "augmented" else None
    spec, programs = stage2_spec(job), []
    for name in ("", SELMIX_PROGRAM):
        indices = [i for i, head in enumerate(heads) if (head.method in SELMIX_METHODS) == bool(name)]
        if not indices:
            continue
        selected = [heads[i] for i in indices]
        terms = stack_terms([methods[head.method] for head in selected], counts, head_spec)
        stage2 = Stage2(selected, outputs, labels[indices], terms, job.tail.labels, frozen)
        trained, groups = ("head", "scale"), ("network",) if frozen and frozen.params else ()
        settings = tuple(sweep.Setting(head.name, spec) for head in selected)
        hooks = {"sampler": SELMIX if name else BALANCED, "context": stage2}
        program = Program(name, settings, make_head_member, groups=(*trained, *groups), keeps=trained, **hooks)
        remake = functools.partial(attach_head, head_spec.shift_bn) if frozen else None
        programs.append(program._replace(remake=remake))
    no_test_set = {"test_images": None, "test_labels": None}
    if frozen:
        return dataclasses.replace(data, **no_test_set), programs
    features = outputs.train.reshape(-1, outputs.train.shape[-1])
    not_normalized = {"whiten": False, "channel_moments": None}
    return dataclasses.replace(data, images=features, scale=1.0, **not_normalized, **no_test_set), programs


def stage2_spec(job: LongTailJob) -> LnrSpec:
    """The spec that stage-2 classifiers are trained with."""
    head_spec, spec = job.spec.head, job.spec
    augmented = head_spec.stage2 == "augmented"
    # In a distributed launch only the first process goes on to stage 2.
    distributable = augmented and spec.compute.launcher != "distributed"
    unmixed = dataclasses.replace(spec.augmentation, mixup=0.0, cutmix=0.0)
    return dataclasses.replace(
        spec,
        model=spec.model if augmented else ModelSpec(model="scaled_linear"),
        train=TrainSpec(
            epochs=head_spec.head_epochs,
            batch_size=head_spec.head_batch_size,
            learning_rate=head_spec.head_learning_rate,
            schedule="cosine",
        ),
        regularization=RegularizationSpec(weight_decay=head_spec.head_weight_decay),
        augmentation=unmixed if augmented else AugmentationSpec(),
        # The store keeps the classifiers' parameters.
        compute=dataclasses.replace(spec.compute, save_models=False, **({} if distributable else UNSHARDED)),
    )


def make_head_member(program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The config of a stage-2 member, which starts from the features and classifier of its run's stage-1 model."""
    stage2, outputs = program.context, program.context.outputs
    methods = [make_methods(program.spec.head)[head.method] for head in stage2.heads]

    def option(name: str) -> jax.Array:
        return jnp.asarray([getattr(method, name) for method in methods])[row.setting]

    key = draw_key(run_key(jax.random.key(program.spec.seed), row.run), Draw.STAGE2)
    labels = jnp.asarray(stage2.labels, jnp.int32)[row.setting, row.run]
    counts, all_examples = class_counts(train.labels, outputs.biases.shape[1]), jnp.ones(len(labels), bool)
    fewest, few_key = jnp.min(jnp.where(counts > 0, counts, len(labels))), draw_key(key, Draw.FEW)
    sizes = jnp.full(len(counts), fewest)
    # Members are made sequentially, so `cond` skips the draw where it is not needed.
    chosen = jax.lax.cond(option("few"), lambda: choose_tail(few_key, labels, sizes), lambda: all_examples)
    terms = jax.tree.map(lambda term: jnp.asarray(term, jnp.float32)[row.setting], stage2.terms)
    validation = None
    if is_selmix(program):
        validation = ValidationSet(
            jnp.asarray(outputs.selection)[row.run], jnp.asarray(stage2.selection_labels, jnp.int32)
        )
    # The authors' sampler knows the original labels only; flipped ones replace them in its batches.
    sampled_by = train.labels if program.spec.head.sample_by == "original" else labels
    balance = Balance(group_by_class(sampled_by, chosen, len(counts)), option("aware"), terms, validation)
    initial = jax.nn.initializers.glorot_normal()(draw_key(key, Draw.INIT), outputs.kernels.shape[1:])
    kernel = jnp.where(option("new"), initial, jnp.asarray(outputs.kernels)[row.run])
    bias = jnp.where(option("new"), 0.0, jnp.asarray(outputs.biases)[row.run])
    params = {"head": {"bias": bias, "kernel": kernel}, "scale": jnp.ones(len(counts))}
    rates = {f"{name}_rate": option(f"{name}_rate") for name in ("head", "scale")}
    # A learning-rate factor of 0 freezes the network.
    hparams = {**hparams_of(program, row.setting), **rates, "network_rate": jnp.zeros(())}
    member_config = MemberConfig(key, all_examples, hparams, labels, variables=Variables(params, None), extra=balance)
    if stage2.frozen is None:
        return member_config._replace(version=jnp.asarray(row.run, jnp.int32))
    network, stats = jax.tree.map(lambda leaf: jnp.asarray(leaf)[row.run], (stage2.frozen.params, stage2.frozen.stats))
    return member_config._replace(variables=Variables({**params, **network}, stats))


def flip_key(root: jax.Array, run: jax.Array | int, number: int = 1) -> jax.Array:
    """The key of a run's flips in round `number`, from 1; `root` is the job's key."""
    return jax.random.fold_in(draw_key(run_key(root, run), Draw.FLIP), number)


def flip_labels(job: LongTailJob, heads: list[Head], probabilities: np.ndarray) -> np.ndarray:
    """Training labels of all settings and runs, ints ``[s, runs, n]``; all thresholds share a run's random draw.

    Args:
      job: the job.
      heads: the settings, ``[s]``.
      probabilities: class probabilities of the training examples, ``[runs, n, c]``.
    """
    methods = make_methods(job.spec.head)
    kinds = jnp.asarray([methods[head.method].flips for head in heads])
    thresholds = jnp.asarray([head.threshold for head in heads], jnp.float32)
    root, labels = jax.random.key(job.spec.seed), jnp.asarray(job.tail.dataset.labels)
    num_classes = probabilities.shape[2]

    def flip_run(run: jax.Array, run_probabilities: jax.Array) -> jax.Array:
        control_key = draw_key(run_key(root, run), Draw.CONTROL)

        def flip_head(kind: jax.Array, threshold: jax.Array) -> jax.Array:
            flipped = lnr_flip(flip_key(root, run), run_probabilities, labels, threshold=threshold).labels
            counts = count_flips(labels, flipped, num_classes)
            control = flip_at_random(control_key, labels, counts)
            return jnp.where(kind == LNR_FLIPS, flipped, jnp.where(kind == RANDOM_FLIPS, control, labels))

        return jax.lax.map(lambda head: flip_head(*head), (kinds, thresholds))

    flip_all = jax.jit(lambda *runs: jax.lax.map(lambda run: flip_run(*run), runs))
    flipped = flip_all(jnp.arange(len(probabilities)), probabilities)
    return np.asarray(flipped.astype(np.min_scalar_type(num_classes))).swapaxes(0, 1)


def is_selmix(program: Program) -> bool:
    """Whether a program trains SelMix classifiers."""
    return program.name == SELMIX_PROGRAM


def stage2_run_groups(job: LongTailJob, program: Program) -> dict[str, RunGroup]:
    """Run groups of a stage-2 program."""
    return {run_group_name(program): RunGroup(functools.partial(make_rows, program), len(job.tail.dataset.labels))}


def num_heads(job: LongTailJob, program: Program) -> int:
    """Number of classifiers that a stage-2 program trains."""
    return job.spec.num_runs * len(program.settings)


def make_stage2_workload(
    job: LongTailJob, dataset: Dataset, programs: list[Program], features: int, describe: Describe, number: int = 1
) -> Workload:
    """The workload of a round of stage 2; each set of stage-2 flags has its own store in the job's folder.

    Args:
      job: the job.
      dataset, programs: returned by `make_stage2`.
      features: number of features of the stage-1 networks.
      describe: ``(program, parameters) -> str``, a line describing a program.
      number: number of the round, from 1.
    """
    data, classifiers = job.tail.dataset, [setting.name for program in programs for setting in program.settings]
    identity = make_stage1_identity(job) | typed_flags(flag_values(job.spec.head))
    identity |= {"the classifiers": ",".join(classifiers)}
    identity |= {"the round": f"{number}"} if number > 1 else {}
    identity |= {"the draw of pairs": PAIRS_VERSION} if any(map(is_selmix, programs)) else {}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    size = 4 * (features + 2) * data.num_classes + len(data.labels) // 2 + 400
    if job.spec.head.stage2 == "augmented":
        size += model_bytes(data, job.programs[0])
    return make_workload(
        dataset,
        programs,
        functools.partial(stage2_run_groups, job),
        identity=identity,
        num_runs=job.spec.num_runs,
        run_bytes=size,
        describe=describe,
        out=job.spec.out,
        store=f"stage2/{digest}",
    )
