"""Compiled programs: which settings share one, and its network, optimizer, augmentation and rows."""

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
from jaxgen.models import DEFAULT_COMPUTE, has_cosine, make_model
from jaxgen.models.layers import ComputeConfig, activation_dtype, product_precision
from jaxgen.scores import designs
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.training.optimizers import OPTIONAL_HPARAMS, HParams, make_optimizer
from jaxgen.training.schedules import make_schedule
from jaxgen.transforms.augment import AUGMENTATIONS, make_augmentation
from jaxgen.transforms.pixels import make_normalization
from jaxgen.types import Dataset

# HParams that every program has, whatever their values.
COMMON_HPARAMS = ("learning_rate", "momentum", "second_moment", "warmup_epochs", "decay_rate", "final_rate")


class ProgramRow(NamedTuple):
    """Rows of m members: subsets, and indices ``[m]`` of the program's settings."""

    subset: designs.SubsetRow
    setting: np.ndarray


class Program(NamedTuple):
    """Settings that share a compiled program, because they differ in numerical hyperparameters only.

    Attributes:
      name: unique in the job, such as ``optimizer=adam``; empty for a job's only program.
      settings: one or more.
      make_member: ``(program, row, training data) -> MemberConfig``.
      context: data for `make_member` and the experiment's measures; not read elsewhere.
      sampler, input_transform, epoch_metrics, keeps, track: as in `jaxgen.engine.members.EnsembleConfig`. Of `keeps`,
        the store has ``params [m, p]`` (`jaxgen.engine.flat_variables`).
      num_examples: of each member, where members have `MemberConfig.rows`; None: all examples of the data.
      groups: parameter groups with separate step sizes (`jaxgen.engine.batch.LearnerConfig`).
      remake: maps the network that the spec names to the one to train; None: the identity.
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
        """The spec of the first setting, for flags that all settings share."""
        return self.settings[0].spec

    @property
    def in_use(self) -> frozenset[str]:
        """Names of the regularizers and augmentations that are above 0 in some setting."""
        return sweep.hparams_in_use([setting.spec for setting in self.settings])


def make_programs(
    spec: Any,
    settings: Sequence[sweep.Setting] = (),
    make_member: Callable[[Program, Any, Examples], MemberConfig] | None = None,
) -> list[Program]:
    """The programs of a job's settings.

    Args:
      spec: of the job.
      settings: of the job; by default all combinations of the values in `spec`.
      make_member: as `Program.make_member`; by default `make_subset_member`.
    """
    settings = settings or sweep.expand(spec)
    hparams = {field.name for _, field in flag_fields(spec) if field.metadata.get("hparam")}
    program_flags = [name for name in sweep.varied(settings) if name not in hparams]
    programs = []
    for indices in sweep.group(settings):
        values = flag_values(settings[indices[0]].spec)
        name = sweep.name_setting({flag: values[flag] for flag in program_flags})
        programs.append(Program(name, tuple(settings[i] for i in indices), make_member or make_subset_member))
    return programs


def subset_rows(program: Program, ratio: float, num_examples: int, numbers: np.ndarray) -> ProgramRow:
    """The rows ``[m]`` of runs at one ratio: with s settings, number i is run i // s of setting i % s.

    A run has the same subset, initial weights and order in all settings, so settings can be compared in pairs.
    """
    numbers = np.asarray(numbers)
    subset = designs.subset_rows(program.spec.subsets.design, ratio, num_examples, numbers // len(program.settings))
    return ProgramRow(subset, (numbers % len(program.settings)).astype(np.int32))


def split_runs(program: Program, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields the run, the index of the setting and the arrays of each member of a chunk."""
    for i, number in enumerate(arrays["run"]):
        run, setting = divmod(int(number), len(program.settings))
        yield run, setting, {name: array[i] for name, array in arrays.items()}


