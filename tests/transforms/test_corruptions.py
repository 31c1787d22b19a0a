"""Corruptions of images: what all have in common, and each against SciPy, Pillow, NumPy or a calculation by hand."""

import colorsys
import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats
from sklearn.datasets import load_digits

from jaxgen.errors import UserError
from jaxgen.hashing import draw_seeds
from jaxgen.transforms import sampling
from jaxgen.transforms.corruptions import (
    CORRUPTIONS,
    MNIST_STANDARD,
    STANDARD,
    blur,
    constants,
    corrupt,
    corrupt_in_batches,
    lines,
    liquid,
    matrices,
    noise,
    weather,
)

KEY, OTHER_KEY = jax.random.key(3), jax.random.key(4)
KEY_SEEDS = draw_seeds(KEY)
NUM_IMAGES = 10
# Published constants by which the mean change does not grow: less and then more colour; ever less of an affine map for
# ever more waves; water that becomes mud; and frost before an ever darker image.
UNEVEN = {"saturate", "elastic_transform", "spatter", "frost"}


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
cases = pytest.mark.parametrize(
    ("name", "kind"),
    [
        # By default each on small grey images or on coloured ones, by turns.
        pytest.param(name, kind, marks=[pytest.mark.slow] * (kind != ("bytes 8x8x1", "bytes 32x32x3")[place % 2]))
        for kind in IMAGES
        for place, name in enumerate(CORRUPTIONS)
    ],
)


@functools.cache
def at_all_severities(name, kind):
    """``[6, n, h, w, d]``: severities 0 to 5, each of the same draws."""
    return np.stack([corrupt_all(name, IMAGES[kind], severity) for severity in range(6)])


def corrupt_all(name, images, severity, **options):
    """As many as there are `IMAGES` of a shape, by the program that is compiled already."""
    options = {"key": KEY, **options}
    return np.asarray(corrupt(name, options.pop("key"), images, severity=np.full(NUM_IMAGES, severity), **options))


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
    tiny = images.shape[1] == 8
    assert (changes[1 + tiny :] > 0).all(), "a zoom of 6 % of 8 pixels is none"
    if name not in UNEVEN:
        # It may stand still where the kind of change differs (glass blur), and where there are few pixels to draw for.
        assert (np.diff(changes) > (-0.15 if tiny else -0.05) * changes.max()).all(), changes
        assert changes[5] > 1.3 * changes[1]


@cases
def test_an_images_draw_depends_on_the_key_and_its_place_alone(name, kind):
    images, found = IMAGES[kind], at_all_severities(name, kind)[5]
    np.testing.assert_array_equal(corrupt_all(name, images, 5), found)
    order = np.array([0, *range(NUM_IMAGES - 1, 0, -1)])
    others = corrupt_all(name, images[order], 5)
    np.testing.assert_array_equal(others[0], found[0], err_msg="whatever the other images are")
    later = corrupt_all(name, images, 5, first=NUM_IMAGES)
    another = corrupt_all(name, images, 5, key=OTHER_KEY)
    is_random = CORRUPTIONS[name].is_random
    assert (another != found).any() == is_random
    assert (later != found).any() == is_random


@cases
def test_an_array_of_severities_is_each_severity(name, kind):
    mixed = np.arange(NUM_IMAGES) % 6
    found = np.asarray(corrupt(name, KEY, IMAGES[kind], severity=mixed))
    np.testing.assert_array_equal(found, at_all_severities(name, kind)[mixed, np.arange(NUM_IMAGES)])


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "gaussian_blur", "zoom_blur", "glass_blur", "motion_blur", "rotate", "jpeg_compression"]
)
def test_a_traced_severity_is_the_concrete_one(name):
    images, found = IMAGES["bytes 8x8x1"], at_all_severities(name, "bytes 8x8x1")
    for severity in (0, 4):
        # `corrupt` traces it.
        one = np.asarray(corrupt(name, KEY, images, severity=severity))
        np.testing.assert_allclose(one.astype(int), found[severity], atol=1, err_msg="but for rounding")


def test_corruptions_can_be_jitted_and_batched():
    images = IMAGES["floats 28x28x1"]
    whole = corrupt("gaussian_noise", KEY, images, severity=2)
    direct = jax.jit(lambda level: CORRUPTIONS["gaussian_noise"](KEY, images, severity=level))(2)
    np.testing.assert_array_equal(direct, whole)
    np.testing.assert_array_equal(corrupt_in_batches("gaussian_noise", KEY, images, severity=2, batch_size=4), whole)


