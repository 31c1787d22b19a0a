"""What each entry asks for: one spec a command, made of the topics."""

import dataclasses
from typing import ClassVar, Literal

from jaxgen.config.fields import option
from jaxgen.config.longtail import FlipSpec, HeadSpec, TabularSpec, TailSpec
from jaxgen.config.mislabelled import SearchSpec
from jaxgen.config.protocols import (
    CopiesSpec,
    CorruptionSpec,
    FitSpec,
    InfluenceSpec,
    LabelNoiseSpec,
    NoiseSpec,
    SubsetSpec,
    TrackSpec,
)
from jaxgen.config.rules import Spec, at_least, between
from jaxgen.config.training import (
    AugmentationSpec,
    ComputeSpec,
    DataSpec,
    ModelSpec,
    RegularizationSpec,
    StoppingSpec,
    TrainSpec,
)


@dataclasses.dataclass(frozen=True)
class CscoreSpec(Spec):
    """Estimate C-scores: train many small models on random subsets, and see what each gets right of the rest."""

    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=AugmentationSpec)
    stopping: StoppingSpec = dataclasses.field(default_factory=StoppingSpec)
    subsets: SubsetSpec = dataclasses.field(default_factory=SubsetSpec)
    influence: InfluenceSpec = dataclasses.field(default_factory=InfluenceSpec)
    tracking: TrackSpec = dataclasses.field(default_factory=TrackSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/cscore_<dataset>)")


@dataclasses.dataclass(frozen=True)
class MislabelledSpec(Spec):
    """Find mislabelled examples: rank all by what models trained with and without them say of their labels."""

    search: SearchSpec = dataclasses.field(default_factory=SearchSpec)
    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=AugmentationSpec)
    stopping: StoppingSpec = dataclasses.field(default_factory=StoppingSpec)
    subsets: SubsetSpec = dataclasses.field(default_factory=lambda: SubsetSpec(subset_ratios=(0.8,), num_runs=30))
    tracking: TrackSpec = dataclasses.field(default_factory=lambda: TrackSpec(track=("dynamics", "pred_probs")))
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/mislabelled_<dataset>)")


@dataclasses.dataclass(frozen=True)
class RandomizationSpec(Spec):
    """Randomization tests: how fast random labels and pixels are fitted, and what regularization does about it."""

    noise: NoiseSpec = dataclasses.field(default_factory=NoiseSpec)
    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=AugmentationSpec)
    stopping: StoppingSpec = dataclasses.field(default_factory=StoppingSpec)
    fit: FitSpec = dataclasses.field(default_factory=FitSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    num_runs: int = option(5, "models per setting", **at_least(1))
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/randomization_<dataset>[_<preset>])")


@dataclasses.dataclass(frozen=True)
class RobustnessSpec(Spec):
    """Robustness: what corruption of test or training images does to networks trained in one way or another."""

    corruption: CorruptionSpec = dataclasses.field(default_factory=CorruptionSpec)
    noise: LabelNoiseSpec = dataclasses.field(default_factory=LabelNoiseSpec)
    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=AugmentationSpec)
    stopping: StoppingSpec = dataclasses.field(default_factory=StoppingSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    num_runs: int = option(5, "models per setting", **at_least(1))
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/robustness_<dataset>[_<modification>])")


@dataclasses.dataclass(frozen=True)
class OversamplingSpec(Spec):
    """Oversampling: what noisy copies of scarce data buy, beside exact copies and augmentation, at growing samples."""

    copies: CopiesSpec = dataclasses.field(default_factory=CopiesSpec)
    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=lambda: ModelSpec(hidden=(64, 32)))
    train: TrainSpec = dataclasses.field(
        default_factory=lambda: TrainSpec(epochs=50, batch_size=32, learning_rate=0.01, momentum=0.0)
    )
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=AugmentationSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    num_runs: int = option(20, "models per setting and sample size", **at_least(1))
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/oversampling_<dataset>)")

    # No flags: examples kept to stop by would have their copies among those trained on.
    stopping = StoppingSpec()


@dataclasses.dataclass(frozen=True)
class LnrSpec(Spec):
    """Label-noise rebalancing: long-tailed data in two stages, and whether flipped labels beat their controls."""

    longtail: TailSpec = dataclasses.field(default_factory=TailSpec)
    flips: FlipSpec = dataclasses.field(default_factory=FlipSpec)
    head: HeadSpec = dataclasses.field(default_factory=HeadSpec)
    tabular: TabularSpec = dataclasses.field(default_factory=TabularSpec)
    data: DataSpec = dataclasses.field(default_factory=DataSpec)
    model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
    train: TrainSpec = dataclasses.field(default_factory=lambda: TrainSpec(epochs=60))
    regularization: RegularizationSpec = dataclasses.field(default_factory=RegularizationSpec)
    augmentation: AugmentationSpec = dataclasses.field(default_factory=lambda: AugmentationSpec(mixup=1.0))
    stopping: StoppingSpec = dataclasses.field(default_factory=StoppingSpec)
    compute: ComputeSpec = dataclasses.field(default_factory=ComputeSpec)
    num_runs: int = option(5, "models of stage 1 of each kind, and classifiers of stage 2 on each", **at_least(1))
    seed: int = option(0, "seed of every random draw", **between(0, 2**32))
    out: str = option("", "folder for results and finished runs (empty: runs/lnr_<dataset>)")


@dataclasses.dataclass(frozen=True)
class ReportSpec(Spec):
    """Write one page for a browser, RUN_DIR/report.html, that shows all scores of a finished job and its examples."""

    WORDS: ClassVar[tuple[str, ...]] = ("run_dir",)

    run_dir: str = option(".", "folder of a finished job of jaxgen.cscore, such as runs/cscore_digits")
    dataset: str = option("", "where the data are now, as for jaxgen.cscore (empty: where the job had them)")
    data_dir: str = option("", "where tensorflow-datasets keeps its data now (empty: where the job had them)")


@dataclasses.dataclass(frozen=True)
class BenchSpec(Spec):
    """Time the same trainings three ways: as public demos do, compiled once, and jaxgen; or how jaxgen's jobs scale."""

    job: CscoreSpec = dataclasses.field(default_factory=CscoreSpec)
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
    keep: tuple[str, ...] = option(
        (), "label_noise, oversampling, heads: flags of yours that stay, though at their defaults"
    )
