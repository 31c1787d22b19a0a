"""Corruptions of images: what all have in common, and each against SciPy, Pillow, NumPy or a calculation by hand."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxgen.transforms.corruptions import (
    CORRUPTIONS,
    corrupt,
)

KEY, OTHER_KEY = jax.random.key(3), jax.random.key(4)
NUM_IMAGES = 10
SEVERITIES = np.repeat(np.arange(6), NUM_IMAGES)
# Published constants by which the mean change does not grow: less and then more colour; ever less affine for ever more
# waves; and water that becomes mud.
UNEVEN = {"saturate", "elastic_transform", "spatter"}


def pictures(side, depth, seed=0):
    """Digits enlarged, in random colours on a coloured ground that is neither black nor white."""
    rng = np.random.default_rng(seed)
    digits = load_digits().images[:NUM_IMAGES] / 16
    large = np.stack([np.asarray(Image.fromarray(np.float32(one)).resize((side, side))) for one in digits])[..., None]
    ground, ink = rng.uniform(0.1, 0.4, (NUM_IMAGES, 1, 1, depth)), rng.uniform(0.5, 0.95, (NUM_IMAGES, 1, 1, depth))
    return np.float32(np.clip(ground + large * (ink - ground), 0, 1))


def to_bytes(images):
    return np.rint(255 * images).astype(np.uint8)


IMAGES = {
    "bytes 8x8x1": to_bytes(pictures(8, 1)),
    "floats 28x28x1": pictures(28, 1),
    "bytes 32x32x3": to_bytes(pictures(32, 3)),
}
cases = pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind in IMAGES for name in CORRUPTIONS])


@functools.cache
def at_all_severities(name, kind, key=3):
    """``[6, n, h, w, d]``: severities 0 to 5, in one call."""
    images = np.tile(IMAGES[kind], (6, 1, 1, 1))
    found = corrupt(name, jax.random.key(key), images, severity=SEVERITIES)
    return np.asarray(found).reshape(6, *IMAGES[kind].shape)


# What all have in common


@cases
def test_the_type_and_the_range_are_kept_and_severity_0_is_the_identity_to_the_bit(name, kind):
    images, found = IMAGES[kind], at_all_severities(name, kind)
    assert found.dtype == images.dtype
    np.testing.assert_array_equal(found[0], images)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= (255 if images.dtype == np.uint8 else 1)


@cases
def test_the_mean_change_grows_with_severity(name, kind):
    images, found = IMAGES[kind], at_all_severities(name, kind)
    changes = np.abs(found.astype(float) - images).mean((1, 2, 3, 4))
    if CORRUPTIONS[name].needs_color and images.shape[3] == 1:
        assert not changes.any(), "grey images have no colour to lose"
        return
    assert changes[1] > 0
    if name not in UNEVEN:
        assert (np.diff(changes) > -0.02 * changes.max()).all(), changes
        assert changes[5] > 1.3 * changes[1]


@cases
def test_the_same_key_gives_the_same_and_another_key_another_if_it_draws(name, kind):
    found = at_all_severities(name, kind)

    np.testing.assert_array_equal(found, at_all_severities.__wrapped__(name, kind))
    is_other = (found != at_all_severities(name, kind, key=4)).any()
    assert is_other == CORRUPTIONS[name].is_random