def make_subset_member(program: Program, row: ProgramRow, train: Examples) -> MemberConfig:
    """The config of a member that trains on a random subset of the data."""
    root = jax.random.key(program.spec.seed)
    subset = designs.draw_subset(root, row.subset, len(train.labels))
    return MemberConfig(designs.run_key(root, row.subset), subset, hparams_of(program, row.setting))


def hparams_of(program: Program, setting: jax.Array) -> HParams:
    """The hyperparameters of one of the program's settings, by index."""
    return {name: jnp.asarray(values)[setting] for name, values in hparam_table(program).items()}


def hparam_table(program: Program) -> dict[str, np.ndarray]:
    """Values of the hyperparameters in all settings, float32 ``[s]``, by name."""
    values_by_setting = [flag_values(setting.spec) for setting in program.settings]
    names = (*COMMON_HPARAMS, *sorted(program.in_use))
    return {name: np.array([values[name] for values in values_by_setting], np.float32) for name in names}


def make_learner_config(program: Program, microbatch_size: int | None = None) -> LearnerConfig:
    """The config of the program's gradient steps."""
    train, in_use = program.spec.train, program.in_use
    schedule = make_schedule(train.schedule, epochs=train.epochs, milestones=train.milestones)
    augmentations = in_use & set(AUGMENTATIONS)
    return LearnerConfig(
        make_optimizer(train.optimizer, in_use & set(OPTIONAL_HPARAMS), schedule=schedule),
        make_augmentation(augmentations) if augmentations else None,
        in_use=in_use,
        microbatch_size=microbatch_size,
        precision=product_precision(program.spec.compute.precision),
        groups=program.groups,
        returns_logits=program.track is not None,
    )


def make_kernels(program: Program, backends: tuple = (), default_backend: str = "plain") -> ComputeConfig:
    """Convolution back-ends and dtype of the program's network."""
    return ComputeConfig(backends, default_backend, activation_dtype(program.spec.compute.precision))


def make_network(dataset: Dataset, program: Program, compute: ComputeConfig = DEFAULT_COMPUTE) -> nn.Module:
    """The network that the program trains.

    Raises:
      UserError: if the network does not suit the data.
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
    """The ensemble config of the program."""
    spec, network = program.spec, make_network(dataset, program, compute)
    normalize = make_normalization(whiten=dataset.whiten, channel_moments=dataset.channel_moments)
    learner_config = make_learner_config(program, microbatch_size)._replace(normalize=normalize)
    return EnsembleConfig(
        learner=make_learner(network, learner_config, dataset.images.shape[1:]),
        sampler=program.sampler,
        make_member=functools.partial(program.make_member, program),
        epochs=spec.train.epochs,
        batch_size=spec.train.batch_size,
        num_examples=program.num_examples or len(dataset.labels),
        num_classes=dataset.num_classes,
        scale=dataset.scale,
        normalize=normalize,
        eval_batch_size=eval_batch_size,
        validation_share=spec.stopping.validation_share,
        patience=spec.stopping.patience,
        epoch_metrics=program.epoch_metrics,
        keeps=program.keeps,
        input_transform=program.input_transform,
        track=program.track,
        bounded_loss=has_cosine(network),
    )


def check_program(dataset: Dataset, program: Program) -> None:
    """Checks that network and augmentation suit the data.

    Raises:
      UserError: for a network that cannot take the data, and for image augmentation of tables.
    """
    make_model(program.spec.model, dataset.num_classes, dataset.images.shape[1:])
    augmented = sorted(program.in_use & set(AUGMENTATIONS) - {"mixup", "input_noise"})
    if augmented and not dataset.has_images:
        chosen = {format_value(flag_values(setting.spec)[augmented[0]]) for setting in program.settings} - {"0"}
        raise UserError(
            f"--{augmented[0]}={','.join(sorted(chosen))}: is for images, and {dataset.name} has rows of features; "
            "leave it out (--mixup and --input_noise do for rows)"
        )
