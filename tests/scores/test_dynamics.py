"""Scores of training dynamics: from hand-made logits over epochs by plain loops, and their laws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.scores import designs, dynamics, pooled
from jaxgen.scores.example_stats import CURVE_STEPS, NUM_COLUMNS, TrackingConfig, update_stats
from jaxgen.types import TRACKED
from support.outcomes import EXAMPLES, ensembles, estimate, outcome

EPOCHS, CLASSES = 6, 4
TRACK = TrackingConfig(early=2, examined=(1, 3), curve=(1, 3, 6), probabilities=True)
DESIGN = np.array([2, 1, 3, 0, 1, 3, 6])


def by_loops(logits, labels):
    """The scores of one run's visits ``logits [e, n, c]``, one example and epoch after the other."""
    found = {name: [] for name in ("csl", "aum", "confidence", "variability", "correctness", "forgetting")}
    found |= {"first_learned": [], "el2n": []}
    for i, label in enumerate(labels):
        losses, margins, shares, right, errors = [], [], [], [], []
        for epoch in range(len(logits)):
            own = logits[epoch, i].astype(np.float64)
            share = np.exp(own) / np.exp(own).sum()
            losses.append(-np.log(share[label]))
            margins.append(own[label] - max(own[k] for k in range(CLASSES) if k != label))
            shares.append(share[label])
            right.append(int(np.argmax(own) == label))
            errors.append(np.linalg.norm(share - np.eye(CLASSES)[label]))
        lost = sum(a and not b for a, b in itertools.pairwise(right))
        found["csl"].append(sum(losses))
        found["aum"].append(np.mean(margins))
        found["confidence"].append(np.mean(shares))
        found["variability"].append(np.std(shares))
        found["correctness"].append(sum(right))
        found["forgetting"].append(lost if any(right) else len(right))
        found["first_learned"].append(right.index(1) + 1 if any(right) else len(right) + 1)
        found["el2n"].append(errors[TRACK.early - 1])
    return {name: np.array(values) for name, values in found.items()}


def as_kept(rows, visits):
    """Rows ``[n, a]`` of visits as a run's arrays in the store, without their rounding."""
    mean = rows[:, 2] / visits
    kept = {
        "loss": rows[:, 0],
        "margin": rows[:, 1] / visits,
        "confidence": mean,
        "variability": np.sqrt(np.maximum(rows[:, 3] / visits - mean**2, 0)) * 510,
        "error": rows[:, 4] * 180,
        "right": rows[:, 5],
        "forgotten": rows[:, 6],
        "first": rows[:, 7],
        "final": np.zeros(len(rows)),
        "looks": np.array([visits, 3]),
        "design": DESIGN,
        "curve": rows[:, NUM_COLUMNS:],
    }
    return {f"{TRACKED}{name}": np.asarray(array)[None] for name, array in kept.items()}


def test_scores_of_hand_made_logits_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (EPOCHS, 8, CLASSES)).astype(np.float32)
    labels = np.arange(8) % CLASSES
    # One is always right, one never.
    logits[:, 0, labels[0]] += 20
    logits[:, 1, labels[1]] -= 20
    rows = jnp.zeros((8, TRACK.num_columns))
    for epoch in range(1, EPOCHS + 1):
        now = {"observation": jnp.int32(epoch), "epoch": jnp.int32(epoch), "early": epoch == TRACK.early}
        rows = update_stats(TRACK, rows, jnp.asarray(logits[epoch - 1]), jnp.asarray(labels), **now)
    run = outcome(np.ones((1, 8)), np.ones((1, 8)))._replace(measures=as_kept(np.asarray(rows), EPOCHS))
    scores, expected = dynamics.run_scores(run, 8), by_loops(logits, labels)
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name].values[0], values, rtol=1e-5, atol=1e-3, err_msg=name)
        assert scores[name].observed.all()
    np.testing.assert_allclose(scores["learning_speed"].values[0], expected["correctness"] / EPOCHS, rtol=1e-6)
    assert expected["forgetting"][:2].tolist() == [0, EPOCHS]
    assert expected["first_learned"][:2].tolist() == [1, EPOCHS + 1]
    codes = np.asarray(rows)[:, NUM_COLUMNS:]
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for place, epoch in enumerate(TRACK.curve):
        np.testing.assert_array_equal(codes[:, place] >= 128, logits[epoch - 1].argmax(-1) == labels)
        wanted = shares[epoch - 1][np.arange(8), labels]
        np.testing.assert_allclose(codes[:, place] % 128 / CURVE_STEPS, wanted, atol=0.5 / CURVE_STEPS + 1e-6)


