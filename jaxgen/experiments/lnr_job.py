"""A job of two stages on long-tailed data: what is refused, the programs, who a row is, the stores."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import spec as words
from jaxgen import sweep
from jaxgen.data.long_tail import LongTail, cut_tail
from jaxgen.engine.class_order import group_by_class
from jaxgen.engine.learner import INIT, ClassTerms
from jaxgen.engine.members import Balance, Enrolment, Examples
from jaxgen.errors import UserError
from jaxgen.experiments.cscore_job import CIRCUMSTANCES, NUMERICS, model_bytes
from jaxgen.experiments.lnr_features import Found
from jaxgen.experiments.lnr_kinds import choose_kinds, enrol_model
from jaxgen.experiments.lnr_methods import AS_THEY_ARE, RANDOM, REBALANCED, make_methods, stack_terms
from jaxgen.experiments.lnr_shots import refuse_shots
from jaxgen.experiments.members import Cell
from jaxgen.experiments.programs import Program, check_program, knobs_of
from jaxgen.experiments.table_job import Row, make_rows
from jaxgen.experiments.tabular_job import refuse_idle
from jaxgen.runs.devices import start_devices
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.spec import LnrSpec, ModelSpec, RegularizationSpec, TrainSpec
from jaxgen.transforms.classes import class_counts
from jaxgen.transforms.lnr import count_flips, flip_at_random, lnr_flip
from jaxgen.transforms.tails import choose_tail
from jaxgen.types import Dataset

# Folded into a member's key; `engine.learner` and `scores.designs` hold the other constants.
FLIP, CONTROL, FEW = 33, 34, 35
CELL = "models"
# What says what is made of models, and decides none.
NO_MODEL = {"seed", "out", "num_runs", "what_if", "shots", "shot_classes", "methods", "threshold", "flip_rounds"}


class Job(NamedTuple):
    """All that stage 1 trains, and what stage 2 is made of.

    Attributes:
      spec: what was asked for.
      tail: the data.
      program: of stage 1: settings ``ce``, ``mixup`` and ``remix``, as far as they are needed.
    """

    spec: LnrSpec
    tail: LongTail
    program: Program

    @property
    def kinds(self) -> list[str]:
        """Of stage 1."""
        return [setting.name for setting in self.program.settings]

    @property
    def base(self) -> int:
        """The kind of stage 1 that stage 2 goes on from: with mixup, if there is any."""
        return self.kinds.index("mixup") if "mixup" in self.kinds else 0

    def of_base(self, found: Found) -> Found:
        """What those models of stage 1 found that stage 2 goes on from, one a run."""
        runs = self.spec.num_runs
        return Found(*(part[self.base * runs : (self.base + 1) * runs] for part in found))


class Head(NamedTuple):
    """A classifier of stage 2, but for its run: its method, and the threshold of its flips."""

    method: str
    threshold: float = float("inf")

    @property
    def name(self) -> str:
        """As a setting."""
        return self.method + (f",threshold={sweep.format_value(self.threshold)}" if np.isfinite(self.threshold) else "")


def make_job(dataset: Dataset, spec: LnrSpec) -> Job:
    """The job that `spec` asks for.

    Args:
      dataset: with a test set.
      spec: flags.

    Raises:
      UserError: for what the data do not suit.
    """
    refuse_idle(spec, [field.name for field in dataclasses.fields(spec) if field.name != "tabular"], "two stages")
    if swept := sweep.swept(spec):
        value = sweep.format_value(words.values(spec)[swept[0]])
        raise UserError(f"--{swept[0]}={value}: takes one value here; lists are for --threshold and --methods")
    if spec.stopping != words.StoppingSpec():
        raise UserError("--validation_share, --patience: a long tail has too few examples to stop by; leave them out")
    if spec.flips.flip_rounds > 1 and "lnr" not in spec.flips.methods:
        raise UserError(f"--flip_rounds={spec.flips.flip_rounds}: needs lnr among the --methods")
    refuse_shots(spec.longtail, dataset.num_classes)
    kinds = choose_kinds(spec)
    # Drawing the tail would start JAX, and not on the devices that training wants.
    start_devices(spec.compute.num_devices, dataset.images.nbytes + dataset.test_images.nbytes)
    with jax.enable_x64(False):
        tail = cut_tail(dataset, spec.longtail, spec.seed)
    alone = dataclasses.replace(spec, augmentation=dataclasses.replace(spec.augmentation, mixup=0.0))
    settings = [sweep.Setting(name, alone if name == "ce" else spec) for name in kinds]
    program = Program("", tuple(settings), functools.partial(enrol_model, dataset.num_classes))
    check_program(tail.dataset, program)
    return Job(spec, tail, program)


def make_heads(job: Job) -> list[Head]:
    """All classifiers of stage 2, for each run."""
    methods = make_methods(job.spec.head)
    heads = []
    for name in job.spec.flips.methods:
        if name in AS_THEY_ARE:
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
    """

    heads: list[Head]
    found: Found
    labels: np.ndarray
    terms: ClassTerms