def test_the_standard_sets_are_known():
    assert len(STANDARD) == len(MNIST_STANDARD) == 15
    assert {*STANDARD, *MNIST_STANDARD} <= set(CORRUPTIONS)
    assert set(constants.TABLES) == set(CORRUPTIONS)
    for kind in constants.KINDS:
        for name in CORRUPTIONS:
            assert len(constants.find_strength(name, kind, (32, 32, 3)).rows) == 5


@pytest.mark.parametrize(
    ("name", "images", "options", "said"),
    [
        ("gausian_noise", np.zeros((1, 8, 8, 1)), {"severity": 1}, "gausian_noise: unknown; known: gaussian_noise, "),
        ("fog", np.zeros((1, 8, 8, 1)), {"severity": 6}, "severity 6: must be whole, from 0 to 5"),
        ("fog", np.zeros((1, 8, 8, 1)), {"severity": 1.5}, "severity 1.5: must be whole"),
        ("fog", np.zeros((3, 8, 8, 1)), {"severity": np.ones(2, int)}, "one for each of 3 images"),
        ("fog", np.zeros((5, 30)), {"severity": 1}, r"shape \(5, 30\): takes images"),
        ("fog", np.zeros((1, 3, 8, 1)), {"severity": 1}, "at least 4 pixels a side"),
        ("fog", np.zeros((1, 8, 8, 4)), {"severity": 1}, "1 or 3 channels"),
        ("fog", np.zeros((1, 8, 8, 1), int), {"severity": 1}, "int"),
        (
            "fog",
            np.zeros((1, 8, 8, 1)),
            {"severity": 1, "constants": "cifar"},
            "constants cifar: unknown",
        ),
    ],
)
def test_what_cannot_be_is_refused(name, images, options, said):
    with pytest.raises(UserError, match=said):
        corrupt(name, KEY, images, **options)


# Noise


GREY = np.full((NUM_IMAGES, 32, 32, 3), 128, np.uint8)


def test_noises_have_the_published_deviation():
    deviations = {"gaussian_noise": 0.08, "speckle_noise": 0.12 * 0.5, "shot_noise": np.sqrt(0.5 / 100)}
    for name, deviation in deviations.items():
        found = corrupt_all(name, GREY, 3) / 255
        assert found.mean() == pytest.approx(128 / 255, abs=0.003)
        assert found.std() == pytest.approx(deviation, rel=0.03)
    found = corrupt_all("impulse_noise", GREY, 5)
    np.testing.assert_allclose([(found == 0).mean(), (found == 255).mean()], 0.035, rtol=0.15)
    assert set(np.unique(found)) == {0, 128, 255}


@pytest.mark.parametrize("rate", [0.0, 0.3, 4.9, 5.1, 30.0])
def test_photons_are_poissons(rate):
    found = np.asarray(noise.draw_poisson(KEY_SEEDS, jnp.full(100_000, rate)))
    assert (found == np.round(found)).all()
    if not rate:
        assert not found.any()
        return
    assert found.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / 1e5))
    values = np.arange(int(found.max()) + 1)
    expected = 1e5 * stats.poisson.pmf(values, rate)
    counts = np.bincount(found.astype(int), minlength=len(values))
    often = expected > 20
    assert stats.chisquare(counts[often], expected[often] * counts[often].sum() / expected[often].sum()).pvalue > 1e-3


# Blurs


