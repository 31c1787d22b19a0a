"""What each command asks for: one spec a command, made of the topics."""

import dataclasses
from typing import Any, ClassVar, Literal

from jaxgen.config.fields import Place, option, topic
from jaxgen.config.longtail import FlipSpec, HeadSpec, TabularSpec, TailSpec
from jaxgen.config.mislabelled import SearchSpec
from jaxgen.config.oversampling import CopiesSpec
from jaxgen.config.protocols import (
    CorruptionSpec,
    FitSpec,
    InfluenceSpec,
    LabelNoiseSpec,
    NoiseSpec,
    SubsetSpec,
    TrackSpec,
)
from jaxgen.config.rules import CommandSpec, at_least, between
from jaxgen.config.training import (
    AugmentationSpec,
    ComputeSpec,
    DataSpec,
    ModelSpec,
    RegularizationSpec,
    StoppingSpec,
    TrainSpec,
)


def results_folder(default: str) -> Any:
    """The field of ``--out``; `default` is where results go without it, below ``runs``."""
    return option("", f"folder for results and finished runs (empty: runs/{default})", place=Place.LAST)


def pilot_option() -> Any:
    """The field of ``--pilot``."""
    return option(
        False,
        "first train a few models for a minute or two, to choose what is not given of --model, --batch_size, "
        "--learning_rate, --schedule and --epochs, and stop if nothing is learnt",
        place=Place.TRAINING,
    )


@dataclasses.dataclass(frozen=True)
class TrainingCommandSpec(CommandSpec):
    """What all commands that train models share."""

    data: DataSpec = topic(DataSpec, Place.TRAINING)
    model: ModelSpec = topic(ModelSpec, Place.TRAINING)
    train: TrainSpec = topic(TrainSpec, Place.TRAINING)
    regularization: RegularizationSpec = topic(RegularizationSpec, Place.TRAINING)
    augmentation: AugmentationSpec = topic(AugmentationSpec, Place.TRAINING)
    stopping: StoppingSpec = topic(StoppingSpec, Place.TRAINING)
    compute: ComputeSpec = topic(ComputeSpec, Place.COMPUTE)
    seed: int = option(0, "seed of every random draw", **between(0, 2**32), place=Place.LAST)
    out: str = results_folder("<command>_<dataset>")


@dataclasses.dataclass(frozen=True)
class CscoreSpec(TrainingCommandSpec):
    """Estimate C-scores: train many small models on random subsets, and see what each gets right of the rest."""

    subsets: SubsetSpec = topic(SubsetSpec, Place.MEASURING)
    influence: InfluenceSpec = topic(InfluenceSpec, Place.MEASURING)
    tracking: TrackSpec = topic(TrackSpec, Place.MEASURING)
    pilot: bool = pilot_option()
    out: str = results_folder("cscore_<dataset>")


@dataclasses.dataclass(frozen=True)
class MislabelledSpec(TrainingCommandSpec):
    """Find mislabelled examples: rank all by what models trained with and without them say of their labels."""

    search: SearchSpec = topic(SearchSpec, Place.QUESTION)
    subsets: SubsetSpec = topic(lambda: SubsetSpec(subset_ratios=(0.8,), num_runs=30), Place.MEASURING)
    tracking: TrackSpec = topic(lambda: TrackSpec(track=("dynamics", "pred_probs")), Place.MEASURING)
    pilot: bool = pilot_option()
    out: str = results_folder("mislabelled_<dataset>")


@dataclasses.dataclass(frozen=True)
class RandomizationSpec(TrainingCommandSpec):
    """Randomization tests: how fast random labels and pixels are fitted, and what regularization does about it."""

    noise: NoiseSpec = topic(NoiseSpec, Place.QUESTION)
    fit: FitSpec = topic(FitSpec, Place.MEASURING)
    num_runs: int = option(5, "models per setting", **at_least(1))
    out: str = results_folder("randomization_<dataset>[_<preset>]")


@dataclasses.dataclass(frozen=True)
class RobustnessSpec(TrainingCommandSpec):
    """Robustness: what corruption of test or training images does to networks trained in one way or another."""

    corruption: CorruptionSpec = topic(CorruptionSpec, Place.QUESTION)
    noise: LabelNoiseSpec = topic(LabelNoiseSpec, Place.QUESTION)
    num_runs: int = option(10, "models per setting", **at_least(1))
    out: str = results_folder("robustness_<dataset>[_<modification>]")