def make_stage2(
    job: Job, found: Found, heads: list[Head] | None = None, labels: np.ndarray | None = None
) -> tuple[Dataset, Program]:
    """The data and the program of stage 2: features of frozen networks, and classifiers of them.

    Args:
      job: of all.
      found: what stage 1 found.
      heads: which classifiers; None: all.
      labels: that they are trained with, ints ``[s, runs, n]``; None: flipped as their methods say.
    """
    heads, spec = heads or make_heads(job), job.spec
    own = spec.head
    methods = [make_methods(own)[head.method] for head in heads]
    train = TrainSpec(
        epochs=own.head_epochs,
        batch_size=own.head_batch_size,
        learning_rate=own.head_learning_rate,
        schedule="cosine",
    )
    one = dataclasses.replace(
        spec,
        model=ModelSpec(model="scaled_linear"),
        train=train,
        regularization=RegularizationSpec(weight_decay=own.head_weight_decay),
        augmentation=words.AugmentationSpec(),
        # What is kept of them is their parameters, in the store.
        compute=dataclasses.replace(spec.compute, save_models=False),
    )
    counts = np.bincount(job.tail.dataset.labels, minlength=job.tail.dataset.num_classes)
    found = job.of_base(found)
    if labels is None:
        labels = flip_labels(job, heads, found.probabilities)
    stage2 = Stage2(heads, found, labels, stack_terms(methods, counts, own))
    dataset = dataclasses.replace(
        job.tail.dataset,
        images=found.train.reshape(-1, found.train.shape[-1]),
        scale=1.0,
        whiten=False,
        test_images=None,
        test_labels=None,
    )
    settings = tuple(sweep.Setting(head.name, one) for head in heads)
    enrol = functools.partial(enrol_head, stage2)
    return dataset, Program("", settings, enrol, groups=("head", "scale"), keeps_params=True)


def enrol_head(stage2: Stage2, program: Program, row: Row, train: Examples) -> Enrolment:
    """Who a row of stage 2 is: a run has the features, the classifier and the draws of its model of stage 1."""
    found, methods = stage2.found, [make_methods(program.spec.head)[head.method] for head in stage2.heads]

    def of(name: str) -> jax.Array:
        return jnp.asarray([getattr(method, name) for method in methods])[row.setting]

    key = jax.random.fold_in(jax.random.key(program.spec.seed), row.run)
    labels = jnp.asarray(stage2.labels, jnp.int32)[row.setting, row.run]
    counts = class_counts(train.labels, found.biases.shape[1])
    fewest = jnp.where(of("few"), jnp.min(jnp.where(counts > 0, counts, len(labels))), len(labels))
    chosen = choose_tail(jax.random.fold_in(key, FEW), labels, jnp.full(len(counts), fewest))
    terms = ClassTerms(*(jnp.asarray(part, jnp.float32)[row.setting] for part in stage2.terms))
    balance = Balance(group_by_class(labels, chosen, len(counts)), of("aware"), terms)
    drawn = jax.nn.initializers.glorot_normal()(jax.random.fold_in(key, INIT), found.kernels.shape[1:])
    kernel = jnp.where(of("new"), drawn, jnp.asarray(found.kernels)[row.run])
    bias = jnp.where(of("new"), 0.0, jnp.asarray(found.biases)[row.run])
    params = {"head": {"bias": bias, "kernel": kernel}, "scale": jnp.ones(len(counts))}
    rates = {f"{name}_rate": of(f"{name}_rate") for name in ("head", "scale")}
    knobs = {**knobs_of(program, row.setting), **rates}
    every = jnp.ones(len(labels), bool)
    return Enrolment(key, every, knobs, labels, jnp.asarray(row.run, jnp.int32), balance=balance, params=params)