def test_a_gaussian_blur_is_scipys():
    image = IMAGES["floats 28x28x1"]
    found = at_all_severities("gaussian_blur", "floats 28x28x1")[4]
    expected = ndimage.gaussian_filter(image, (0, 0.8, 0.8, 0), mode="nearest", truncate=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for size, deviation in ((32, 1.0), (12, 0.4), (9, 3.0)):
        line = np.random.default_rng(0).random(size)
        for ours, theirs in (("edge", "nearest"), ("symmetric", "reflect")):
            expected = ndimage.gaussian_filter1d(line, deviation, mode=theirs)
            np.testing.assert_allclose(matrices.blur_matrix(size, deviation, border=ours) @ line, expected, atol=1e-12)


@pytest.mark.parametrize("severity", [2, 5])
def test_defocus_is_a_convolution_with_a_disk(severity):
    radius, alias = constants.TABLES["defocus_blur"]["small"][severity - 1]
    kernel = matrices.disk(radius, alias)
    image = IMAGES["bytes 32x32x3"][0].astype(np.float32) / 255
    expected = ndimage.convolve(image, kernel[:, :, None], mode="mirror")
    found = at_all_severities("defocus_blur", "bytes 32x32x3")[severity, 0]
    np.testing.assert_allclose(found, 255 * expected, atol=0.51)
    assert kernel.sum() == pytest.approx(1)


def test_a_disk_by_hand():
    plus = matrices.disk(1, 1e-3)[7:10, 7:10]
    np.testing.assert_allclose(plus, [[0, 0.2, 0], [0.2, 0.2, 0.2], [0, 0.2, 0]], atol=1e-9)
    assert matrices.disk(10, 0.5).shape == (21, 21)


@pytest.mark.parametrize("factor", [1.01, 1.06, 1.25, 2.3])
@pytest.mark.parametrize("size", [8, 32, 45])
def test_a_zoom_is_scipys(size, factor):
    line = np.random.default_rng(0).random(size)
    kept = int(np.ceil(size / factor))
    start = (size - kept) // 2
    large = ndimage.zoom(line[start : start + kept], factor, order=1)
    trim = (len(large) - size) // 2
    np.testing.assert_allclose(matrices.zoom_matrix(size, factor) @ line, large[trim : trim + size], atol=1e-9)


def test_a_zoom_blur_is_the_mean_over_zooms():
    image = IMAGES["bytes 32x32x3"][0].astype(float)
    zooms = [image]
    for factor in np.arange(1, 1.21, 0.01):
        matrix = matrices.zoom_matrix(32, factor)
        zooms.append(np.einsum("ah,bw,hwd->abd", matrix, matrix, image))
    found = at_all_severities("zoom_blur", "bytes 32x32x3")[4, 0]
    np.testing.assert_allclose(found, np.mean(zooms, 0), atol=0.52)


@pytest.mark.parametrize(("height", "width"), [(4, 5), (12, 9), (40, 30)])
def test_a_sum_of_zooms_takes_fewer_terms_and_is_the_same(height, width):
    factors = np.arange(1, 1.26, 0.01)
    pairs = [[matrices.zoom_matrix(size, factor) for factor in factors] for size in (height, width)]
    rows, columns = matrices.separate_sum(*pairs)
    image = np.random.default_rng(0).random((height, width))
    expected = sum(row @ image @ column.T for row, column in zip(*pairs, strict=True))
    np.testing.assert_allclose(sum(rows @ image @ columns.transpose(0, 2, 1)), expected, atol=2e-3)
    assert len(rows) < len(factors)


@pytest.mark.parametrize("angle", [-0.7, 0.0, 0.4, -2.0])
def test_a_motion_blur_is_a_mean_along_a_line(angle):
    image = np.random.default_rng(0).random((12, 10, 3)).astype(np.float32)
    weights = np.array([0.4, 0.3, 0.2, 0.1], np.float32)
    expected = np.zeros_like(image)
    for i, weight in enumerate(weights):
        rows = np.clip(np.arange(12) + int(np.ceil(i * np.sin(angle) - 0.5)), 0, 11)
        columns = np.clip(np.arange(10) + int(np.ceil(i * np.cos(angle) - 0.5)), 0, 9)
        expected += weight * image[rows][:, columns]
    found = blur.blur_along(jnp.asarray(image), jnp.float32(angle), jnp.asarray(weights))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_glass_moves_pixels_and_invents_none():
    image = jnp.arange(100.0).reshape(10, 10, 1)
    down, right = np.random.default_rng(0).integers(-2, 2, (2, 10, 10))
    down[:2] = right[:, :2] = 0
    down[-2:] = right[:, -2:] = 0
    found = blur.take_near(image, jnp.asarray(down), jnp.asarray(right), 2)
    rows, columns = np.mgrid[:10, :10]
    np.testing.assert_array_equal(found, image[rows + down, columns + right])


def test_with_mnists_constants_every_other_pixel_stays():
    """Without blurs, on an image whose every value is one of a kind."""
    image = jnp.asarray(np.random.default_rng(0).random((28, 28, 1)), jnp.float32)
    shares = {}
    for kind in ("imagenet", "mnist"):
        strength = constants.find_strength("glass_blur", kind, image.shape)
        # No blur, offsets up to 4, one round.
        strength = strength._replace(rows=np.array([[1e-3, 4, 1]] * 5), stretch=1.0)
        draw = jax.jit(lambda key, by=strength: blur.blur_glass(draw_seeds(key), image, jnp.int32(1), by))
        found = np.stack([draw(key) for key in jax.random.split(KEY, 20)])
        shares[kind] = (found != np.asarray(image))[:, 5:24, 5:24].mean()
    # One of 8 x 8 offsets is none.
    assert shares["imagenet"] == pytest.approx(63 / 64, abs=0.01)
    assert shares["mnist"] == pytest.approx(63 / 128, abs=0.02)


# Light and colour


def by_colorsys(image, change):
    pixels = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3).astype(float)
    ]
    return np.reshape(pixels, image.shape)