def tracked(seed, ratios, runs, design="independent"):
    """Ensembles with random numbers for what was tracked of every run."""
    outcomes, _ = ensembles(seed, ratios, runs, design=design)
    rng = np.random.default_rng(seed + 1)
    # A run has a level of its own, so that runs of a block and of one number are alike.
    numbers = {name: rng.normal(3, 1, (len(ratios), runs, EXAMPLES)) for name in ("loss", "margin", "confidence")}
    found = []
    for i, each in enumerate(outcomes):
        share = rng.dirichlet(np.ones(CLASSES), (runs, EXAMPLES))
        kept = {
            **{name: values[i] for name, values in numbers.items()},
            "variability": rng.integers(0, 255, (runs, EXAMPLES)),
            "error": rng.integers(0, 255, (runs, EXAMPLES)),
            "right": rng.integers(0, EPOCHS, (runs, EXAMPLES)),
            "forgotten": rng.integers(0, 3, (runs, EXAMPLES)),
            "first": rng.integers(0, EPOCHS, (runs, EXAMPLES)),
            "final": share[:, :, 0],
            "probabilities": np.round(255 * share).astype(np.uint8),
            "curve": rng.integers(0, CURVE_STEPS + 1, (runs, EXAMPLES, 3)) + 128 * rng.integers(0, 2, (runs, 1, 3)),
            "looks": np.tile([EPOCHS, 3], (runs, 1)),
            "design": np.tile(DESIGN, (runs, 1)),
        }
        found.append(each._replace(measures={f"{TRACKED}{name}": array for name, array in kept.items()}))
    return found


def stream(outcomes, batch=7):
    def runs(i):
        for at in range(0, len(outcomes[i].finite), batch):
            yield jax.tree.map(lambda field, at=at: field[at : at + batch], outcomes[i])

    return runs


def test_a_score_is_the_mean_over_ratios_of_the_mean_over_runs():
    outcomes = tracked(0, [0.3, 0.7], 30)
    outcomes[1] = outcomes[1]._replace(finite=np.arange(30) != 4)
    found = dynamics.estimate(stream(outcomes), EXAMPLES, [1, 1], shared_blocks=False)
    for name, kept, trained in (("csl", "loss", 1), ("aum", "margin", 1), ("heldout_aum", "margin", 0)):
        means, errors = [], []
        for each in outcomes:
            mask = np.unpackbits(each.trained_on, axis=1).astype(bool) == trained
            values = np.where(mask & each.finite[:, None], each.measures[f"{TRACKED}{kept}"], np.nan)
            means.append(np.nanmean(values, axis=0))
            errors.append(np.nanvar(values, axis=0, ddof=1) / np.isfinite(values).sum(0))
        np.testing.assert_allclose(found[name], np.mean(means, axis=0), rtol=1e-5)
        np.testing.assert_allclose(found[f"{name}_stderr"], np.sqrt(np.sum(errors, axis=0)) / 2, rtol=1e-4)


def test_the_hard_form_of_the_soft_score_is_the_c_score():
    for design, block in (("independent", 1), ("balanced", 10)):
        outcomes = tracked(1, [0.3, 0.7], 40, design)
        bits = [np.unpackbits(each.correct, axis=1).astype(np.float32) for each in outcomes]
        outcomes = [
            each._replace(measures={**each.measures, f"{TRACKED}final": hits})
            for each, hits in zip(outcomes, bits, strict=True)
        ]
        found = dynamics.estimate(stream(outcomes), EXAMPLES, [block] * 2, shared_blocks=False)
        scores = estimate([each._replace(measures={}) for each in outcomes], [block] * 2)
        np.testing.assert_allclose(found["soft_score"], scores.scores, rtol=1e-6)
        np.testing.assert_allclose(found["soft_score_stderr"], scores.stderr, rtol=1e-5)


