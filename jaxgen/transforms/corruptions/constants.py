"""Constants of the corruptions, five rows each for severities 1 to 5, and their sources.

``small`` and ``imagenet``: D. Hendrycks, T. Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations, ICLR 2019, https://arxiv.org/abs/1903.12261, with the constants of the code for CIFAR-10-C (32x32
pixels) and ImageNet-C (224x224), https://github.com/hendrycks/robustness. ``mnist``: N. Mu, J. Gilmer, MNIST-C: A
Robustness Benchmark for Computer Vision, 2019, https://arxiv.org/abs/1906.02337, with the constants of
https://github.com/google-research/mnist-c (28x28 pixels); MNIST-C itself has one severity of each. ``own``: chosen
here, not published.
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
# For each kind, which tables are tried, in this order. MNIST-C uses most constants of ImageNet-C, in unscaled pixels.
OTHERWISE = {
    "small": ("small", "mnist", "own"),
    "imagenet": ("imagenet", "mnist", "own"),
    "mnist": ("mnist", "imagenet", "own"),
}
NUM_SEVERITIES = 5
ONE_TO_ALL = (0.2, 0.4, 0.6, 0.8, 1.0)

Rows = tuple[float | tuple[float, ...], ...]
TABLES: dict[str, dict[str, Rows]] = {
    # Standard deviation of the noise.
    "gaussian_noise": {"small": (0.04, 0.06, 0.08, 0.09, 0.10), "imagenet": (0.08, 0.12, 0.18, 0.26, 0.38)},
    # Photons of a white pixel.
    "shot_noise": {"small": (500, 250, 100, 75, 50), "imagenet": (60, 25, 12, 5, 3)},
    # Fraction of values replaced.
    "impulse_noise": {"small": (0.01, 0.02, 0.03, 0.05, 0.07), "imagenet": (0.03, 0.06, 0.09, 0.17, 0.27)},
    # Standard deviation of the noise in a white pixel.
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
    # Upper bound and step of the factors, which start at 1. By rounding the bounds 1.06 and 1.11 are included, as in
    # the published code.
    "zoom_blur": {
        "small": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        "imagenet": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    },
    # Density; decay of the amplitude from one level of the fractal to the next finer one.
    "fog": {
        "small": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        "imagenet": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
    # Weights of the image and of the frost.
    "frost": {
        "small": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        "imagenet": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    },
    # Mean and standard deviation of the noise that makes flakes, its zoom and threshold; radius and standard deviation
    # of the motion blur; weight of the image against its whitened version.
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
    # Mean, standard deviation and blur of the noise that makes drops, its threshold; intensity of water, or blur of
    # mud; whether it is mud.
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
    # Factor of the saturation of HSV, and addend.
    "saturate": {
        "small": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        "imagenet": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
    # Pillow's quality.
    "jpeg_compression": {"small": (80, 65, 58, 50, 40), "imagenet": (25, 18, 15, 10, 7)},
    # Size of the reduced image, as a fraction.
    "pixelate": {"small": (0.95, 0.9, 0.85, 0.75, 0.65), "imagenet": (0.6, 0.5, 0.4, 0.3, 0.25)},
    # Amplitude and smoothness of the displacements, and largest shift of the random affine map, as fractions of the
    # side. ImageNet-C defines them for 244 pixels, but its images have 224.
    "elastic_transform": {
        "small": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        "imagenet": tuple(
            tuple(244 / 224 * share for share in row)
            for row in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
        "mnist": ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    },
    # Bits per value; called quantize in the code of MNIST-C.
    "posterize": {"mnist": (5, 4, 3, 2, 1)},
    # Radians.
    "shear": {"mnist": ONE_TO_ALL},
    "rotate": {"mnist": ONE_TO_ALL},
    # Size of the shrunk image, as a fraction.
    "scale": {"mnist": (0.9, 0.8, 0.7, 0.6, 0.5)},
    # Shift, as a fraction of the side.
    "translate": {"mnist": (1 / 28, 2 / 28, 3 / 28, 4 / 28, 5 / 28)},
    # Fraction of the effect that MNIST-C has at its single severity.
    "invert": {"own": ONE_TO_ALL},
    "dotted_line": {"own": ONE_TO_ALL},
    "zigzag": {"own": ONE_TO_ALL},
    "canny_edges": {"own": ONE_TO_ALL},
    # Width of each of two stripes, as a fraction of the image width; a quarter in MNIST-C.
    "stripe": {"own": (0.05, 0.1, 0.15, 0.2, 0.25)},
    # Side of the occluded square, as a fraction.
    "occlusion": {"own": (0.2, 0.25, 0.3, 0.4, 0.5)},
    # Brightness factor, exponent, strength of the cool tint, standard deviation of the noise.
    "night": {
        "own": (
            (0.75, 1.1, 0.2, 0.01),
            (0.65, 1.2, 0.4, 0.015),
            (0.55, 1.3, 0.6, 0.02),
            (0.45, 1.4, 0.8, 0.025),
            (0.35, 1.5, 1.0, 0.03),
        )
    },
    # Fraction of the colour removed.
    "grayscale": {"own": ONE_TO_ALL},
}


class Strength(NamedTuple):
    """The constants of a corruption for images of one size.

    Attributes:
      rows: float ``[5, k]``, a row for each severity.
      stretch: factor for lengths in pixels.
      kind: the requested kind of constants.
    """

    rows: np.ndarray
    stretch: float
    kind: str

    def at(self, severity: jax.Array) -> list[jax.Array]:
        """The k constants of a traced severity, as scalars; those of 1 for severity 0, whose result is discarded."""
        row = jnp.asarray(self.rows, jnp.float32)[jnp.maximum(severity - 1, 0)]
        return [row[i] for i in range(self.rows.shape[1])]

    def choose(self, severity: jax.Array, make: Callable[..., np.ndarray]) -> jax.Array:
        """``make(*row)`` for a traced severity, computed in advance for all five rows."""
        tables = np.stack([make(*map(float, row)) for row in self.rows]).astype(np.float32)
        return jnp.asarray(tables)[jnp.maximum(severity - 1, 0)]


def find_strength(name: str, kind: Kind, shape: tuple[int, ...]) -> Strength:
    """The constants of corruption `name` for images of a shape (h, w, d).

    Lengths in pixels scale with the shorter side, but not below the size of CIFAR or MNIST images, because a blur by
    less than a pixel has no effect.
    """
    tables: Mapping[str, Rows] = TABLES[name]
    source = next(source for source in OTHERWISE[kind] if source in tables)
    side = SIDES[kind if source == "imagenet" else source]
    stretch = max(min(shape[:2]), min(side, SIDES["small"])) / side
    rows = np.asarray([row if isinstance(row, tuple) else (row,) for row in tables[source]], np.float64)
    return Strength(rows, stretch, kind)


def power_of_two(size: float) -> int:
    """The smallest power of two that is at least `size`."""
    return 1 << max(math.ceil(math.log2(size)), 0)