def test_brightness_and_saturation_are_those_of_hsv():
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    # Black, grey and white have no hue.
    image[0, 0, :3] = [[0, 0, 0], [0.4, 0.4, 0.4], [1, 1, 1]]
    found = corrupt("brightness", KEY, image, severity=3)
    np.testing.assert_allclose(found[0], by_colorsys(image[0], lambda h, s, v: (h, s, min(v + 0.15, 1))), atol=1e-5)
    for severity, factor, rise in ((2, 0.1, 0), (5, 2.5, 0.2)):
        found = corrupt("saturate", KEY, image, severity=severity)
        expected = by_colorsys(image[0], lambda h, s, v, f=factor, r=rise: (h, min(s * f + r, 1), v))
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_contrast_posterize_invert_and_grayscale_by_hand():
    image = np.float32([[0.0, 0.5], [0.5, 1.0]]).repeat(4, 0).repeat(4, 1)[None, :, :, None]
    found = corrupt("contrast", KEY, image, severity=2)[0, ::4, ::4, 0]
    np.testing.assert_allclose(found, [[0.25, 0.5], [0.5, 0.75]], atol=1e-6)
    ramp = np.float32([0, 0.1, 0.2, 0.4, 0.6, 0.7, 0.9, 1]).repeat(8).reshape(1, 8, 8, 1)
    found = corrupt("posterize", KEY, ramp, severity=4)[0, :, 0, 0]
    np.testing.assert_allclose(found, np.array([0, 0, 1, 1, 2, 2, 3, 3]) / 3, atol=1e-6)
    np.testing.assert_allclose(corrupt("invert", KEY, ramp, severity=5), 1 - ramp, atol=1e-6)
    np.testing.assert_allclose(corrupt("invert", KEY, ramp, severity=1), 0.2 + 0.6 * ramp, atol=1e-6)
    picture = IMAGES["bytes 32x32x3"]
    expected = [np.asarray(Image.fromarray(one).convert("L")) for one in picture]
    found = at_all_severities("grayscale", "bytes 32x32x3")[5].astype(int)
    np.testing.assert_allclose(found, np.stack(expected)[..., None].repeat(3, 3), atol=1)


def test_the_night_is_dark_and_blue():
    found = corrupt_all("night", GREY, 3).mean((0, 1, 2))
    assert found[0] < found[1] < found[2] < 100


# Weather


