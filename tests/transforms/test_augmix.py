"""AugMix: its operations beside Pillow's, which the authors use, and the laws of its mixture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage, stats

from jaxgen.transforms import augmix
from jaxgen.transforms.augmix import LONGEST_CHAIN, NUM_CHAINS, OPERATIONS, Operation

KEY = jax.random.key(0)
STRENGTHS = (0.35, 1.23, 2.9, 5.7, 9.9)
change = jax.jit(augmix.change_levels)
augmented = jax.jit(jax.vmap(augmix.augmix_one, (0, 0, None)))


def smooth_images(count, channels, height=24, width=32):
    """Smooth random bytes ``[count, h, w, channels]`` that do not reach black or white."""
    values = np.random.default_rng(channels).normal(size=(count, height, width, channels))
    values = ndimage.gaussian_filter(values, (0, 2, 2, 0))
    low, high = values.min((1, 2, 3), keepdims=True), values.max((1, 2, 3), keepdims=True)
    return (40 + 180 * (values - low) / (high - low)).astype(np.uint8)


def by_pillow(name, picture, strength, sign):
    """What the authors' code makes of a picture, with the width and the height for its 32 pixels."""
    width, height = picture.size

    def transform(*coefficients):
        return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)

    level = functools.partial(lambda most: int(strength * most / 10))
    shear = sign * strength * 0.3 / 10
    return {
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
        "posterize": lambda: ImageOps.posterize(picture, 4 - level(4)),
        "solarize": lambda: ImageOps.solarize(picture, 256 - level(256)),
        "rotate": lambda: picture.rotate(sign * level(30), Image.Resampling.BILINEAR),
        "shear_x": lambda: transform(1, shear, 0, 0, 1, 0),
        "shear_y": lambda: transform(1, 0, 0, shear, 1, 0),
        "translate_x": lambda: transform(1, 0, sign * level(width / 3), 0, 1, 0),
        "translate_y": lambda: transform(1, 0, 0, 0, 1, sign * level(height / 3)),
    }[name]()


def changed(name, image, strength, sign):
    operation = Operation(jnp.int32(OPERATIONS.index(name)), jnp.float32(strength), jnp.float32(sign))
    return np.asarray(change(jnp.asarray(image, jnp.float32), operation))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_pillows_but_for_a_level(name, channels):
    """Both cut results to whole levels; where one comes out just below a whole number in float32, it is one lower."""
    [image] = smooth_images(1, channels)
    for strength in STRENGTHS:
        for sign in (-1, 1):
            picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
            expected = np.asarray(by_pillow(name, picture, strength, sign), int).reshape(image.shape)
            difference = np.abs(changed(name, image, strength, sign) - expected)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_a_constant_channel_stays(name):
    [image] = smooth_images(1, 3)
    image[:, :, 1] = 77
    found = changed(name, image, 1.0, 1)
    assert (found[:, :, 1] == 77).all()
    assert (found[:, :, 0] != image[:, :, 0]).any()


def test_small_images_are_not_equalized_as_in_pillow():
    [image] = smooth_images(1, 1, 8, 8)
    np.testing.assert_array_equal(np.asarray(ImageOps.equalize(Image.fromarray(image[:, :, 0]))), image[:, :, 0])
    np.testing.assert_array_equal(changed("equalize", image, 1.0, 1), image)


def test_draws_have_the_published_distributions():
    keys = jax.random.split(KEY, 4000)
    chains = jax.tree.map(np.asarray, jax.jit(jax.vmap(augmix.draw_chains, (0, None)))(keys, 3.0))
    assert chains.operations.kind.shape == (4000, NUM_CHAINS, LONGEST_CHAIN)
    for values, kinds in ((chains.operations.kind, range(9)), (chains.lengths, (1, 2, 3))):
        found, counts = np.unique(values, return_counts=True)
        assert found.tolist() == [*kinds]
        assert stats.chisquare(counts).pvalue > 0.001
    assert stats.kstest(chains.operations.strength.ravel(), stats.uniform(0.1, 2.9).cdf).pvalue > 0.001
    assert abs(chains.operations.sign.mean()) < 5 / np.sqrt(chains.operations.sign.size)
    # Of three weights from a Dirichlet distribution of ones, each is from Beta(1, 2).
    np.testing.assert_allclose(chains.weights.sum(1), 1, rtol=1e-5)
    for weights in chains.weights.T:
        assert stats.kstest(weights, stats.beta(1, 2).cdf).pvalue > 0.001
    assert stats.kstest(chains.share, stats.uniform.cdf).pvalue > 0.001
    # Numbers of one image are independent: some of the 34 may have been cut out wrongly.
    columns = [chains.operations.kind, chains.operations.strength, chains.operations.sign, chains.lengths]
    table = np.concatenate([values.reshape(4000, -1) for values in columns] + [chains.share[:, None]], axis=1)
    assert abs(np.corrcoef(table.T)[np.triu_indices(table.shape[1], 1)]).max() < 5 / np.sqrt(4000)


def test_the_mixture_is_what_the_chains_make_one_operation_after_another():
    images = smooth_images(6, 3, 8, 10)
    keys = jax.random.split(KEY, 6)
    found = augmented(keys, jnp.asarray(images, jnp.float32) / 255, 3.0)
    for key, image, mixed in zip(keys, images.astype(float), found, strict=True):
        chains = jax.tree.map(np.asarray, augmix.draw_chains(key, 3.0))
        mixture = 0
        for chain in range(NUM_CHAINS):
            levels = image
            for place in range(chains.lengths[chain]):
                kind, strength, sign = (field[chain, place] for field in chains.operations)
                levels = changed(OPERATIONS[kind], levels, strength, sign)
            mixture = mixture + chains.weights[chain] * levels
        expected = (1 - chains.share) * image + chains.share * mixture
        np.testing.assert_allclose(np.asarray(mixed) * 255, expected, atol=0.01)


def test_mixed_images_stay_in_the_unit_interval_and_stronger_ones_differ_more():
    images = jnp.asarray(smooth_images(64, 1), jnp.float32) / 255
    keys = jax.random.split(KEY, 64)
    weak, strong = (augmented(keys, images, severity) for severity in (1.0, 10.0))
    for mixed in (weak, strong):
        assert mixed.min() >= 0
        assert mixed.max() <= 1
    assert jnp.abs(strong - images).mean() > 1.5 * jnp.abs(weak - images).mean()
