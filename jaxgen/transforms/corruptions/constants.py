"""How strong each corruption is: five rows of constants each, for severities 1 to 5, and where they come from.

``small`` and ``imagenet``: D. Hendrycks, T. Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations, ICLR 2019, https://arxiv.org/abs/1903.12261; the numbers of the code that made CIFAR-10-C (32 pixels
a side) and ImageNet-C (224), https://github.com/hendrycks/robustness. ``mnist``: N. Mu, J. Gilmer, MNIST-C: A
Robustness Benchmark for Computer Vision, 2019, https://arxiv.org/abs/1906.02337; the numbers of
https://github.com/google-research/mnist-c (28 pixels), of which its data set has one severity each. ``own``: published
nowhere.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Kind = Literal["small", "imagenet", "mnist"]
KINDS = ("small", "imagenet", "mnist")
SIDES = {"small": 32, "imagenet": 224, "mnist": 28, "own": 32}
# Where one kind has no numbers of its own. MNIST-C takes most of ImageNet-C's, in pixels as they are.
OTHERWISE = {
    "small": ("small", "mnist", "own"),
    "imagenet": ("imagenet", "mnist", "own"),
    "mnist": ("mnist", "imagenet", "own"),
}
NUM_SEVERITIES = 5
ONE_TO_ALL = (0.2, 0.4, 0.6, 0.8, 1.0)

Rows = tuple[float | tuple[float, ...], ...]
TABLES: dict[str, dict[str, Rows]] = {
    # Standard deviation.
    "gaussian_noise": {"small": (0.04, 0.06, 0.08, 0.09, 0.10), "imagenet": (0.08, 0.12, 0.18, 0.26, 0.38)},
    # Photons of a white pixel.
    "shot_noise": {"small": (500, 250, 100, 75, 50), "imagenet": (60, 25, 12, 5, 3)},
    # Share of values.
    "impulse_noise": {"small": (0.01, 0.02, 0.03, 0.05, 0.07), "imagenet": (0.03, 0.06, 0.09, 0.17, 0.27)},
    # Standard deviation in a white pixel.
    "speckle_noise": {"small": (0.06, 0.1, 0.12, 0.16, 0.2), "imagenet": (0.15, 0.2, 0.35, 0.45, 0.6)},
    # Standard deviation, pixels.
    "gaussian_blur": {"small": (0.4, 0.6, 0.7, 0.8, 1), "imagenet": (1, 2, 3, 4, 6)},
    # Standard deviation of both blurs, pixels; largest offset; rounds.
    "glass_blur": {
        "small": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        "imagenet": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    },
    # Radius of the disk; standard deviation of the blur of its edge; pixels.
    "defocus_blur": {
        "small": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        "imagenet": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    },
    # Radius, standard deviation, pixels.
    "motion_blur": {
        "small": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        "imagenet": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    # Factors from 1, by steps, below the first number. Rounding puts 1.06 and 1.11 below themselves, as published.
    "zoom_blur": {
        "small": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        "imagenet": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    },
    # Thickness; how much less each finer level of the fractal varies.
    "fog": {
        "small": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        "imagenet": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
    # Variables of the image and of the frost.
    "frost": {
        "small": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        "imagenet": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    },
    # Mean and deviation of the flakes' noise, its zoom, threshold, radius and deviation of their fall, weight of the
    # image beside its whitened self.
    "snow": {
        "small": (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        "imagenet": (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    },
    # Mean, deviation and blur of the liquid's noise, its threshold; strength of water, or blur of mud; whether mud.
    "spatter": {
        "small": (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        "imagenet": (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        # Always mud.
        "mnist": (
            (0.65, 0.3, 4, 0.69, 0.6, 1),
            (0.65, 0.3, 3, 0.68, 0.6, 1),
            (0.65, 0.3, 2, 0.68, 0.5, 1),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
    },
    # Added to the value of HSV.
    "brightness": {"small": (0.05, 0.1, 0.15, 0.2, 0.3), "imagenet": (0.1, 0.2, 0.3, 0.4, 0.5)},
    "contrast": {"small": (0.75, 0.5, 0.4, 0.3, 0.15), "imagenet": (0.4, 0.3, 0.2, 0.1, 0.05)},
    # The saturation of HSV times the first plus the second: less, much less, more.
    "saturate": {
        "small": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        "imagenet": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
    # Pillow's quality.
    "jpeg_compression": {"small": (80, 65, 58, 50, 40), "imagenet": (25, 18, 15, 10, 7)},
    # Pixels left a side, as a share.
    "pixelate": {"small": (0.95, 0.9, 0.85, 0.75, 0.65), "imagenet": (0.6, 0.5, 0.4, 0.3, 0.25)},
    # Height and smoothness of the waves, reach of the random affine map: as shares of the side. ImageNet-C's are in 244
    # pixels for a side of 224.
    "elastic_transform": {
        "small": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        "imagenet": tuple(
            tuple(244 / 224 * share for share in row)
            for row in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
        "mnist": ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    },
    # Bits a value; MNIST-C's code calls it quantize.
    "posterize": {"mnist": (5, 4, 3, 2, 1)},
    # Radians.
    "shear": {"mnist": ONE_TO_ALL},
    "rotate": {"mnist": ONE_TO_ALL},
    # How large the image still is, as a share.
    "scale": {"mnist": (0.9, 0.8, 0.7, 0.6, 0.5)},
    # Shares of the side.
    "translate": {"mnist": (1 / 28, 2 / 28, 3 / 28, 4 / 28, 5 / 28)},
    # Not published: how much of what MNIST-C does at its only strength.
    "invert": {"own": ONE_TO_ALL},
    "dotted_line": {"own": ONE_TO_ALL},
    "zigzag": {"own": ONE_TO_ALL},
    "canny_edges": {"own": ONE_TO_ALL},
    # Width of each of two stripes as a share of the image's; MNIST-C has a quarter.
    "stripe": {"own": (0.05, 0.1, 0.15, 0.2, 0.25)},
    # Share of the side of the square that is hidden.
    "occlusion": {"own": (0.2, 0.25, 0.3, 0.4, 0.5)},
    # How much light is left, exponent, how much cooler, deviation of the noise.
    "night": {
        "own": (
            (0.75, 1.1, 0.2, 0.01),
            (0.65, 1.2, 0.4, 0.015),
            (0.55, 1.3, 0.6, 0.02),
            (0.45, 1.4, 0.8, 0.025),
            (0.35, 1.5, 1.0, 0.03),
        )
    },
    # How much of the colour is gone.
    "grayscale": {"own": ONE_TO_ALL},
}


class Strength(NamedTuple):
    """The constants of one corruption for images of one size.

    Attributes:
      rows: float ``[5, k]``.
      stretch: what lengths in pixels are to be multiplied by.
      kind: which constants were asked for.
    """

    rows: np.ndarray
    stretch: float
    kind: str

    def at(self, severity: jax.Array) -> list[jax.Array]:
        """The k constants at a traced severity, scalars; at 0 those of 1, whose result nobody sees."""
        row = jnp.asarray(self.rows, jnp.float32)[jnp.maximum(severity - 1, 0)]
        return [row[i] for i in range(self.rows.shape[1])]

    def choose(self, severity: jax.Array, make: Callable[..., np.ndarray]) -> jax.Array:
        """``make(*row)`` at a traced severity: made for all five beforehand."""
        tables = np.stack([make(*map(float, row)) for row in self.rows]).astype(np.float32)
        return jnp.asarray(tables)[jnp.maximum(severity - 1, 0)]


def find_strength(name: str, kind: Kind, shape: tuple[int, ...]) -> Strength:
    """Constants of a kind for images of a shape.

    Lengths in pixels are in proportion to the shorter side, but for that of CIFAR or MNIST where it is less: a blur by
    less than a pixel is none.
    """
    tables: Mapping[str, Rows] = TABLES[name]
    source = next(source for source in OTHERWISE[kind] if source in tables)
    side = SIDES[kind if source == "imagenet" else source]
    stretch = max(min(shape[:2]), min(side, SIDES["small"])) / side
    rows = np.asarray([row if isinstance(row, tuple) else (row,) for row in tables[source]], np.float64)
    return Strength(rows, stretch, kind)


def power_of_two(size: float) -> int:
    """The smallest that is no less than `size`."""
    return 1 << max(math.ceil(math.log2(size)), 0)
