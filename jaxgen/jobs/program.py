"""Which settings share a compiled program, and what such a program is: network, optimizer, augmentation, rows."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import sweep
from jaxgen.config.fields import flag_fields, flag_values, format_value
from jaxgen.engine.batch import LearnerConfig
from jaxgen.engine.kernels import MOST_EVALUATED
from jaxgen.engine.learner import make_learner
from jaxgen.engine.members import EnsembleConfig, EpochMetrics, Examples, MemberConfig, Sampler
from jaxgen.engine.sampling import SHUFFLED
from jaxgen.errors import UserError
from jaxgen.models import DEFAULT_COMPUTE, make_model
from jaxgen.models.layers import ComputeConfig, activation_dtype, product_precision
from jaxgen.scores import designs
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.training.optimizers import OPTIONAL_HPARAMS, HParams, make_optimizer
from jaxgen.training.schedules import make_schedule
from jaxgen.transforms.augment import AUGMENTATIONS, make_augmentation
from jaxgen.types import Dataset

# HParams that every program has, whatever their values.
ALWAYS = ("learning_rate", "momentum", "second_moment", "warmup_epochs", "decay_rate", "final_rate")


class ProgramRow(NamedTuple):
    """A member: its subset, and which of the program's settings it has; arrays ``[m]``."""

    subset: designs.SubsetRow
    setting: np.ndarray


class Program(NamedTuple):
    """Settings that one compiled program serves, because they differ in numbers only.

    Attributes:
      name: distinguishes it from the job's other programs, such as ``optimizer=adam``; empty if it is the only one.
      settings: one or more, of one name each.
      make_member: ``(program, row, training data) -> MemberConfig``.
      context: data of the experiment that `make_member` and its measures need; read by nothing else.
      sampler, input_transform, epoch_metrics, keeps, track: as in `jaxgen.engine.members.EnsembleConfig`. Of `keeps`,
        the store has ``params [m, p]`` (`jaxgen.engine.flat_variables`).
      num_examples: of each member, where members have `MemberConfig.rows`; None: those of the data.
      groups: of parameters, that have step sizes of their own (`jaxgen.engine.batch.LearnerConfig`).
      remake: turns the network that the spec names into the one that is trained; None: it is that.
    """

    name: str
    settings: tuple[sweep.Setting, ...]
    make_member: Callable[["Program", Any, Examples], MemberConfig]
    context: Any = None
    sampler: Sampler = SHUFFLED
    input_transform: Callable[[MemberConfig, jax.Array, jax.Array], jax.Array] | None = None
    epoch_metrics: EpochMetrics | None = None
    num_examples: int | None = None
    groups: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    remake: Callable[[nn.Module], nn.Module] | None = None
    track: TrackingConfig | None = None

    @property
    def spec(self) -> Any:
        """The spec of the first setting, for all that the settings have in common."""
        return self.settings[0].spec

    @property
    def in_use(self) -> frozenset[str]:
        """The regularizers and augmentations that some setting has above 0."""
        return sweep.hparams_in_use([setting.spec for setting in self.settings])


def make_programs(
    spec: Any,
    settings: Sequence[sweep.Setting] = (),
    make_member: Callable[[Program, Any, Examples], MemberConfig] | None = None,
) -> list[Program]:
    """All programs that settings need.

    Args:
      spec: of the job.
      settings: which; by default all that the lists in `spec` ask for.
      make_member: as `Program.make_member`; by default members that train on subsets.
    """
    settings = settings or sweep.expand(spec)
    hparams = {field.name for _, field in flag_fields(spec) if field.metadata.get("hparam")}
    decisive = [name for name in sweep.varied(settings) if name not in hparams]
    programs = []
    for indices in sweep.group(settings):
        chosen = flag_values(settings[indices[0]].spec)
        name = sweep.name_setting({flag: chosen[flag] for flag in decisive})
        programs.append(Program(name, tuple(settings[i] for i in indices), make_member or make_subset_member))
    return programs


