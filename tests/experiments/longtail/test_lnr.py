"""Label-noise rebalancing, long tails and classes of unequal size: published numbers, cases by hand, laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.training.losses import cross_entropy
from jaxgen.transforms import classes, lnr
from jaxgen.transforms.tails import choose_tail, tail_counts

KEY = jax.random.key(3)
# Four, two and one examples of three classes.
FEW = jnp.array([0, 0, 0, 0, 1, 1, 2])
C, N = 4, 4000
COUNTS = (2400, 1000, 400, 200)
LABELS = jnp.asarray(np.repeat(np.arange(C), COUNTS), jnp.int32)


def probabilities(count=N, num_classes=C, seed=0):
    logits = np.random.default_rng(seed).normal(0, 2, (count, num_classes))
    return jax.nn.softmax(jnp.asarray(logits, jnp.float32))


def test_a_flip_by_hand():
    # Of class 2 the examples that are not of it have p = 0.1 five times and 0.7: mean 0.2, deviation sqrt(0.3 / 6).
    third = jnp.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.7, 0.9])
    p = jnp.stack([0.8 - third * 0.8, 0.2 - third * 0.2, third], axis=1)
    z = lnr.standardize(p, FEW)
    assert float(z[5, 2]) == pytest.approx(0.5 / np.sqrt(0.05), rel=1e-5)
    rates = lnr.flip_rates(z, FEW, threshold=1.0)
    # Of class 1 to class 2: (2 - 1) / (4 - 1) of tanh(2.236 - 1).
    assert float(rates[5, 2]) == pytest.approx(np.tanh(0.5 / np.sqrt(0.05) - 1) / 3, rel=1e-5)
    assert np.count_nonzero(rates) == 1
    uniforms = jnp.full((7, 3), 0.28)
    assert lnr.accept(rates, FEW, uniforms).tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert lnr.accept(rates, FEW, uniforms + 0.01).tolist() == FEW.tolist()


def test_of_accepted_classes_the_one_of_the_largest_rate_is_taken():
    rates = jnp.array([[0, 0.2, 0.5], [0, 0.4, 0.4], [0, 0.9, 0.1], [0, 0, 0]])
    low = jnp.zeros((4, 3))
    labels = jnp.zeros(4, jnp.int32)
    # The first of two alike, and a rate of 0 is never accepted.
    assert lnr.accept(rates, labels, low).tolist() == [2, 1, 1, 0]
    # The largest is not accepted, another is.
    assert lnr.accept(rates, labels, jnp.tile(jnp.array([[0.0, 0.1, 0.6]]), (4, 1))).tolist() == [1, 1, 1, 0]


def test_weights_go_from_large_classes_to_smaller_ones_only():
    weights = lnr.flip_weights(jnp.array([5000, 1796, 50]))
    want = np.array([[0, 3204, 4950], [0, 0, 1746], [0, 0, 0]]) / 4950
    np.testing.assert_allclose(weights, want, rtol=1e-6)
    assert not lnr.flip_weights(jnp.array([7, 7, 7])).any()


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 1.2])
def test_two_classes_are_the_binary_rule(threshold):
    p = probabilities(1000, 2)
    for minority in (0, 1):
        labels = jnp.where(jnp.arange(1000) < 900, 1 - minority, minority)
        several = lnr.lnr_flip(KEY, p, labels, threshold=threshold)
        two = lnr.lnr_flip_binary(KEY, p[:, minority], labels, threshold=threshold, minority=minority)
        np.testing.assert_array_equal(several.labels, two.labels)
        np.testing.assert_allclose(several.rates, two.rates, atol=1e-6)
        # The binary rule in NumPy.
        eta = np.asarray(p[:, minority], np.float64)
        majority = np.asarray(labels) != minority
        z = (eta - eta[majority].mean()) / eta[majority].std()
        np.testing.assert_allclose(two.rates[:, minority], majority * np.maximum(np.tanh(z - threshold), 0), atol=1e-5)
        assert two.changed.any()


def test_flips_grow_with_smaller_thresholds_and_spare_the_smallest_class():
    p = probabilities()
    before = None
    for threshold in (3.0, 1.0, 0.0):
        flips = lnr.lnr_flip(KEY, p, LABELS, threshold=threshold)
        np.testing.assert_array_equal(flips.changed, flips.labels != LABELS)
        assert flips.labels.dtype == LABELS.dtype
        counts = np.asarray(lnr.count_flips(LABELS, flips.labels, C))
        assert not np.tril(counts).any(), "only to smaller classes"
        assert (flips.labels[LABELS == C - 1] == C - 1).all()
        # Examples that flip at a high threshold flip at a lower one.
        assert before is None or flips.changed[before].all()
        before = flips.changed
    assert before.any()
    assert not lnr.lnr_flip(KEY, p, LABELS, threshold=1e6).changed.any()


def test_a_traced_threshold_gives_the_concrete_ones_result():
    p = probabilities()
    mapped = jax.vmap(lambda t: lnr.lnr_flip(KEY, p, LABELS, threshold=t).labels)(jnp.array([0.5, 1.5]))
    for labels, threshold in zip(mapped, (0.5, 1.5), strict=True):
        np.testing.assert_array_equal(labels, lnr.lnr_flip(KEY, p, LABELS, threshold=threshold).labels)


def test_expected_flips_are_the_mean_of_many_draws():
    p = probabilities()
    rates = lnr.flip_rates(lnr.standardize(p, LABELS), LABELS, threshold=0.3)
    expected = np.asarray(lnr.expected_flips(rates, LABELS))

    def draw(key):
        return lnr.count_flips(LABELS, lnr.lnr_flip(key, p, LABELS, threshold=0.3).labels, C)

    drawn = np.asarray(jax.lax.map(draw, jax.random.split(KEY, 200)))
    error = drawn.std(0, ddof=1) / np.sqrt(200)
    assert (np.abs(drawn.mean(0) - expected) < 5 * np.maximum(error, 0.02)).all()
    assert expected.sum() > 100


def test_classes_in_which_nobody_stands_out_are_guarded():
    p = jnp.tile(jnp.array([[0.7, 0.2, 0.1]]), (7, 1))
    flips = lnr.lnr_flip(KEY, p, FEW, threshold=-5.0)
    assert not flips.z.any()
    assert np.isfinite(flips.rates).all()
    # A class that all examples are of has no others to be unlike.
    alone = lnr.lnr_flip(KEY, p, jnp.zeros(7, jnp.int32), threshold=0.0)
    assert np.isfinite(alone.z).all()
    # Classes of one size: nothing to rebalance.
    assert not lnr.lnr_flip(KEY, probabilities(8, 2), jnp.arange(8) % 2, threshold=-5.0).changed.any()


def test_the_control_flips_as_many_of_each_pair_and_whom_it_likes():
    flips = lnr.lnr_flip(KEY, probabilities(), LABELS, threshold=0.5)
    counts = lnr.count_flips(LABELS, flips.labels, C)
    control = lnr.flip_at_random(KEY, LABELS, counts)
    np.testing.assert_array_equal(lnr.count_flips(LABELS, control, C), counts)
    assert (control != flips.labels).any()
    other = lnr.flip_at_random(jax.random.key(4), LABELS, counts)
    assert (control != other).any()
    assert control.dtype == LABELS.dtype
    # A whole class may go.
    gone = lnr.flip_at_random(KEY, FEW, jnp.array([[0, 3, 1], [0, 0, 0], [0, 0, 0]]))
    assert np.bincount(gone, minlength=3).tolist() == [0, 5, 2]


def test_long_tails_are_those_published():
    ten = tail_counts("exp", 100, 10, 5000)
    assert ten == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert sum(ten) == 12_406
    assert [sum(tail_counts("exp", imbalance, 100, 500)) for imbalance in (100, 50, 10)] == [10_847, 12_608, 19_573]
    assert tail_counts("step", 10, 5, 70) == [70, 70, 7, 7, 7]
    assert tail_counts("exp", 1, 3, 9) == [9, 9, 9]


def test_a_tail_keeps_so_many_of_each_class_and_smaller_ones_are_parts_of_larger():
    kept = choose_tail(KEY, LABELS, jnp.array([300, 100, 30, 10]))
    assert np.bincount(LABELS[kept]).tolist() == [300, 100, 30, 10]
    fewer = choose_tail(KEY, LABELS, jnp.array([200, 100, 20, 1]))
    assert not (fewer & ~kept).any()
    assert (choose_tail(jax.random.key(4), LABELS, jnp.array([300, 100, 30, 10])) != kept).any()


@pytest.mark.parametrize("shape", classes.SHAPES)
def test_smoothing_ends_at_head_and_tail(shape):
    found = classes.smooth_by_class(jnp.array([30, 20, 10]), head=0.3, tail=0.05, shape=shape)
    assert float(found[0]) == pytest.approx(0.3, abs=1e-6)
    assert float(found[2]) == pytest.approx(0.05, abs=1e-6)
    # Half-way: a quarter of sin 45 degrees above the tail, the middle, and as much below the head.
    halfway = {"concave": 0.226777, "linear": 0.175, "convex": 0.123223}
    assert float(found[1]) == pytest.approx(halfway[shape], abs=1e-5)
    np.testing.assert_allclose(
        classes.smooth_by_class(jnp.array([7, 7]), head=0.3, tail=0.05, shape=shape), 0.3, rtol=1e-6
    )


def test_the_papers_smoothing_is_the_codes_of_another_strength():
    logits, labels, eps = jnp.array([[1.0, -1.0, 0.5, 2.0]]), jnp.array([2]), 0.3
    logs = np.asarray(jax.nn.log_softmax(logits))[0]
    paper = -(1 - eps) * logs[2] - eps / 3 * (logs.sum() - logs[2])
    found = cross_entropy(logits, labels, classes.spread_over_others(eps, 4))
    assert float(found[0]) == pytest.approx(paper, rel=1e-5)
    code = -(1 - eps) * logs[2] - eps * logs.mean()
    assert float(cross_entropy(logits, labels, eps)[0]) == pytest.approx(code, rel=1e-5)


def test_weights_of_classes():
    counts = jnp.array([900, 90, 10])
    inverse = classes.inverse_weights(counts)
    np.testing.assert_allclose(inverse * counts, np.full(3, 1000 / 3), rtol=1e-6)
    np.testing.assert_allclose(classes.inverse_weights(jnp.array([4, 0, 4])), [1, 0, 1])
    # Of one and two examples, at beta 1/2: (1/2) / (1 - 1/2) and (1/2) / (1 - 1/4), brought to a mean of 1.
    np.testing.assert_allclose(classes.effective_weights(jnp.array([1, 2]), 0.5), [1.2, 0.8], rtol=1e-5)
    np.testing.assert_allclose(classes.effective_weights(counts, 0.0), 1)
    np.testing.assert_allclose(classes.log_prior(counts), np.log([0.9, 0.09, 0.01]), rtol=1e-5)
    assert np.isfinite(classes.log_prior(jnp.array([5, 0]))).all()


def test_remix_by_hand():
    counts = jnp.array([90.0, 30.0, 29.0, 10.0])
    # Of 90 against 30 (three times), 90 against 29, 30 against 90, 10 against 30, 29 against 10 (less than three).
    own, partner = jnp.array([0, 0, 1, 3, 2, 0]), jnp.array([1, 2, 0, 1, 3, 0])

    def remixed(share, **bounds):
        return classes.remix_share(jnp.full(6, share), counts[own], counts[partner], **bounds).tolist()

    # Below a half, the label of the rare partner; above it, the own one if it is the rare one.
    assert remixed(0.25) == [0, 0, 0.25, 0.25, 0.25, 0.25]
    assert remixed(0.75) == [0.75, 0.75, 1, 1, 0.75, 0.75]
    assert remixed(0.5) == [0.5] * 6
    assert remixed(0.25, kappa=2.5) == [0, 0, 0.25, 0.25, 0, 0.25]
    assert remixed(0.625, tau=0.75) == [0, 0, 1, 1, 0.625, 0.625]


def test_remix_without_a_bound_is_mixup_and_swapping_partners_swaps_shares():
    rng = np.random.default_rng(0)
    shares = jnp.asarray(rng.random(200), jnp.float32)
    own, partner = (jnp.asarray(rng.integers(1, 100, 200), jnp.float32) for _ in range(2))
    np.testing.assert_array_equal(classes.remix_share(shares, own, partner, kappa=jnp.inf), shares)
    swapped = classes.remix_share(1 - shares, partner, own)
    np.testing.assert_allclose(1 - classes.remix_share(shares, own, partner), swapped, atol=1e-6)
    assert (classes.remix_share(shares, own, own) == shares).all()
    # No label of the rare class ever counts for less.
    rarer = own < partner
    assert (classes.remix_share(shares, own, partner) >= shares)[rarer].all()
