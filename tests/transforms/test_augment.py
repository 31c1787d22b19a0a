"""Augmentation by hand on images of 16 numbers, and the laws: strength 0 is the identity, draws do not interfere."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxgen.keys import AugmentDraw, draw_key
from jaxgen.transforms import augment, mixing
from jaxgen.transforms.augment import AUGMENTATIONS, make_augmentation
from jaxgen.transforms.draws import draw_symmetric_beta
from jaxgen.transforms.sampling import rotation, warp

KEY = jax.random.key(0)
SQUARE = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
# Name, function, the name of its strength, a strength that shows.
CHANGES = {
    "flip": (augment.flip, "probability", 1.0),
    "crop": (augment.crop, "pixels", 3.0),
    "translate": (augment.translate, "share", 0.5),
    "rotate": (augment.rotate, "degrees", 40.0),
    "augmix": (augment.augmix, "severity", 3.0),
    "color_jitter": (augment.jitter_color, "strength", 0.4),
    "input_noise": (augment.add_noise, "stddev", 0.1),
    "cutout": (augment.cutout, "size", 2.0),
}
MIXES = {"mixup": mixing.mixup, "cutmix": mixing.cutmix}
OPTIONAL_HPARAMS = {**{name: strength for name, (_, _, strength) in CHANGES.items()}, "mixup": 1.0, "cutmix": 1.0}


@functools.cache
def jitted(name):
    """``(key, images, strength) -> images`` of one augmentation, ``(key, images, alpha, count) -> Mixed`` of a mix."""
    if name in MIXES:
        return jax.jit(lambda key, images, alpha, count: MIXES[name](key, images, alpha=alpha, count=count))
    function, hparam, _ = CHANGES[name]
    return jax.jit(lambda key, images, strength: function(key, images, **{hparam: strength}))


@functools.cache
def whole(names):
    return jax.jit(make_augmentation(frozenset(names)))


def random_images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape).astype(np.float32))


def squares(count):
    return jnp.broadcast_to(SQUARE[None, :, :, None], (count, 4, 4, 1))


def hparams(**strengths):
    return {name: jnp.float32(strengths.get(name, 0)) for name in AUGMENTATIONS}


def assert_same_bits(left, right):
    np.testing.assert_array_equal(np.asarray(left).view(np.uint32), np.asarray(right).view(np.uint32))


def assert_equally_often(counts, kinds):
    """All `kinds` occur, each within 5 standard deviations of its share."""
    total, share = sum(counts.values()), 1 / kinds
    assert len(counts) == kinds
    assert all(abs(count - total * share) < 5 * np.sqrt(total * share * (1 - share)) for count in counts.values())


def as_seen(square, down, right):
    """`square` moved down and right, zeros moved in."""
    moved = np.zeros_like(square)
    for row, column in np.ndindex(square.shape):
        if 0 <= row - down < square.shape[0] and 0 <= column - right < square.shape[1]:
            moved[row, column] = square[row - down, column - right]
    return moved


def cut(square, row, column, size):
    """`square` with a box of `size` around a pixel removed; an even one reaches further up and left."""
    square = square.copy()
    top, left = row - size // 2, column - size // 2
    square[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
    return square


def occurrences(images, kinds):
    """How often each of `kinds`, name to image, is among `images`; every image is one of them."""
    names = {kind.tobytes(): name for name, kind in kinds.items()}
    return collections.Counter(names[np.ascontiguousarray(image[:, :, 0]).tobytes()] for image in np.asarray(images))


# Strength 0


@pytest.mark.parametrize("name", CHANGES)
def test_strength_zero_is_the_identity_to_the_bit(name):
    images = random_images(8, 6, 6, 3).at[:, 0].set(-0.0).at[:, 1].set(1e30)
    assert_same_bits(jitted(name)(KEY, images, 0.0), images)
    members = jax.vmap(jitted(name), (None, None, 0))(KEY, images, jnp.array([0, CHANGES[name][2]]))
    assert_same_bits(members[0], images)
    assert (members[1] != images).any()
    np.testing.assert_allclose(members[1], jitted(name)(KEY, images, CHANGES[name][2]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXES)
def test_alpha_zero_mixes_nothing_to_the_bit(name):
    images = random_images(8, 6, 6, 3).at[:, 0].set(-0.0).at[:, 1].set(jnp.inf)
    members = jax.vmap(jitted(name), (None, None, 0, None))(KEY, images, jnp.array([0, 0.5]), 8)
    for mixed in (jitted(name)(KEY, images, 0.0, 8), jax.tree.map(lambda leaf: leaf[0], members)):
        assert_same_bits(mixed.images, images)
        np.testing.assert_array_equal(mixed.partner, np.arange(8))
        np.testing.assert_array_equal(mixed.share, np.ones(8))


# One image at a time


def test_a_flip_mirrors_left_to_right():
    np.testing.assert_array_equal(jitted("flip")(KEY, squares(1), 1.0)[0, :, :, 0], SQUARE[:, ::-1])
    counts = occurrences(jitted("flip")(KEY, squares(8000), 0.25), {"same": SQUARE, "mirrored": SQUARE[:, ::-1]})
    assert counts["mirrored"] == pytest.approx(2000, abs=5 * np.sqrt(8000 * 0.25 * 0.75))


@pytest.mark.parametrize(("pixels", "reach"), [(1, 1), (1.0, 1), (2.0, 2)])
def test_crops_are_all_shifts_equally_often_and_zeros_move_in(pixels, reach):
    shifts = {(i, j): as_seen(SQUARE, i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)}
    assert_equally_often(occurrences(jitted("crop")(KEY, squares(9000), pixels), shifts), len(shifts))


def test_a_crop_beyond_the_image_is_empty():
    shifts = {(i, j): as_seen(SQUARE, i, j) for i in range(-9, 10) for j in range(-9, 10)}
    counts = occurrences(jitted("crop")(KEY, squares(9000), 9), shifts)
    # All shifts by 4 or more look alike; 7 * 7 of 19 * 19 show something.
    assert len(counts) == 50
    assert sum(count for shift, count in counts.items() if shifts[shift].any()) == pytest.approx(
        9000 * 49 / 361, abs=160
    )


def test_translation_is_a_share_of_each_side():
    image = np.arange(1, 33, dtype=np.float32).reshape(4, 8)
    images = jnp.broadcast_to(image[None, :, :, None], (9000, 4, 8, 1))
    shifts = {(i, j): as_seen(image, i, j) for i in (-1, 0, 1) for j in (-2, -1, 0, 1, 2)}
    assert_equally_often(occurrences(jitted("translate")(KEY, images, 0.25), shifts), 15)


@pytest.mark.parametrize(("share", "side", "pixels"), [(0.1, 30, 3), (0.29, 100, 29), (0.1, 28, 3), (0.01, 28, 0)])
def test_the_largest_translation_is_the_nearest_to_the_share(share, side, pixels):
    marked = jnp.zeros((3000, side, 1, 1)).at[:, side // 2].set(1)
    moved = np.asarray(jitted("translate")(KEY, marked, share)).argmax(axis=1) - side // 2
    assert set(moved.ravel().tolist()) == set(range(-pixels, pixels + 1))


def test_angles_are_uniform_and_the_rotation_is_scipys():
    image = random_images(9, 12, 2)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(2000))
    angles = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, minval=-40.0, maxval=40.0))(keys))
    assert stats.kstest(angles, stats.uniform(-40, 80).cdf).pvalue > 0.001
    rotated = np.asarray(jitted("rotate")(KEY, jnp.broadcast_to(image[None], (2000, 9, 12, 2)), 40.0))
    for i in range(0, 2000, 100):
        expected = ndimage.rotate(np.asarray(image), angles[i], reshape=False, order=1, mode="grid-constant")
        np.testing.assert_allclose(rotated[i], expected, atol=1e-5)


def test_a_quarter_turn_is_exact():
    image = random_images(5, 5, 3)
    for turns, angle in ((1, np.pi / 2), (2, np.pi), (-1, -np.pi / 2)):
        np.testing.assert_allclose(warp(image, rotation(jnp.float32(angle))), np.rot90(image, turns), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3.0, 4])
def test_cutout_removes_a_square_around_any_pixel(size):
    boxes = {(row, column): cut(SQUARE, row, column, int(size)) for row in range(4) for column in range(4)}
    assert len({box.tobytes() for box in boxes.values()}) == 16
    assert_equally_often(occurrences(jitted("cutout")(KEY, squares(9000), size), boxes), 16)


def test_color_factors_are_uniform_and_independent():
    images = 0.3 + 0.2 * random_images(1, 3, 3, 3)
    jittered = jitted("color_jitter")(KEY, jnp.broadcast_to(images, (4000, 3, 3, 3)), 0.2)
    luma = np.array([0.299, 0.587, 0.114])
    parts = []
    for image in (np.asarray(images), np.asarray(jittered)):
        grey = image @ luma
        mean = grey.mean((1, 2))
        parts.append((mean, grey[:, 0, 0] - mean, image[:, 0, 0, 0] - grey[:, 0, 0]))
    # Brightness scales all, contrast all but the mean, saturation the distance from grey alone.
    all_three, two, one = (new / old for old, new in zip(*parts, strict=True))
    factors = np.stack([all_three, two / all_three, one / two])
    for factor in factors:
        assert stats.kstest(factor, stats.uniform(0.8, 0.4).cdf).pvalue > 0.001
    assert abs(np.corrcoef(factors)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("channels", [1, 2])
def test_without_three_channels_color_is_brightness_and_contrast(channels):
    images = 0.3 + 0.2 * random_images(50, 3, 3, channels)
    jittered = np.asarray(jitted("color_jitter")(KEY, images, 0.2))
    mean, new_mean = (np.mean(values, axis=(1, 2, 3), keepdims=True) for values in (images, jittered))
    ratios = (jittered - new_mean) / (images - mean)
    assert_same_bits(jitted("color_jitter")(KEY, images, 0.0), images)
    np.testing.assert_allclose(ratios, ratios[:, :1, :1, :1] * np.ones_like(ratios), rtol=1e-3)
    assert np.ptp(ratios[:, 0, 0, 0]) > 0.2


def test_jittered_colors_stay_in_the_unit_interval():
    jittered = jitted("color_jitter")(KEY, random_images(200, 4, 4, 3), 1.0)
    assert jittered.min() == 0
    assert jittered.max() == 1


def test_noise_is_gaussian_and_not_clipped():
    noise = np.asarray(jitted("input_noise")(KEY, jnp.zeros((40, 10, 10, 3)), 0.5))
    assert stats.kstest(noise.ravel(), stats.norm(0, 0.5).cdf).pvalue > 0.001
    assert abs(np.corrcoef(noise.reshape(40, -1))[np.triu_indices(40, 1)]).max() < 5 / np.sqrt(300)


@pytest.mark.parametrize("name", CHANGES)
def test_a_draw_depends_on_the_key_and_the_place_alone(name):
    images, strength = random_images(8, 6, 6, 3), 0.5 if name == "flip" else CHANGES[name][2]
    full = jitted(name)(KEY, images, strength)
    np.testing.assert_array_equal(jitted(name)(KEY, images, strength), full)
    np.testing.assert_array_equal(jitted(name)(KEY, images[:4], strength), full[:4])
    assert (jitted(name)(jax.random.key(1), images, strength) != full).any()
    alike = jitted(name)(KEY, jnp.broadcast_to(images[:1], (8, 6, 6, 3)), strength)
    assert len(np.unique(np.asarray(alike), axis=0)) > 1


# Mixing


@functools.cache
def many_weights(alpha, count=20_000):
    keys = jax.random.split(jax.random.key(7), count)
    return np.asarray(jax.jit(jax.vmap(draw_symmetric_beta, (0, None)))(keys, alpha))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 1.5, 8.0, 200.0])
def test_mixing_weights_are_symmetric_beta(alpha):
    weights = many_weights(alpha)
    variance = 1 / (4 * (2 * alpha + 1))
    assert weights.min() >= 0
    assert weights.max() <= 1
    # Standard errors: of a mean, and, with a kurtosis of 3 at most, of a variance.
    assert weights.mean() == pytest.approx(0.5, abs=5 * np.sqrt(variance / 20_000))
    assert weights.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / 20_000))
    # Away from the ends, which float32 rounds to 0 and 1.
    for point in (0.01, 0.2, 0.4, 0.5, 0.7, 0.95):
        below = stats.beta.cdf(point, alpha, alpha)
        assert (weights < point).mean() == pytest.approx(below, abs=1e-6 + 5 * np.sqrt(below * (1 - below) / 20_000))


def test_a_tiny_alpha_is_all_or_nothing_and_a_huge_one_half_and_half():
    tiny = many_weights(1e-6, 100)
    np.testing.assert_allclose(tiny, np.round(tiny), atol=1e-6)
    np.testing.assert_allclose(many_weights(1e12, 100), 0.5, atol=1e-5)


def test_mixup_is_a_weighted_mean_of_two_examples():
    images = random_images(6, 4, 4, 3)
    mixed = jitted("mixup")(KEY, images, 1.0, 6)
    share = float(mixed.share[0])
    assert 0 < share < 1
    np.testing.assert_array_equal(mixed.share, np.full(6, mixed.share[0]))
    shift = int(mixed.partner[0])
    np.testing.assert_array_equal(mixed.partner, (np.arange(6) + shift) % 6)
    np.testing.assert_allclose(mixed.images, share * images + (1 - share) * jnp.roll(images, -shift, 0), rtol=1e-6)


def test_mixup_takes_rows_of_features_too():
    features = random_images(6, 5)
    mixed = jitted("mixup")(KEY, features, 1.0, 6)
    expected = mixed.share[:, None] * features + (1 - mixed.share[:, None]) * features[mixed.partner]
    np.testing.assert_allclose(mixed.images, expected, rtol=1e-6)


def test_cutmix_pastes_one_box_and_says_exactly_what_it_leaves():
    images = jnp.broadcast_to(jnp.arange(6.0)[:, None, None, None], (6, 8, 5, 3))
    keys = jax.random.split(KEY, 200)
    mixed = jax.vmap(jitted("cutmix"), (0, None, None, None))(keys, images, 1.0, 6)
    shares = set()
    for result, partner, share in zip(*(np.asarray(leaf) for leaf in mixed), strict=True):
        own = result == images
        assert (own | (result == partner[:, None, None, None])).all()
        assert (own == own[:1, :, :, :1]).all()
        box = ~own[0, :, :, 0]
        assert (box == box.any(1, keepdims=True) & box.any(0, keepdims=True)).all()
        np.testing.assert_allclose(share, np.full(6, 1 - box.sum() / 40), rtol=1e-6)
        assert (partner != np.arange(6)).all() == box.any()
        shares.add(float(share[0]))
    assert min(shares) < 0.4
    assert max(shares) == 1


def test_the_box_has_the_shape_of_the_image_and_is_clipped():
    # Alpha this large makes the area one half: sides floor(8 / sqrt(2)) = 5 and floor(16 / sqrt(2)) = 11.
    images = jnp.broadcast_to(jnp.arange(2.0)[:, None, None, None], (2, 8, 16, 1))
    mixed = jax.vmap(jitted("cutmix"), (0, None, None, None))(jax.random.split(KEY, 300), images, 1e6, 2)
    boxes = np.asarray(mixed.images)[:, 0, :, :, 0] == 1
    heights, widths = boxes.any(2).sum(1), boxes.any(1).sum(1)
    # A centre on the edge leaves 3 of 5 rows and 6 of 11 columns, as 5 // 2 and 11 // 2 lie before the centre.
    assert set(heights) == {3, 4, 5}
    assert set(widths) == set(range(6, 12))
    assert boxes[:, [0, -1]].any()


@pytest.mark.parametrize("name", MIXES)
def test_padding_never_leaks_into_real_examples(name):
    images = random_images(8, 6, 6, 1).at[5:].set(jnp.nan)
    keys = jax.random.split(KEY, 2000)
    mixed = jax.vmap(jitted(name), (0, None, None, None))(keys, images, 4.0, 5)
    assert np.isfinite(mixed.images[:, :5]).all()
    assert_same_bits(mixed.images[:, 5:], jnp.broadcast_to(images[None, 5:], (2000, 3, 6, 6, 1)))
    partner = np.asarray(mixed.partner)
    np.testing.assert_array_equal(partner[:, 5:], np.tile(np.arange(5, 8), (2000, 1)))
    np.testing.assert_array_equal(mixed.share[:, 5:], 1)
    np.testing.assert_array_equal(np.sort(partner[:, :5]), np.tile(np.arange(5), (2000, 1)))
    shifted = partner[:, 0][np.asarray(mixed.share[:, 0]) < 1]
    assert_equally_often(collections.Counter(shifted.tolist()), 4)


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("count", [1, 0, -3])
def test_fewer_than_two_real_examples_are_left_alone(name, count):
    images = random_images(4, 6, 6, 3)
    mixed = jitted(name)(KEY, images, 4.0, count)
    assert_same_bits(mixed.images, images)
    np.testing.assert_array_equal(mixed.partner, np.arange(4))
    np.testing.assert_array_equal(mixed.share, np.ones(4))


# All together


def in_turn(key, images, names):
    """The named changes one after another, each with its own key."""
    for name in CHANGES:
        if name in names:
            images = jitted(name)(draw_key(key, AugmentDraw[name.upper()]), images, OPTIONAL_HPARAMS[name])
    return images


def test_augmentations_are_applied_in_order():
    images = random_images(8, 6, 6, 3)
    mixed = whole(AUGMENTATIONS)(KEY, images, hparams(**{name: OPTIONAL_HPARAMS[name] for name in CHANGES}), 8)
    np.testing.assert_allclose(mixed.images, in_turn(KEY, images, CHANGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_draws_alike_whatever_the_others_are(name):
    images = random_images(8, 6, 6, 3)
    mixed = whole(AUGMENTATIONS)(KEY, images, hparams(**{name: OPTIONAL_HPARAMS[name]}), 6)
    np.testing.assert_allclose(mixed.images, in_turn(KEY, images, {name}), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mixed.partner, np.arange(8))
    np.testing.assert_array_equal(mixed.share, np.ones(8))


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_draws_alike_whatever_the_others_are(name):
    images = random_images(8, 6, 6, 3)
    alone, beside = (whole(names)(KEY, images, hparams(**{name: 1}), 6) for names in ((name,), AUGMENTATIONS))
    assert (alone.share[:6] < 1).all()
    for left, right in zip(alone, beside, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_no_draw_of_a_recipe_depends_on_the_batch_size(size):
    images = random_images(8, 6, 6, 3)
    config, strengths = whole(("crop", "mixup")), hparams(crop=2, mixup=1)
    full, part = config(KEY, images, strengths, size), config(KEY, images[:size], strengths, size)
    for left, right in zip(full, part, strict=True):
        np.testing.assert_allclose(left[:size], right, rtol=1e-6)


def test_mixup_and_cutmix_take_turns():
    images = jnp.broadcast_to(jnp.arange(2.0)[:, None, None, None], (2, 8, 8, 1))
    run = jax.vmap(whole(("mixup", "cutmix")), (0, None, None, None))
    keys = jax.random.split(KEY, 2000)
    for strengths, expected in (((1.0, 1.0), 0.5), ((1.0, 0.0), 0), ((0.0, 1.0), 1)):
        mixed = run(keys, images, hparams(mixup=strengths[0], cutmix=strengths[1]), 2)
        # Few boxes are empty.
        assert (mixed.share < 1).all(1).mean() > 0.9
        # A box leaves whole pixels, a mean none.
        boxed = np.isin(np.asarray(mixed.images), [0, 1]).all((1, 2, 3, 4))
        assert boxed.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 2000))


def test_a_member_in_a_batch_is_the_member_alone_and_at_zero_untouched():
    images = random_images(3, 8, 6, 6, 3).at[0, :, 0].set(-0.0)
    strengths = {name: jnp.array([0, 0.5, 1]) * strength for name, strength in OPTIONAL_HPARAMS.items()}
    keys, counts = jax.random.split(KEY, 3), jnp.array([8, 8, 5])
    together = jax.vmap(whole(AUGMENTATIONS))(keys, images, strengths, counts)
    for i in range(3):
        alone = whole(AUGMENTATIONS)(keys[i], images[i], {name: s[i] for name, s in strengths.items()}, counts[i])
        np.testing.assert_array_equal(together.partner[i], alone.partner)
        np.testing.assert_allclose(together.share[i], alone.share, rtol=1e-6)
        np.testing.assert_allclose(together.images[i], alone.images, rtol=1e-5, atol=1e-6)
    assert_same_bits(together.images[0], images[0])
    np.testing.assert_array_equal(together.partner[0], np.arange(8))
    np.testing.assert_array_equal(together.share[0], np.ones(8))


def test_one_program_serves_all_strengths():
    run = jax.jit(make_augmentation(frozenset(AUGMENTATIONS)))
    for seed, strength in enumerate((0.0, 0.3, 1.0)):
        strengths = hparams(**{name: strength * full for name, full in OPTIONAL_HPARAMS.items()})
        run(jax.random.key(seed), random_images(8, 6, 6, 3), strengths, 8 - seed)
    assert run._cache_size() == 1


def test_what_is_not_named_is_not_in_the_program():
    images = random_images(4, 6, 6, 3)
    program = jax.make_jaxpr(make_augmentation(frozenset()))(KEY, images, {}, 4)
    assert "random_bits" not in str(program)
    assert_same_bits(make_augmentation(frozenset())(KEY, images, {}, 4).images, images)


def test_every_augmentation_has_a_key_of_its_own():
    assert (*CHANGES, *MIXES) == AUGMENTATIONS
    assert {name.upper() for name in AUGMENTATIONS} | {"CHOICE", "PARTNER"} == {*AugmentDraw.__members__}


def test_unknown_augmentations_are_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['mosaic'\]; known: flip, crop, .*, cutmix"):
        make_augmentation(frozenset(["flip", "mosaic"]))
