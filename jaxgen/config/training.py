"""Flags of every experiment: data, model, training, regularization, augmentation, early stopping, machine."""

import dataclasses
import itertools
import math
import re
from typing import Literal

from jaxgen.config.fields import format_value, hparam, option, optional_hparam
from jaxgen.config.rules import Spec, above, at_least, between, within
from jaxgen.config.sweep import MANY, alternatives
from jaxgen.errors import UserError


@dataclasses.dataclass(frozen=True)
class DataSpec(Spec):
    """Data"""

    dataset: str = option(
        "digits",
        "digits (embedded); mnist, fashion_mnist, cifar10, cifar100 or any tensorflow-datasets name; "
        "idx:DIR (the four IDX files, gzip or plain); npz:FILE (images or x, labels or y; optional test_images "
        "or test_x, test_labels or test_y, class_names, ids); images:DIR (a folder of pictures per class); "
        "csv:FILE or parquet:FILE (columns of numbers or categories, and a label column); "
        "hf:NAME or hf:DIR (of Hugging Face, on its hub or saved on disk). Where the suffix of a file tells its kind, "
        "FILE alone will do",
    )
    data_dir: str = option(
        "",
        "mnist, fashion_mnist, cifar10, cifar100: the folder that has, or is given, a folder of this name with their "
        "original files (empty: the user's cache, on Linux ~/.cache/jaxgen); other names: where tensorflow-datasets "
        "keeps its data (empty: its own default)",
    )
    label_column: str = option("label", "csv, parquet, hf: the column that holds the label")
    id_column: str = option(
        "",
        "csv, parquet, hf: the column that names the rows and is no feature (empty: one called id, index or rownames, "
        "or without a name, if its values are all different; none: there is none)",
    )
    image_column: str = option(
        "",
        "csv, parquet: the column with the names of picture files, below the folder of the table (empty: no pictures); "
        "hf: the one with the pictures, if there are several",
    )
    impute: Literal["none", "mean", "median"] = option(
        "none",
        "npz, csv, parquet, hf: what takes the place of missing features: the mean or the median of their column over "
        "the training examples; missing categories are one of their own (none: missing values are refused)",
    )
    image_size: int = option(
        0, "images, hf: resize every image to this many pixels a side (0: take them as they are)", **at_least(0)
    )
    num_examples: int = option(
        0,
        "take the first so many training examples only (0: all); data without a test set have one held out of these",
        **at_least(0),
    )
    num_test_examples: int = option(0, "test on the first so many test examples only (0: all)", **at_least(0))
    center_crop: int = option(0, "images: take the middle, so many pixels a side (0: the whole image)", **at_least(0))
    whiten: bool = option(False, "images: the network sees each with mean 0 and standard deviation 1")
    normalize_channels: bool = option(
        False,
        "images: the network sees each less the mean of each channel, divided by its standard deviation; both over all "
        "training images",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.whiten and self.normalize_channels:
            raise UserError("--normalize_channels: --whiten standardizes each image already; leave one of the two out")


@dataclasses.dataclass(frozen=True)
class ModelSpec(Spec):
    """Model"""

    model: str = option(
        "mlp",
        "the network: linear, scaled_linear (its classes have learnt scales), mlp, "
        "mlpLxN (L hidden layers of N units: mlp1x512, mlp3x512), convnet, "
        "alexnet_small, inception_small, resnet20, resnet32, "
        "resnet9, resnet18 or resnet50",
        sweep=True,
    )
    hidden: tuple[int, ...] = option(
        (128, 64),
        "mlp: units of each hidden layer",
        rule=lambda sizes: all(size >= 1 for size in sizes),
        says="every hidden layer needs 1 unit or more",
    )
    norm: Literal["auto", "batch", "group", "none"] = option(
        "auto", "normalization (auto: what the network was published with)", sweep=True
    )


@dataclasses.dataclass(frozen=True)
class TrainSpec(Spec):
    """Training"""

    epochs: int = option(20, "passes over a member's own examples", sweep=True, **at_least(1))
    batch_size: int = option(
        16, "examples in one step; the last batch of an epoch may be shorter", sweep=True, **at_least(1)
    )
    optimizer: Literal["sgd", "nesterov", "adam", "adamw", "rmsprop"] = option(
        "sgd", "how a gradient becomes a step", sweep=True
    )
    learning_rate: float = hparam(0.03, "step size; the largest one, if a schedule changes it", **above(0))
    momentum: float = hparam(0.9, "momentum; Adam's b1", **between(0, 1))
    second_moment: float = hparam(
        0.999, "Adam's b2; RMSprop's decay of squared gradients (with bias correction)", **between(0, 1)
    )
    schedule: Literal["constant", "step", "exponential", "cosine", "linear", "triangle"] = option(
        "constant", "how the step size goes on", sweep=True
    )
    warmup_epochs: float = hparam(0.0, "epochs over which the step size first grows from 0", **at_least(0))
    milestones: tuple[float, ...] = option(
        (),
        "step: epochs after which the step size is multiplied by --decay_rate",
        rule=lambda epochs: all(low < high for low, high in itertools.pairwise((0, *epochs, math.inf))),
        says="epochs must be above 0 and each above the one before",
    )
    decay_rate: float = hparam(
        0.1,
        "step: factor at each milestone; exponential: factor per epoch",
        rule=lambda rate: 0 < rate <= 1,
        says="must be above 0 and at most 1",
    )
    final_rate: float = hparam(0.0, "cosine, linear: share of --learning_rate at the end", **within(0, 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if "step" in alternatives(self.schedule) and not self.milestones:
            raise UserError(
                f"--schedule={format_value(self.schedule)}: step needs --milestones, such as --milestones=10,15"
            )


@dataclasses.dataclass(frozen=True)
class RegularizationSpec(Spec):
    """Regularization (0 is off)"""

    weight_decay: float = optional_hparam(
        0.0, "L2: this much of each parameter is added to its gradient", **at_least(0)
    )
    decoupled_weight_decay: float = optional_hparam(
        0.0, "each step takes this much, times the step size, off each parameter", **at_least(0)
    )
    l1: float = optional_hparam(0.0, "L1: this much of each parameter's sign is added to its gradient", **at_least(0))
    clip_norm: float = optional_hparam(0.0, "largest global norm of a gradient (0: not clipped)", **at_least(0))
    max_norm: float = optional_hparam(0.0, "largest norm of the weights into a unit (0: not limited)", **at_least(0))
    gradient_noise: float = optional_hparam(
        0.0, "standard deviation of Gaussian noise added to each gradient", **at_least(0)
    )
    label_smoothing: float = optional_hparam(0.0, "share of the target spread evenly over all classes", **between(0, 1))
    dropout: float = optional_hparam(0.0, "share of units left out in a training step", **between(0, 1))
    ema_decay: float = optional_hparam(
        0.0, "the model examined averages the parameters, keeping this share at each step", **between(0, 1)
    )
    sam_radius: float = optional_hparam(0.0, "SAM: the gradient is taken so far uphill", **at_least(0))


@dataclasses.dataclass(frozen=True)
class AugmentationSpec(Spec):
    """Augmentation (images; 0 is off)"""

    flip: float = optional_hparam(0.0, "probability of a left-right flip", **within(0, 1))
    crop: int = optional_hparam(
        0, "pixels of zero padding around the image of which a random crop is taken", **at_least(0)
    )
    translate: float = optional_hparam(0.0, "largest shift, as a share of the side", **between(0, 1))
    rotate: float = optional_hparam(0.0, "largest angle of a rotation, in degrees", **within(0, 180))
    augmix: int = optional_hparam(
        0, "AugMix: severity, 1 to 10, of operations whose results are mixed with the image", **within(0, 10)
    )
    cutout: int = optional_hparam(0, "side, in pixels, of a square that is blanked", **at_least(0))
    color_jitter: float = optional_hparam(
        0.0, "largest relative change of brightness, contrast, saturation", **between(0, 1)
    )
    input_noise: float = optional_hparam(0.0, "standard deviation of Gaussian noise added to the input", **at_least(0))
    mixup: float = optional_hparam(
        0.0, "alpha of Beta(alpha, alpha), the shares in which two images are mixed", **at_least(0)
    )
    cutmix: float = optional_hparam(
        0.0, "alpha of Beta(alpha, alpha), the area kept beside a patch of another", **at_least(0)
    )


@dataclasses.dataclass(frozen=True)
class StoppingSpec(Spec):
    """Early stopping"""

    validation_share: float = option(
        0.0, "share of a member's own examples kept for validation", sweep=True, **between(0, 1)
    )
    patience: int = option(
        0, "stop after so many epochs without a better validation loss (0: never stop early)", sweep=True, **at_least(0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(alternatives(self.patience)) and not all(alternatives(self.validation_share)):
            raise UserError(
                f"--patience={format_value(self.patience)}: needs a --validation_share above 0, such as 0.1"
            )


def is_shard(text: str) -> bool:
    """Whether a text is ``i/n`` with i below n, or empty."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    return not text or (match is not None and int(match[1]) < int(match[2]))


@dataclasses.dataclass(frozen=True)
class ComputeSpec(Spec):
    """Machine"""

    width: int | None = option(None, "models in one batched program (auto: a few widths are timed)", **at_least(1))
    num_devices: int = option(
        0, "devices to use (0: all); on a CPU one a core, and where it is given, no more threads", **at_least(0)
    )
    precision: Literal["float32", "tf32", "bf16"] = option("float32", "arithmetic of products and convolutions")
    convolution: Literal["auto", "grouped", "plain", "batched", "chunked"] = option(
        "auto", "how convolutions of several members are computed (auto: timed)"
    )
    checkpoint_minutes: float = option(
        10.0, "minutes between checkpoints of unfinished models (0: none)", **at_least(0)
    )
    save_models: bool = option(False, "keep the trained parameters")
    launcher: Literal["local", "ray", "distributed"] = option(
        "local",
        "who trains: this process; the workers of a Ray cluster; all processes of a job that srun, GKE or a Cloud TPU "
        "has started on several machines, each a share, on a shared folder",
    )
    ray_address: str = option(
        "auto", "the cluster: auto (the one that is running), host:port, local (one on this machine, for this job)"
    )
    ray_cpus: int = option(
        0, "cores of a Ray worker on nodes without accelerators (0: all of the node's)", **at_least(0)
    )
    shard: str = option(
        "",
        "i/n: train only the i-th of n shares of all models, i from 0: for job arrays on a shared folder; who finds "
        "all shares done writes the results",
        rule=is_shard,
        says="give i/n with whole numbers, i from 0 to n - 1 and n up to 999999, such as 0/4",
    )
    aggregate_only: bool = option(False, "train no network: write the results of models that are there")
    dry_run: bool = option(False, "say what would be trained, and train nothing")
    yes: bool = option(False, f"go on although the sweep has more than {MANY:,} members")