def test_permuting_examples_permutes_all_scores_and_batches_change_none():
    outcomes, order = tracked(2, [0.5], 20, "balanced"), np.random.default_rng(0).permutation(EXAMPLES)
    per_run = {f"{TRACKED}looks", f"{TRACKED}design"}
    moved = [
        outcome(*(np.unpackbits(bits, axis=1)[:, order] for bits in (each.trained_on, each.correct)))._replace(
            measures={name: a if name in per_run else a[:, order] for name, a in each.measures.items()}
        )
        for each in outcomes
    ]
    before, after = (dynamics.estimate(stream(each), EXAMPLES, [2], shared_blocks=False) for each in (outcomes, moved))
    whole = dynamics.estimate(stream(outcomes, 20), EXAMPLES, [2], shared_blocks=False)
    for name, values in before.items():
        np.testing.assert_allclose(values[order], after[name], rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(values, whole[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "ratios", "number"),
    [
        ("balanced", [0.5, 0.7], 30),
        ("nested", [0.5, 0.7], 30),
        pytest.param("nested", [0.2, 0.5, 0.85], 20, marks=pytest.mark.slow),
    ],
)
def test_errors_over_blocks_are_the_spread_between_ensembles(design, ratios, number):
    """Also where one of the ratios has few observations, of a nested design."""
    blocks, shared = [designs.block_size(design, ratio) for ratio in ratios], design == "nested"
    found = [
        dynamics.estimate(stream(tracked(seed, ratios, number, design), number), EXAMPLES, blocks, shared_blocks=shared)
        for seed in range(60)
    ]
    for name in ("csl", "soft_score"):
        claimed = np.nanmean([each[f"{name}_stderr"].astype(float) ** 2 for each in found])
        spread = np.nanmean(np.nanvar([each[name] for each in found], axis=0, ddof=1))
        # Over 60 ensembles of 16 examples the ratio's own standard deviation is about 0.05.
        assert 0.85 < claimed / spread < 1.2


def test_never_held_out_is_nan_in_all_that_is_held_out_and_in_nothing_else():
    [each] = tracked(3, [0.5], 10)
    masks = np.unpackbits(each.trained_on, axis=1)
    masks[:, 0], masks[:, 1] = 1, 0
    each = each._replace(trained_on=np.packbits(masks, axis=1))
    found = dynamics.estimate(stream([each]), EXAMPLES, [1], shared_blocks=False)
    heldout = {name for name in found if name.startswith(("heldout", "soft")) and not name.endswith("stderr")}
    assert all(np.isnan(found[name][0]) and np.isfinite(found[name][1]) for name in heldout)
    trained = {"csl", "aum", "el2n", "forgetting", "learning_confidence"}
    assert all(np.isfinite(found[name][0]) and np.isnan(found[name][1]) for name in trained)
    probabilities = pooled.mean_probabilities(stream([each]), EXAMPLES, 1, CLASSES)
    assert np.isnan(probabilities[0]).all()
    np.testing.assert_allclose(probabilities[1:].sum(1), 1, rtol=1e-5)
    curves = pooled.curves(stream([each]), EXAMPLES, 1, TRACK.curve)
    assert np.isnan(curves["curve_correct"][1, :, 0]).all()
    assert np.isnan(curves["curve_correct"][0, :, 1]).all()
    assert curves["curve_counts"][:, 0].tolist() == [10, 0]


def test_mean_probabilities_and_curves_are_those_of_plain_loops():
    outcomes = tracked(4, [0.3, 0.7], 20)
    # One run was over after the third epoch.
    outcomes[0].measures[f"{TRACKED}looks"][2] = 3, 3
    probabilities = pooled.mean_probabilities(stream(outcomes), EXAMPLES, 2, CLASSES)
    curves = pooled.curves(stream(outcomes), EXAMPLES, 2, TRACK.curve)
    masks = [np.unpackbits(each.trained_on, axis=1).astype(bool) for each in outcomes]
    for i in range(EXAMPLES):
        means = []
        for each, mask in zip(outcomes, masks, strict=True):
            mean = each.measures[f"{TRACKED}probabilities"][~mask[:, i], i].astype(float).mean(0)
            means.append(mean / mean.sum())
        np.testing.assert_allclose(probabilities[i], np.mean(means, axis=0), rtol=1e-5)
        for kind in (0, 1):
            for place, epoch in enumerate(TRACK.curve):
                codes = [
                    each.measures[f"{TRACKED}curve"][r, i, place]
                    for each, mask in zip(outcomes, masks, strict=True)
                    for r in range(20)
                    # The end of its training is the last point of a run's held-out curve.
                    if mask[r, i] == (kind == 0)
                    and (epoch <= each.measures[f"{TRACKED}looks"][r, 0] or (kind == 1 and epoch == 6))
                ]
                wanted = np.mean([code >= 128 for code in codes]), np.mean([code % 128 / CURVE_STEPS for code in codes])
                got = curves["curve_correct"][kind, place, i], curves["curve_confidence"][kind, place, i]
                np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=1e-3)


def test_what_a_run_stopped_before_it_does_not_tell_of():
    [each] = tracked(5, [0.5], 10)
    each.measures[f"{TRACKED}looks"][:] = 1, 2
    found = dynamics.estimate(stream([each]), EXAMPLES, [1], shared_blocks=False)
    assert np.isnan(found["el2n"]).all()
    assert np.isfinite(found["csl"]).all()
    assert np.isfinite(found["heldout_el2n"]).all(), "the examination after epoch 1 is the nearest to the early epoch"