def test_a_plasma_fractal_fills_0_to_1_and_is_smooth():
    draw = jax.jit(jax.vmap(lambda seeds: weather.plasma(seeds, 32, jnp.float32(3))))
    maps = np.asarray(draw(jnp.uint32([[1, 0], [1, 1], [1, 2]])))
    np.testing.assert_allclose(maps.min((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(maps.max((1, 2)), 1, atol=1e-6)
    assert np.abs(np.diff(maps, axis=1)).mean() < 0.1
    assert np.abs(maps[0] - maps[1]).mean() > 0.05
    np.testing.assert_allclose(maps[:, :1] - maps[:, -1:], 0, atol=0.4, err_msg="a torus")


@pytest.mark.parametrize(("side", "depth"), [(32, 3), (28, 1)])
def test_frost_is_as_bright_and_as_even_as_its_photographs(side, depth):
    """Crops of the published ones at 32 pixels: mean 0.635, deviation between crops 0.055, within 0.058."""
    seeds = jax.random.bits(KEY, (400, 2), jnp.uint32)
    black = jnp.zeros((side, side, depth))
    # At severity 1 a fifth of the frost is added to all of the image.
    strength = constants.find_strength("frost", "small", (side, side, depth))
    add = jax.jit(jax.vmap(lambda own: weather.add_frost(own, black, jnp.int32(1), strength) / 0.2))
    frosts = np.asarray(add(seeds))
    crops = frosts.mean((1, 2, 3))
    assert crops.mean() == pytest.approx(0.635, abs=0.01)
    assert crops.std() == pytest.approx(0.055, abs=0.006)
    assert frosts.mean(3).std((1, 2)).mean() == pytest.approx(0.058, abs=0.002)
    assert (frosts >= 0).all()
    assert np.median(np.abs(np.diff(frosts.mean(3), axis=1))) < 0.058, "it is a texture, not noise"


def test_drops_have_outlines_and_distances():
    wet = np.zeros((9, 9), bool)
    wet[2:7, 2:7] = True
    outline = np.asarray(liquid.outline(jnp.asarray(wet)))
    assert outline.sum() == 16
    expected = ndimage.distance_transform_edt(~outline)
    np.testing.assert_allclose(liquid.distance_to(jnp.asarray(outline)), expected, atol=1e-5)
    levels = jnp.array([[3, 3, 4, 4], [4, 6, 6, 20]])
    np.testing.assert_array_equal(liquid.equalize(levels), np.round([[0, 0, 127.5, 127.5], [127.5, 212.5, 212.5, 255]]))
    shining = jax.jit(liquid.sheen)
    shine = np.asarray(shining(jnp.where(wet, 0.8, 0.0)))
    assert shine.max() == pytest.approx(1)
    assert not shine[~wet].any()
    assert not np.asarray(shining(jnp.zeros((9, 9)))).any()


# Files, screens, places


@pytest.mark.parametrize("name", ["bytes 8x8x1", "bytes 32x32x3"])
def test_jpeg_is_pillows(name):
    images = IMAGES[name]
    found = at_all_severities("jpeg_compression", name)[2]
    for image, one in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=65)
        np.testing.assert_array_equal(one, np.asarray(Image.open(file)).reshape(image.shape))


@pytest.mark.parametrize(("kind", "severity"), [("small", 1), ("small", 3), ("small", 5), ("imagenet", 2)])
def test_pixelation_is_pillows(kind, severity):
    share = constants.TABLES["pixelate"][kind][severity - 1]
    images = IMAGES["bytes 32x32x3"]
    found = corrupt_all("pixelate", images, severity, constants=kind)
    for image, one in zip(images, found, strict=True):
        small = Image.fromarray(image).resize((int(32 * share),) * 2, Image.Resampling.BOX)
        expected = np.asarray(small.resize((32, 32), Image.Resampling.BOX))
        np.testing.assert_allclose(one.astype(int), expected, atol=1, err_msg="Pillow rounds between its two passes")


def test_occlusion_hides_one_square():
    found = np.asarray(corrupt("occlusion", KEY, np.ones((50, 16, 12, 3), np.float32), severity=3))
    hidden = found[..., 0] == 0.5
    assert (hidden.sum((1, 2)) == 16).all(), "0.3 of 12 pixels is a side of 4"
    places = [np.argwhere(one) for one in hidden]
    assert all((place.max(0) - place.min(0) == 3).all() for place in places)
    assert len({tuple(place[0]) for place in places}) > 10


def test_stripes_are_negative():
    image = IMAGES["floats 28x28x1"]
    found = at_all_severities("stripe", "floats 28x28x1")[5]
    np.testing.assert_allclose(found[:, :, :7], 1 - image[:, :, :7], atol=1e-6)
    np.testing.assert_allclose(found[:, :, 21:], 1 - image[:, :, 21:], atol=1e-6)
    np.testing.assert_array_equal(found[:, :, 7:21], image[:, :, 7:21])


@pytest.mark.parametrize(
    ("border", "mode"), [(None, "constant"), (sampling.by_mirror, "mirror"), (sampling.by_reflection, "reflect")]
)
def test_sampling_is_scipys(border, mode):
    rng = np.random.default_rng(0)
    image = rng.random((9, 7, 2)).astype(np.float32)
    rows, columns = rng.uniform(-12, 20, (2, 6, 5)).astype(np.float32)
    found = sampling.sample(jnp.asarray(image), jnp.asarray(rows), jnp.asarray(columns), border)
    # SciPy's constant lets the border fade over one pixel in its own way only if the image is padded.
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0))) if border is None else image
    shift = 1 if border is None else 0
    for channel in range(2):
        expected = ndimage.map_coordinates(wide[..., channel], [rows + shift, columns + shift], order=1, mode=mode)
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-4)


