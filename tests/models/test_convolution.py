"""Every convolution back-end and pool: the same values and gradients as XLA's own, alone and mapped over members."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgen.models import convolution
from jaxgen.models.convolution import BACKENDS, Geometry, convolve, extract_patches, images_at_once, same_padding
from jaxgen.models.pooling import max_pool, mean_pool

SHAPES = {
    "3x3": ((8, 8, 3), (3, 3, 3, 4), (1, 1), "same"),
    "3x3 stride 2 on odd sizes": ((9, 7, 2), (3, 3, 2, 5), (2, 2), "same"),
    "1x1": ((6, 6, 4), (1, 1, 4, 3), (1, 1), "same"),
    "1x1 stride 2": ((8, 8, 4), (1, 1, 4, 4), (2, 2), "same"),
    "5x5 valid, strides apart": ((11, 11, 3), (5, 5, 3, 4), (2, 1), ((0, 0), (0, 0))),
    "5x5 stride 3, uneven padding": ((10, 10, 3), (5, 5, 3, 4), (3, 3), ((2, 2), (2, 1))),
    "7x7 stride 2 as in ImageNet nets": ((16, 16, 3), (7, 7, 3, 8), (2, 2), ((3, 3), (3, 3))),
}


def arrays(inputs, kernel, members=3, images=4, seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    return draw(members, images, *inputs), draw(members, *kernel)


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(function, images, kernel):
    """The outputs, and both gradients for output gradients that differ everywhere."""
    outputs, pull = jax.vjp(function, images, kernel)
    gradients = jnp.cos(jnp.arange(outputs.size, dtype=jnp.float32)).reshape(outputs.shape)
    return outputs, *pull(gradients.astype(outputs.dtype))


def compute(shape, backend):
    inputs, kernel, strides, padding = SHAPES[shape]
    padding = same_padding(inputs, kernel, strides) if padding == "same" else padding
    return functools.partial(convolve, strides=strides, padding=padding, backend=backend)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_every_backend_has_the_value_and_the_gradients_of_xlas_own(shape, backend):
    images, kernels = arrays(*SHAPES[shape][:2])
    expected = value_and_gradients(compute(shape, "grouped"), images[0], kernels[0])
    for found, right in zip(value_and_gradients(compute(shape, backend), images[0], kernels[0]), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", ["3x3", "3x3 stride 2 on odd sizes", "1x1 stride 2"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_mapped_over_members_it_is_each_member_alone(shape, backend):
    images, kernels = arrays(*SHAPES[shape][:2])
    function = functools.partial(value_and_gradients, compute(shape, backend))
    together = jax.jit(jax.vmap(function))(images, kernels)
    for i in range(3):
        for found, right in zip(together, function(images[i], kernels[i]), strict=True):
            np.testing.assert_allclose(found[i], right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_members_may_share_images(backend):
    images, kernels = arrays(*SHAPES["3x3"][:2])
    shared = jax.vmap(compute("3x3", backend), (None, 0))(images[0], kernels)
    for i in range(3):
        np.testing.assert_allclose(shared[i], compute("3x3", backend)(images[0], kernels[i]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_works_within_a_loop(backend):
    images, kernels = arrays(*SHAPES["3x3"][:2])
    function = compute("3x3", backend)

    def descend(kernel):
        gradient = jax.grad(lambda kernel: jnp.mean(function(images[0], kernel) ** 2))
        return lax.fori_loop(0, 3, lambda _, kernel: kernel - 0.1 * gradient(kernel), kernel)

    expected = kernels[0]
    for _ in range(3):
        plain = lambda kernel: jnp.mean(compute("3x3", "grouped")(images[0], kernel) ** 2)  # noqa: E731
        expected = expected - 0.1 * jax.grad(plain)(expected)
    np.testing.assert_allclose(jax.jit(descend)(kernels[0]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_goes_in_and_comes_out(backend):
    images, kernels = arrays(*SHAPES["3x3"][:2])
    exact = value_and_gradients(compute("3x3", backend), images[0], kernels[0])
    half = value_and_gradients(compute("3x3", backend), images[0].astype(jnp.bfloat16), kernels[0].astype(jnp.bfloat16))
    for found, right in zip(half, exact, strict=True):
        assert found.dtype == jnp.bfloat16
        np.testing.assert_allclose(found.astype(jnp.float32), right, atol=0.05 * float(jnp.abs(right).max()))


def test_patches_by_hand():
    geometry = Geometry((3, 3, 1), (2, 2, 1, 1), (1, 1), ((0, 0), (0, 0)))
    patches = extract_patches(geometry, jnp.arange(9.0).reshape(1, 3, 3, 1))
    np.testing.assert_array_equal(patches, [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]])


def test_a_convolution_by_hand():
    images = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.array([1.0, 0.0, 0.0, -1.0]).reshape(2, 2, 1, 1)
    for backend in BACKENDS:
        outputs = convolve(images, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), backend=backend)
        np.testing.assert_array_equal(outputs[0, :, :, 0], [[-4, -4], [-4, -4]])


@pytest.mark.parametrize(
    ("size", "stride", "expected"), [(8, 1, (1, 1)), (8, 2, (0, 1)), (9, 2, (1, 1)), (2, 4, (0, 1))]
)
def test_same_padding_is_that_of_xla(size, stride, expected):
    assert same_padding((size, size), (3, 3), (stride, stride)) == (expected, expected)
    assert list(lax.padtype_to_pads((size, size), (3, 3), (stride, stride), "SAME")) == [expected, expected]


def test_chunks_divide_the_batch_and_fit_their_room(monkeypatch):
    geometry = Geometry((32, 32, 32), (3, 3, 32, 64), (1, 1), ((1, 1), (1, 1)))
    patches = 32 * 32 * 9 * 32 * 4
    for images, room, expected in ((12, 5, 4), (12, 100, 12), (7, 5, 1), (12, 0.5, 1)):
        monkeypatch.setattr(convolution, "CHUNK_BYTES", int(room * patches))
        assert images_at_once(geometry, images, 4) == expected


def test_a_geometry_knows_its_outputs_and_reads_well():
    geometry = Geometry((32, 30, 3), (3, 3, 3, 64), (2, 2), ((0, 1), (0, 1)))
    assert geometry.outputs == (16, 15, 64)
    assert str(geometry) == "32x30x3 by 3x3 to 64 stride 2x2 padding ((0, 1), (0, 1))"
    assert str(Geometry((8, 8, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)))) == "8x8x3 by 3x3 to 4"


POOLS = {
    "2x2": ((2, 2), (2, 2), ((0, 0), (0, 0))),
    "2x2 of odd sizes": ((2, 2), (2, 2), ((0, 0), (0, 0))),
    "3x3 stride 2": ((3, 3), (2, 2), ((0, 0), (0, 0))),
    "3x3 stride 2 padded": ((3, 3), (2, 2), ((1, 1), (1, 1))),
    "3x3 stride 1 padded": ((3, 3), (1, 1), ((1, 1), (1, 1))),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_max_pool_has_the_value_and_the_gradient_of_xlas_own_with_ties(name):
    window, strides, padding = POOLS[name]
    rng = np.random.default_rng(0)
    side = 9 if "odd" in name or "3x3" in name else 8
    images = jnp.asarray(rng.integers(0, 4, (3, side, side, 2)), jnp.float32)

    def xla(images):
        pads = ((0, 0), *padding, (0, 0))
        return lax.reduce_window(images, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), pads)

    for function in (jax.jit, lambda f: f):
        outputs, pull = jax.vjp(function(lambda images: max_pool(images, window, strides, padding)), images)
        expected, right_pull = jax.vjp(xla, images)
        np.testing.assert_array_equal(outputs, expected)
        gradients = jnp.cos(jnp.arange(outputs.size, dtype=jnp.float32)).reshape(outputs.shape)
        np.testing.assert_allclose(pull(gradients)[0], right_pull(gradients)[0], atol=1e-6)


def test_a_mean_pool_by_hand():
    images = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(mean_pool(images, (2, 2), (2, 2))[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    gradient = jax.grad(lambda images: mean_pool(images, (2, 2), (2, 2)).sum())(images)
    np.testing.assert_array_equal(gradient, jnp.full((1, 4, 4, 1), 0.25))