def subset_rows(program: Program, ratio: float, num_examples: int, numbers: np.ndarray) -> ProgramRow:
    """The rows ``[m]`` of runs of one ratio: run number i has setting i mod s, and the subset of run i div s.

    So runs of one number, whatever their setting, share subset, initial weights and order: they can be compared in
    pairs.
    """
    numbers = np.asarray(numbers)
    subset = designs.subset_rows(program.spec.subsets.design, ratio, num_examples, numbers // len(program.settings))
    return ProgramRow(subset, (numbers % len(program.settings)).astype(np.int32))


def split_runs(program: Program, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Run, number of the setting, and own arrays of each member of a chunk."""
    for i, number in enumerate(arrays["run"]):
        run, setting = divmod(int(number), len(program.settings))
        yield run, setting, {name: array[i] for name, array in arrays.items()}


def make_subset_member(program: Program, row: ProgramRow, train: Examples) -> MemberConfig:
    """The member of a row, which trains on its subset of the data."""
    root = jax.random.key(program.spec.seed)
    subset = designs.draw_subset(root, row.subset, len(train.labels))
    return MemberConfig(designs.run_key(root, row.subset), subset, hparams_of(program, row.setting))


def hparams_of(program: Program, setting: jax.Array) -> HParams:
    """The hyperparameters of one of the program's settings, by its number."""
    return {name: jnp.asarray(values)[setting] for name, values in hparam_table(program).items()}


def hparam_table(program: Program) -> dict[str, np.ndarray]:
    """By hyperparameter, the value of each setting: float32 ``[s]``."""
    chosen = [flag_values(setting.spec) for setting in program.settings]
    names = (*ALWAYS, *sorted(program.in_use))
    return {name: np.array([one[name] for one in chosen], np.float32) for name in names}


def make_methods(program: Program, microbatch_size: int | None = None) -> LearnerConfig:
    """The program's optimizer, augmentation and all else of a gradient step."""
    train, in_use = program.spec.train, program.in_use
    schedule = make_schedule(train.schedule, epochs=train.epochs, milestones=train.milestones)
    augmentations = in_use & set(AUGMENTATIONS)
    return LearnerConfig(
        make_optimizer(train.optimizer, in_use & set(OPTIONAL_HPARAMS), schedule=schedule),
        make_augmentation(augmentations) if augmentations else None,
        in_use,
        microbatch_size,
        product_precision(program.spec.compute.precision),
        program.groups,
        program.track is not None,
    )


def make_kernels(program: Program, backends: tuple = (), default_backend: str = "plain") -> ComputeConfig:
    """How the convolutions and products of the program's network are computed."""
    return ComputeConfig(backends, default_backend, activation_dtype(program.spec.compute.precision))


def make_network(dataset: Dataset, program: Program, compute: ComputeConfig = DEFAULT_COMPUTE) -> nn.Module:
    """The network that the program trains.

    Raises:
      UserError: if it does not suit the data.
    """
    network = make_model(program.spec.model, dataset.num_classes, dataset.images.shape[1:], compute)
    return program.remake(network) if program.remake else network


def make_ensemble_config(
    dataset: Dataset,
    program: Program,
    compute: ComputeConfig,
    microbatch_size: int | None = None,
    eval_batch_size: int = MOST_EVALUATED,
) -> EnsembleConfig:
    """All that the program's members share."""
    spec, network = program.spec, make_network(dataset, program, compute)
    return EnsembleConfig(
        learner=make_learner(network, make_methods(program, microbatch_size), dataset.images.shape[1:]),
        sampler=program.sampler,
        make_member=functools.partial(program.make_member, program),
        epochs=spec.train.epochs,
        batch_size=spec.train.batch_size,
        num_examples=program.num_examples or len(dataset.labels),
        num_classes=dataset.num_classes,
        scale=dataset.scale,
        whiten=dataset.whiten,
        eval_batch_size=eval_batch_size,
        validation_share=spec.stopping.validation_share,
        patience=spec.stopping.patience,
        epoch_metrics=program.epoch_metrics,
        keeps=program.keeps,
        input_transform=program.input_transform,
        track=program.track,
    )


def check_program(dataset: Dataset, program: Program) -> None:
    """Refuses networks that cannot take the data, and augmentation of what is no image.

    Raises:
      UserError: in one line.
    """
    make_model(program.spec.model, dataset.num_classes, dataset.images.shape[1:])
    augmented = sorted(program.in_use & set(AUGMENTATIONS) - {"mixup", "input_noise"})
    if augmented and not dataset.has_images:
        chosen = {format_value(flag_values(setting.spec)[augmented[0]]) for setting in program.settings} - {"0"}
        raise UserError(
            f"--{augmented[0]}={','.join(sorted(chosen))}: is for images, and {dataset.name} has rows of features; "
            "leave it out (--mixup and --input_noise do for rows)"
        )