def test_with_mnists_constants_a_warp_lets_in_black():
    """White images, of which the border is mirrored or black."""
    white = np.ones((8, 28, 28, 1), np.float32)
    for severity in (1, 2, 5):
        for kind in ("imagenet", "small"):
            found = np.asarray(corrupt("elastic_transform", KEY, white, severity=severity, constants=kind))
            np.testing.assert_allclose(found, 1, atol=1e-5)
        found = np.asarray(corrupt("elastic_transform", KEY, white, severity=severity, constants="mnist"))
        assert found[:, [0, -1]].min() < 0.9
        assert found[:, 9:19, 9:19].mean() > (0.5 if severity < 3 else 0.99)


def test_places_move_as_they_are_told():
    image = IMAGES["floats 28x28x1"]
    moved = at_all_severities("translate", "floats 28x28x1")[3]
    for one, before in zip(moved[..., 0], image[..., 0], strict=True):
        shifts = [ndimage.shift(before, (y, x), order=0) for y in (-3, 3) for x in (-3, 3)]
        assert min(np.abs(one - shift).max() for shift in shifts) < 1e-5
    turned = at_all_severities("rotate", "floats 28x28x1")[5]
    for one, before in zip(turned[..., 0], image[..., 0], strict=True):
        both = [ndimage.rotate(before, np.rad2deg(angle), order=1, reshape=False) for angle in (-1, 1)]
        # Except for the border, over which ours fades to black.
        assert min(np.median(np.abs(one - other)) for other in both) < 1e-4
    small = corrupt_all("scale", np.ones_like(image), 5)
    assert small[0].sum() == pytest.approx(14 * 14, rel=0.1)
    sheared = at_all_severities("shear", "floats 28x28x1")[1]
    np.testing.assert_allclose(sheared[:, 13:15, 13:15].mean(), image[:, 13:15, 13:15].mean(), atol=0.02)


def test_lines_and_edges_by_hand():
    blank = np.zeros_like(IMAGES["floats 28x28x1"])
    dashes = corrupt_all("dotted_line", blank, 5)[..., 0]
    seen = (dashes > 0).any(1)
    expected = (np.arange(28) // 2 % 2 == 1) & (np.arange(28) < 27)
    assert (seen == expected[None]).all(), "two columns off, two on, up to the line's end"
    assert dashes.max() > 0.9
    zigzag = corrupt_all("zigzag", blank, 5)[..., 0]
    columns = (zigzag > 0).any(1)
    assert not columns[:, :2].any()
    assert columns[:, 3:24].mean() > 0.8
    rows, columns = jnp.mgrid[:5, :8].astype(jnp.float32)
    flat = lines.line_between(rows, columns, (jnp.float32(1), jnp.float32(2)), (jnp.float32(6), jnp.float32(2)))
    assert (np.asarray(flat[2]) == [0, 1, 1, 1, 1, 1, 0, 0]).all()
    np.testing.assert_allclose(flat[1, 1:6], np.log1p(-1 / 2.3) + 1, atol=1e-5)
    square = blank.copy()
    square[:, 8:20, 8:20] = 1
    edges = corrupt_all("canny_edges", square, 5)[0, ..., 0]
    assert set(np.unique(edges)) == {0, 1}
    assert edges[12].sum() in (2, 4), "a left and a right edge"
    assert not edges[:6].any()
    assert not edges[11:17, 11:17].any()


def test_weak_edges_count_where_they_lead_to_strong_ones():
    weak = np.zeros((5, 9), bool)
    weak[1, 1:4] = weak[2, 4] = weak[3, 7] = True
    strong = np.zeros_like(weak)
    strong[1, 1] = True
    found = np.asarray(lines.link(jnp.asarray(weak), jnp.asarray(strong)))
    assert found.sum() == 4
    assert not found[3, 7]
