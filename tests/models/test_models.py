"""Every registered network: its size as published, its gradients, and what may and may not change its logits."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.config import ModelSpec
from jaxgen.errors import UserError
from jaxgen.models import MODELS, convolutions, make_model
from jaxgen.models.alexnet import local_response_norm
from jaxgen.models.convolution import BACKENDS
from jaxgen.models.layers import EVAL, ComputeConfig, Mode, Network
from jaxgen.models.resnet import ResidualBlock, ResNet, pad_channels

PERCEPTRONS = sorted(name for name, entry in MODELS.items() if not entry.least_side)
CONVOLUTIONAL = sorted(set(MODELS) - set(PERCEPTRONS))
EVERY_NORM = [(name, norm) for name in CONVOLUTIONAL for norm in MODELS[name].norms]
# They repeat what others are built of, and take long to compile; so do the other norms of deep networks.
LARGE = {"inception_small", "resnet20", "resnet32", "resnet18", "resnet50"}
SHALLOW = {"convnet", "alexnet_small"}


def is_slow(name, norm):
    return name in LARGE or (name not in SHALLOW and norm != MODELS[name].norms[0])


CASES = [
    pytest.param(name, norm, marks=[pytest.mark.slow] * is_slow(name, norm), id=f"{name}-{norm}")
    for name, norm in EVERY_NORM
]
# Compiled so, a network takes a third of the time to compile, and longer to run.
HASTILY = {"xla_backend_optimization_level": 0}


def make(name, shape, num_classes=5, compute=None, **spec):
    return make_model(ModelSpec(model=name, **spec), num_classes, shape, compute or ComputeConfig())


def least_shape(name, channels=3):
    side = MODELS[name].least_side
    return (side, side, channels) if side else (6,)


@functools.cache
def shapes_of(model, shape):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))


def count(model, shape):
    return sum(leaf.size for leaf in jax.tree.leaves(shapes_of(model, shape)["params"]))


def draw(model, shape):
    """Variables as `init` would draw them in size, without compiling it."""
    rng = np.random.default_rng(0)

    def leaf(path, shape):
        kind = path[-1].key
        if kind == "kernel":
            return rng.normal(0, np.prod(shape.shape[:-1]) ** -0.5, shape.shape).astype(np.float32)
        return np.full(shape.shape, kind in ("scale", "var"), np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes_of(model, shape))


def images(count, shape, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


@functools.cache
def step_with_padding(name, norm):
    """Three examples and a filler in training, twice, with another filler: [(logits, statistics, gradients)]."""
    shape = least_shape(name)
    model = make(name, shape, norm=norm)
    variables = draw(model, shape)
    present = np.arange(4) < 3

    def loss(params, stats, inputs):
        logits, updated = model.apply({"params": params, **stats}, inputs, Mode(True, present), mutable=["batch_stats"])
        return jnp.sum(jnp.where(present[:, None], logits, 0) ** 2), (logits, updated)

    stats = {kind: tree for kind, tree in variables.items() if kind != "params"}
    program = jax.jit(jax.grad(loss, has_aux=True), compiler_options=HASTILY)
    results = []
    for filler in (0.0, 1e3):
        inputs = images(4, shape)
        inputs[3] = filler
        gradients, (logits, updated) = program(variables["params"], stats, inputs)
        results.append((logits, updated, gradients))
    return stats, results


@pytest.mark.parametrize(
    ("name", "shape", "num_classes", "published"),
    [
        ("mlp1x512", (28, 28, 3), 10, 1_209_866),
        ("mlp3x512", (28, 28, 3), 10, 1_735_178),
        ("alexnet_small", (28, 28, 3), 10, 1_387_786),
        ("inception_small", (28, 28, 3), 10, 1_649_402),
        ("resnet20", (32, 32, 3), 10, 269_722),
        ("resnet32", (32, 32, 3), 10, 464_154),
        ("resnet18", (224, 224, 3), 1000, 11_689_512),
        ("resnet50", (224, 224, 3), 1000, 25_557_032),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, shape, num_classes, published):
    assert count(make(name, shape, num_classes), shape) == published


@pytest.mark.parametrize(
    ("name", "shape", "stated"),
    [
        ("linear", (28, 28, 1), 7_850),
        ("convnet", (28, 28, 1), 458_570),
        ("convnet", (32, 32, 3), 582_026),
        ("resnet9", (32, 32, 3), 6_573_130),
    ],
)
def test_networks_have_the_stated_number_of_parameters(name, shape, stated):
    assert count(make(name, shape, 10), shape) == stated


@pytest.mark.parametrize("name", ["alexnet_small", "inception_small"])
def test_norms_without_scale_and_shift_keep_the_count(name):
    assert len({count(make(name, (28, 28, 3), norm=norm), (28, 28, 3)) for norm in MODELS[name].norms}) == 1


def test_the_mnist_network_has_the_published_size():
    model = make("mlp", (28, 28, 1), 10, hidden=(512, 256))
    init = jax.jit(model.init, compiler_options=HASTILY)
    params = init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10
    np.testing.assert_allclose(params["Dense_0"]["kernel"].std(), np.sqrt(2 / (784 + 512)), rtol=0.02)
    assert not params["Dense_0"]["bias"].any()


def test_the_perceptron_draws_what_it_has_always_drawn():
    class Before(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            for size in (7, 5):
                inputs = nn.relu(nn.Dense(size, kernel_init=nn.initializers.glorot_normal())(inputs))
            return nn.Dense(3, kernel_init=nn.initializers.glorot_normal())(inputs)

    model, inputs = make("mlp", (4,), 3, hidden=(7, 5)), images(6, (4,))
    now, before = (network.init(jax.random.key(3), inputs) for network in (model, Before()))
    jax.tree.map(np.testing.assert_array_equal, now, before)
    np.testing.assert_array_equal(model.apply(now, inputs), Before().apply(before, inputs))


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_images_of_odd_sides_become_logits(name, channels):
    side = MODELS[name].least_side + 6
    model = make(name, (side, side + 1, channels))
    logits = jax.eval_shape(
        lambda inputs: model.init_with_output(jax.random.key(0), inputs)[0], jnp.zeros((2, side, side + 1, channels))
    )
    assert (logits.shape, logits.dtype) == ((2, 5), jnp.float32)


@pytest.mark.parametrize("name", PERCEPTRONS)
def test_perceptrons_take_rows_of_features(name):
    model = make(name, (6,))
    assert model.apply(draw(model, (6,)), images(4, (6,))).shape == (4, 5)


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_every_parameter_has_a_finite_gradient_on_the_smallest_images(name, norm):
    _, ((logits, _, gradients), _) = step_with_padding(name, norm)
    assert logits.shape == (4, 5)
    for leaf in jax.tree.leaves(gradients):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_what_fills_up_a_batch_changes_nothing(name, norm):
    _, (first, second) = step_with_padding(name, norm)
    np.testing.assert_allclose(first[0][:3], second[0][:3], rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first[1], second[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), first[2], second[2])


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case.values[1] == "batch"])
def test_training_moves_all_running_statistics(name, norm):
    before, ((_, after, _), _) = step_with_padding(name, norm)
    moved = jax.tree.map(lambda old, new: not np.array_equal(old, new), before, after)
    assert jax.tree.leaves(moved)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONAL if name not in LARGE])
def test_an_examination_is_of_each_example_alone(name):
    shape = least_shape(name)
    model = make(name, shape, norm="batch")
    variables = draw(model, shape)
    examine = jax.jit(model.apply, compiler_options=HASTILY)
    inputs, others = images(3, shape), images(3, shape, seed=1)
    others[1] = inputs[1]
    np.testing.assert_allclose(examine(variables, inputs)[1], examine(variables, others)[1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(examine(variables, inputs)[0], examine(variables, others)[0])


@pytest.mark.slow
def test_the_largest_network_runs():
    shape = least_shape("resnet50")
    model = make("resnet50", shape)
    logits = jax.jit(model.apply, compiler_options=HASTILY)(draw(model, shape), images(2, shape))
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", pytest.param("group", marks=pytest.mark.slow), "none"])
def test_bottlenecks_and_projections_have_finite_gradients(norm):
    model = Network(ResNet((4,), (1,), norm, ComputeConfig(), large=True, bottleneck=True), 3, ComputeConfig())
    variables, inputs = draw(model, (9, 9, 1)), images(4, (9, 9, 1))

    def loss(variables):
        logits, _ = model.apply(variables, inputs, Mode(True), mutable=["batch_stats"])
        return jnp.sum(logits**2)

    gradients = jax.tree.leaves(jax.jit(jax.grad(loss), compiler_options=HASTILY)(variables)["params"])
    assert len(gradients) > 10
    for gradient in gradients:
        assert np.isfinite(gradient).all()
    assert all(gradient.any() for gradient in gradients if gradient.ndim > 1), "every kernel is reached"


def test_without_a_norm_a_block_begins_as_its_shortcut():
    block, inputs = ResidualBlock(8, 2, "none", ComputeConfig()), np.abs(images(2, (5, 5, 4)))
    begin = jax.jit(lambda key: block.init_with_output(key, inputs, EVAL)[0], compiler_options=HASTILY)
    np.testing.assert_array_equal(begin(jax.random.key(0)), pad_channels(inputs, 2, 8))


def test_shortcuts_skip_pixels_and_add_channels_of_zeros():
    inputs = images(1, (5, 4, 2))
    outputs = pad_channels(inputs, 2, 4)
    assert outputs.shape == (1, 3, 2, 4)
    np.testing.assert_array_equal(outputs[..., 1:3], inputs[:, ::2, ::2])
    assert not outputs[..., [0, 3]].any()


def test_local_response_normalization_by_hand():
    inputs = images(2, (1, 1, 6))
    expected = np.empty_like(inputs)
    for channel in range(6):
        near = inputs[..., max(channel - 2, 0) : channel + 3]
        expected[..., channel] = inputs[..., channel] / (2 + 0.5 * (near**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(local_response_norm(inputs, radius=2, bias=2, alpha=0.5), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "alexnet_small"])
def test_dropout_at_rate_zero_changes_no_bit(name):
    shape = least_shape(name)
    model, inputs = make(name, shape), images(3, shape)
    variables, keys = draw(model, shape), jax.random.split(jax.random.key(1), 3)
    plain = model.apply(variables, inputs, Mode(True))
    np.testing.assert_array_equal(model.apply(variables, inputs, Mode(True, keys=keys, dropout=jnp.zeros(()))), plain)
    assert not np.allclose(model.apply(variables, inputs, Mode(True, keys=keys, dropout=jnp.full((), 0.5))), plain)


@pytest.mark.parametrize("name", ["mlp", "alexnet_small"])
def test_what_an_example_drops_is_its_own_keys_affair(name):
    shape = least_shape(name)
    model, inputs = make(name, shape), np.repeat(images(1, shape), 3, axis=0)
    variables, keys = draw(model, shape), jax.random.split(jax.random.key(1), 4)
    first, second = (
        model.apply(variables, inputs, Mode(True, keys=chosen, dropout=0.5))
        for chosen in (keys[:3], keys[jnp.array([0, 3, 2])])
    )
    np.testing.assert_array_equal(first[::2], second[::2])
    assert not np.allclose(first[1], second[1])
    assert not np.allclose(first[0], first[1])


@pytest.mark.parametrize("name", ["linear", "mlp", "convnet", "alexnet_small"])
def test_features_classified_are_the_logits(name):
    shape = least_shape(name)
    model, inputs = make(name, shape), images(3, shape)
    variables = draw(model, shape)
    features = model.apply(variables, inputs, method="features")
    assert features.ndim == 2
    np.testing.assert_array_equal(model.apply(variables, features, method="classify"), model.apply(variables, inputs))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_back_end_computes_the_same_network(backend):
    shape, inputs = (5, 5, 2), images(3, (5, 5, 2))
    variables = draw(make("convnet", shape), shape)
    expected = make("convnet", shape).apply(variables, inputs)
    logits = make("convnet", shape, compute=ComputeConfig(default_backend=backend)).apply(variables, inputs)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(MODELS) - LARGE))
def test_half_precision_keeps_weights_and_logits_in_single(name):
    shape = least_shape(name)
    model = make(name, shape, compute=ComputeConfig(dtype=jnp.bfloat16))
    inputs = jnp.zeros((2, *shape))
    variables = shapes_of(model, shape)

    def run(variables):
        features = model.apply(variables, inputs, method="features")
        return features, model.apply(variables, features, method="classify")

    features, logits = jax.eval_shape(run, variables)
    # Of those without a hidden layer, features are the inputs themselves.
    assert features.dtype == (jnp.float32 if name in ("linear", "scaled_linear") else jnp.bfloat16)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_convolutions_lists_each_once_in_order_of_use():
    found = convolutions(make("resnet50", (224, 224, 3)), (224, 224, 3))
    assert [str(geometry) for geometry in found[:4]] == [
        "224x224x3 by 7x7 to 64 stride 2x2",
        "56x56x64 by 1x1 to 64",
        "56x56x64 by 3x3 to 64",
        "56x56x64 by 1x1 to 256",
    ]
    assert len(set(found)) == len(found) == 23
    texts = [str(geometry) for geometry in found]
    assert "56x56x128 by 3x3 to 128 stride 2x2" in texts, "the stride of a bottleneck is in its 3x3 convolution"
    assert texts[-1] == "7x7x512 by 3x3 to 512"


def test_inception_halves_the_image_twice_and_perceptrons_convolve_nothing():
    found = convolutions(make("inception_small", (28, 28, 1)), (28, 28, 1))
    assert {geometry.outputs[0] for geometry in found} == {28, 14, 7}
    assert convolutions(make("mlp", (28, 28, 1)), (28, 28, 1)) == ()


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_images_that_are_too_small_are_refused_with_what_would_do(name):
    side = MODELS[name].least_side
    with pytest.raises(UserError) as refused:
        make(name, (side + 9, side - 1, 3))
    message = str(refused.value)
    assert message.startswith(f"--model={name}: needs images of {side}x{side} pixels or more, and these have")
    assert f"have {side + 9}x{side - 1}; take --model=" in message
    assert "mlp" in message
    assert f" {name}" not in message
    assert "\n" not in message


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_no_stride_meets_a_lone_pixel_on_the_smallest_images(name):
    shape = least_shape(name)
    geometries = convolutions(make(name, shape), shape)
    assert geometries
    for geometry in geometries:
        assert geometry.strides == (1, 1) or min(geometry.inputs[:2]) > 1


def test_rows_of_features_are_refused_by_convolutional_networks():
    with pytest.raises(UserError) as refused:
        make("convnet", (7,))
    assert str(refused.value) == (
        "--model=convnet: needs images, and these examples are rows of 7 numbers; "
        "take --model=linear, mlp, mlp1x512, mlp3x512 or scaled_linear"
    )


def test_norms_that_a_network_does_not_take_are_refused():
    said = r"^--norm=batch: --model=mlp takes only auto, none; give one of these, or --model=convnet or "
    with pytest.raises(UserError, match=said):
        make("mlp", (4,), norm="batch")


def test_unknown_models_name_the_known():
    with pytest.raises(UserError, match=r"--model=resnet9000: unknown; known: .*mlp"):
        make("resnet9000", (4,))