@dataclasses.dataclass(frozen=True)
class OversamplingSpec(TrainingCommandSpec):
    """Oversampling: what noisy copies of scarce data buy, beside exact copies and augmentation, at growing samples."""

    copies: CopiesSpec = topic(CopiesSpec, Place.QUESTION)
    model: ModelSpec = topic(lambda: ModelSpec(hidden=(64, 32)), Place.TRAINING)
    train: TrainSpec = topic(
        lambda: TrainSpec(epochs=50, batch_size=32, learning_rate=0.01, momentum=0.0), Place.TRAINING
    )
    # No flags: validation examples would have copies of themselves in the training set.
    stopping: ClassVar[StoppingSpec] = StoppingSpec()
    num_runs: int = option(20, "models per setting and sample size", **at_least(1))
    out: str = results_folder("oversampling_<dataset>")


@dataclasses.dataclass(frozen=True)
class LnrSpec(TrainingCommandSpec):
    """Label-noise rebalancing: long-tailed data in two stages, and whether flipped labels beat their controls."""

    longtail: TailSpec = topic(TailSpec, Place.QUESTION)
    flips: FlipSpec = topic(FlipSpec, Place.QUESTION)
    head: HeadSpec = topic(HeadSpec, Place.QUESTION)
    tabular: TabularSpec = topic(TabularSpec, Place.QUESTION)
    train: TrainSpec = topic(lambda: TrainSpec(epochs=60), Place.TRAINING)
    augmentation: AugmentationSpec = topic(lambda: AugmentationSpec(mixup=1.0), Place.TRAINING)
    num_runs: int = option(5, "models of stage 1 of each kind, and classifiers of stage 2 on each", **at_least(1))
    out: str = results_folder("lnr_<dataset>")


@dataclasses.dataclass(frozen=True)
class ReportSpec(CommandSpec):
    """Write one page for a browser, RUN_DIR/report.html, that shows all scores of a finished job and its examples."""

    WORDS: ClassVar[tuple[str, ...]] = ("run_dir",)

    run_dir: str = option(".", "folder of a finished job of jaxgen.cscore, such as runs/cscore_digits")
    dataset: str = option("", "where the data are now, as for jaxgen.cscore (empty: where the job had them)")
    data_dir: str = option("", "as for jaxgen.cscore, where that is now (empty: where the job had it)")


@dataclasses.dataclass(frozen=True)
class BenchSpec(CommandSpec):
    """Time the same trainings three ways: as public demos do, compiled once, and jaxgen; or how jaxgen's jobs scale."""

    job: CscoreSpec = topic(CscoreSpec, Place.QUESTION)
    measure: Literal[
        "speed",
        "scaling",
        "images",
        "members",
        "precision",
        "label_noise",
        "corruptions",
        "oversampling",
        "heads",
        "influence",
        "launchers",
        "store",
    ] = option(
        "speed",
        "speed: three ways side by side at each of --subset_ratios; scaling: whole jobs of growing --num_runs; images: "
        "training steps of a network on random images, beside PyTorch and plain JAX; members: seconds a model as "
        "members grow, up to --num_runs; precision: speed and accuracy by --precision; "
        "label_noise: the sweep of jaxgen.randomization's preset of that name, three ways; "
        "corruptions: the 15 standard corruptions of --bench_images images, beside imagecorruptions; "
        "oversampling: that experiment's plain and noisily copied samples, three ways; "
        "heads: the classifiers of stage 2 of jaxgen.lnr, three ways; "
        "influence: the strongest pairs of synthetic runs of --influence_shape, beside the whole matrix of a tenth; "
        "launchers: whole jobs by this process's devices and by a Ray cluster on this machine; "
        "store: scores and figures from as many chunks of one model as --num_runs, and from a fifth of them",
    )
    influence_shape: tuple[int, ...] = option(
        (2000, 60000, 10000),
        "influence: runs, training examples and test examples",
        rule=lambda shape: len(shape) == 3 and all(size >= 1 for size in shape),
        says="give runs,training,test, such as 2000,60000,10000",
    )
    rounds: int = option(5, "how often ways take turns", **at_least(1))
    demo_models: int = option(1, "speed: models a round as the demo trains them", **at_least(1))
    plain_models: int = option(3, "speed: models a round compiled once", **at_least(1))
    image_shape: tuple[int, ...] = option(
        (32, 32, 3),
        "images, corruptions: height, width and channels",
        rule=lambda shape: len(shape) == 3 and all(size >= 1 for size in shape),
        says="give height,width,channels, such as 32,32,3",
    )
    bench_images: int = option(2048, "images: about so many a turn; corruptions: exactly so many", **at_least(1))
