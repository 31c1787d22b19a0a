"""The presets of ``jaxgen.randomization``, unions of sweeps. Flags given by the user replace their values here.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530.
"""

import functools
from typing import Any

from jaxgen.config import RandomizationSpec, sweep
from jaxgen.jobs.presets import Arm, one_by_one, settings_of_arms

RATES = tuple(round(0.1 * i, 1) for i in range(11))
# Random labels take many epochs to fit; members that have fitted their labels stop earlier.
LONG = {"epochs": 200, "batch_size": 64, "learning_rate": 0.05}
# Flags that are part of every setting's name.
ALWAYS_NAMED = ("label_noise", "pixels", "model")
# The side of the middle of an image that the paper trains on.
PAPER_SIDE = 28
# Rates of label noise: none and all.
ENDS = (0.0, 1.0)


def figure1() -> list[Arm]:
    """True labels with each kind of pixels, and true pixels with each rate of label noise."""
    return [
        Arm({"label_noise": 0.0}, {**LONG, "pixels": ("true", "shuffled", "random", "gaussian")}),
        Arm({"pixels": "true"}, {**LONG, "label_noise": RATES}),
    ]


def table1() -> list[Arm]:
    """Four networks on true labels, with and without crops and weight decay, and on random labels without either.

    The learning rates are the published ones: 0.1 for the small Inception, 0.01 for the others.
    """
    common = {"schedule": "exponential", "decay_rate": 0.95, "batch_size": 128, "epochs": 100}
    inception = {"model": "inception_small", **common, "learning_rate": 0.1}
    alexnet = {"model": "alexnet_small", **common, "learning_rate": 0.01}
    connected = {"model": ("mlp3x512", "mlp1x512"), **common, "learning_rate": 0.01}
    decay = {"weight_decay": (5e-4, 0.0)}
    true = [Arm({"label_noise": 0.0}, {**network, "crop": (4, 0), **decay}) for network in (inception, alexnet)]
    true.append(Arm({"label_noise": 0.0, "crop": 0}, {**connected, **decay}))
    plain = {"label_noise": 1.0, "crop": 0, "weight_decay": 0.0}
    return true + [Arm(plain, network) for network in (inception, alexnet, connected)]


def describe_departure(spec: RandomizationSpec, image_shape: tuple[int, ...]) -> str:
    """What the paper does to images and `spec`, of the preset table1, does not, as flags to add; empty if nothing.

    Args:
      spec: the flags.
      image_shape: of an image that is trained on, ``(h, w, d)``.
    """
    if spec.noise.preset != "table1" or len(image_shape) != 3:
        return ""
    crop = [] if max(image_shape[:2]) <= PAPER_SIDE else [f"--center_crop={PAPER_SIDE}"]
    missing = [*crop, *([] if spec.data.whiten else ["--whiten"])]
    return f"table1: the paper's networks see other images; add {' '.join(missing)} for theirs" if missing else ""


def label_noise() -> list[Arm]:
    """Each rate of label noise with all combinations of three regularizers, on and off."""
    strengths = {"weight_decay": (0.0, 5e-4), "dropout": (0.0, 0.2), "label_smoothing": (0.0, 0.1)}
    return [Arm({}, {**LONG, "label_noise": RATES, **strengths})]


def regularizers(has_images: bool, norms: tuple[str, ...]) -> list[Arm]:
    """No regularizer, and each regularizer alone, with true and with random labels.

    Early stopping uses a tenth of the examples for validation.
    """
    alone: list[dict[str, Any]] = [
        {},
        {"weight_decay": 5e-4},
        {"dropout": 0.2},
        {"label_smoothing": 0.1},
        {"mixup": 0.2},
        {"validation_share": 0.1, "patience": 3},
    ]
    if has_images:
        alone += [{"translate": 0.1}, {"cutmix": 1.0}]
    off = {"patience": 0} | {name: 0.0 for flags in alone for name in flags if name != "patience"}
    common = {**LONG, "label_noise": ENDS}
    return one_by_one(alone, off, common) + [Arm({"norm": norm, **off}, common) for norm in norms]


def optimizers() -> list[Arm]:
    """SGD without momentum, SGD with momentum and three schedules, and Adam; with true and with random labels."""
    return [
        Arm({"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}, {**LONG, "label_noise": ENDS}),
        Arm({"optimizer": "sgd"}, {**LONG, "schedule": ("constant", "linear", "cosine"), "label_noise": ENDS}),
        Arm({"optimizer": "adam", "schedule": "constant", "learning_rate": 0.001}, {**LONG, "label_noise": ENDS}),
    ]


def settings_of(spec: RandomizationSpec, has_images: bool, norms: tuple[str, ...]) -> list[sweep.Setting]:
    """All settings of the preset and the swept flags in `spec`, without repeats.

    Args:
      spec: the flags.
      has_images: whether the data are images.
      norms: values of ``--norm`` for the network, other than its default.

    Raises:
      UserError: if a flag is given that the preset sets, and for huge sweeps without ``--yes``.
    """
    presets = {
        "none": lambda: [Arm({}, {})],
        "figure1": figure1,
        "table1": table1,
        "label_noise": label_noise,
        "regularizers": functools.partial(regularizers, has_images, norms),
        "optimizers": optimizers,
    }
    return settings_of_arms(spec, presets[spec.noise.preset](), spec.noise.preset, ALWAYS_NAMED)