def flip_labels(job: Job, heads: list[Head], probabilities: np.ndarray) -> np.ndarray:
    """The labels that classifiers are trained with, ints ``[s, runs, n]``: flipped once, by one draw at all thresholds.

    Args:
      job: of all.
      heads: ``[s]``.
      probabilities: of the training examples, ``[runs, n, c]``.
    """
    methods = make_methods(job.spec.head)
    kinds = jnp.asarray([methods[head.method].flips for head in heads])
    thresholds = jnp.asarray([head.threshold for head in heads], jnp.float32)
    root, labels = jax.random.key(job.spec.seed), jnp.asarray(job.tail.dataset.labels)
    num_classes = probabilities.shape[2]

    def of_run(place: tuple[jax.Array, jax.Array]) -> jax.Array:
        key = jax.random.fold_in(root, place[0])

        def of_head(kind: jax.Array, threshold: jax.Array) -> jax.Array:
            flipped = lnr_flip(jax.random.fold_in(key, FLIP), place[1], labels, threshold=threshold).labels
            counts = count_flips(labels, flipped, num_classes)
            control = flip_at_random(jax.random.fold_in(key, CONTROL), labels, counts)
            return jnp.where(kind == REBALANCED, flipped, jnp.where(kind == RANDOM, control, labels))

        return jax.lax.map(lambda head: of_head(*head), (kinds, thresholds))

    found = jax.jit(lambda *places: jax.lax.map(of_run, places))(jnp.arange(len(probabilities)), probabilities)
    return np.asarray(found.astype(np.min_scalar_type(num_classes))).swapaxes(0, 1)


def make_plan(job: Job) -> Plan:
    """The identity of stage 1 and its one cell."""
    flags = {name: value for name, value in words.values(job.spec).items() if name not in CIRCUMSTANCES | NO_MODEL}
    own = {*words.values(job.spec.head), *words.values(job.spec.tabular), *words.values(job.spec.data)}
    flags = {name: value for name, value in flags.items() if name not in own}
    identity = {f"--{name}": words.format_value(value) for name, value in flags.items()}
    data = job.tail.dataset
    identity |= {
        "--seed": str(job.spec.seed),
        "the data": f"{data.name} {data.fingerprint[:12]}",
        "the kinds": ",".join(job.kinds),
        "the numerics version": str(NUMERICS),
        "the experiment": "lnr",
    }
    return Plan(identity, {CELL: job.spec.num_runs * len(job.kinds)})


def open_first_store(job: Job) -> Store:
    """The store of stage 1 below ``spec.out``."""
    size = model_bytes(job.tail.dataset, job.program) + 2 * len(job.tail.dataset.labels) + 4 * job.spec.train.epochs
    return open_store(pathlib.Path(job.spec.out) / "store", make_plan(job), size)


def open_second_store(job: Job, program: Program, features: int, number: int = 1) -> Store:
    """The store of a round of stage 2, beside that of stage 1: other flags of stage 2 have another one."""
    own = {f"--{name}": words.format_value(value) for name, value in words.values(job.spec.head).items()}
    heads = ",".join(setting.name for setting in program.settings)
    identity = {**make_plan(job).identity, **own, "the classifiers": heads}
    identity |= {"the round": f"{number}"} if number > 1 else {}
    plan = Plan(identity, {CELL: num_heads(job, program)})
    name = hashlib.sha256(json.dumps(plan.identity, sort_keys=True).encode()).hexdigest()[:12]
    size = 4 * (features + 2) * job.tail.dataset.num_classes + len(job.tail.dataset.labels) // 2 + 400
    return open_store(pathlib.Path(job.spec.out) / "stage2" / name, plan, size)


def num_heads(job: Job, program: Program) -> int:
    """Classifiers that stage 2 trains."""
    return job.spec.num_runs * len(program.settings)


def first_cells(job: Job) -> dict[str, Cell]:
    """The runs of stage 1."""
    return {CELL: Cell(functools.partial(make_rows, job.program), len(job.tail.dataset.labels))}


def second_cells(job: Job, program: Program) -> dict[str, Cell]:
    """The runs of stage 2."""
    return {CELL: Cell(functools.partial(make_rows, program), len(job.tail.dataset.labels))}


def describe_tail(job: Job) -> str:
    """One line: how many examples of each class there are."""
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    return (
        f"{data.name}: {len(data.labels):,} training examples, of the classes {', '.join(f'{n:,}' for n in counts)}; "
        f"{len(job.tail.labels):,} of all classes alike to choose thresholds by, {len(data.test_labels):,} for testing"
    )
