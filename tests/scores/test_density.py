"""Kernel densities against plain loops, outlier factors by hand, and their laws."""

import types

import numpy as np
import pytest

from jaxgen import UserError, estimate_scores
from jaxgen.config import CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.experiments.cscore import density as density_module
from jaxgen.jobs.program import make_programs
from jaxgen.scores import density, outlier_factor
from jaxgen.scores.registry import HIGH, REGISTRY
from support.data import blobs


def by_loops(points, labels):
    """The three densities by two loops over examples."""
    count = len(points)
    distances = np.array([[np.linalg.norm(a - b) for b in points] for a in points])
    width = distances.sum() / (count * (count - 1)) / 2
    found = np.zeros((3, count))
    for i in range(count):
        for j in set(range(count)) - {i}:
            near, same = np.exp(-(distances[i, j] ** 2) / width**2), labels[i] == labels[j]
            found[:, i] += near, same * near, (2 * same - 1) * near
    return found / (count - 1)


def test_densities_of_three_points_by_hand():
    """At 0, 1 and 3 they are 1, 3 and 2 apart; half the mean distance is 1."""
    near, middle, far = np.exp(-1), np.exp(-4), np.exp(-9)
    found = density.kernel_density(np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(found.density, [(near + far) / 2, (near + middle) / 2, (far + middle) / 2], rtol=1e-4)
    np.testing.assert_allclose(found.density_class, [near / 2, near / 2, 0], rtol=1e-4)
    signed = [(near - far) / 2, (near - middle) / 2, -(far + middle) / 2]
    np.testing.assert_allclose(found.density_signed, signed, rtol=1e-4)


def test_densities_are_those_of_plain_loops(monkeypatch):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(23, 4)).astype(np.float32), np.arange(23) % 3
    expected = by_loops(points.astype(np.float64), labels)
    np.testing.assert_allclose(np.stack(density.kernel_density(points, labels, 3)), expected, rtol=1e-4, atol=1e-6)
    # In blocks of five rows, the last one short.
    monkeypatch.setattr(density, "AT_ONCE", 5 * 23)
    np.testing.assert_allclose(np.stack(density.kernel_density(points, labels, 3)), expected, rtol=1e-4, atol=1e-6)


def test_permuting_and_scaling_examples_change_nothing_else():
    rng = np.random.default_rng(1)
    points, labels, order = rng.normal(size=(30, 3)), np.arange(30) % 2, rng.permutation(30)
    plain = np.stack(density.kernel_density(points, labels, 2))
    np.testing.assert_allclose(
        plain[:, order], np.stack(density.kernel_density(points[order], labels[order], 2)), rtol=1e-4
    )
    np.testing.assert_allclose(plain, np.stack(density.kernel_density(100 * points, labels, 2)), rtol=1e-3)


def test_a_far_example_is_in_no_density_and_equal_ones_are_in_the_highest():
    points = np.zeros((10, 2))
    np.testing.assert_allclose(density.kernel_density(points, np.zeros(10, int), 1).density, 1)
    points[0] = 100
    found = density.kernel_density(points, np.array([0] * 9 + [1]), 2)
    assert found.density[0] < 1e-6 < found.density[1:].min()
    assert found.density_signed[9] < 0 < found.density_signed[1]


FLAGS = {"subset_ratios": (0.5, 0.9), "num_runs": 10, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}


@pytest.mark.slow
def test_densities_are_among_the_scores_if_they_are_asked_for(tmp_path):
    images, labels = blobs(60)
    asked = {"track": ("pixel_density", "feature_density"), "save_models": True, "out": str(tmp_path)}
    found = estimate_scores(images, labels, **FLAGS, **asked).more
    expected = density.kernel_density(images.reshape(60, -1) / 255, labels, 3)
    np.testing.assert_allclose(found["pixel_density_signed"], expected.density_signed, rtol=1e-4, atol=1e-6)
    assert not {"csl", "tracked_runs"} & found.keys()
    for name in ("feature_density", "feature_density_class", "feature_density_signed"):
        assert np.isfinite(found[name]).all()
        assert (found[f"{name}_stderr"] > 0).all()
    with pytest.raises(UserError, match=r"--track=feature_density: needs the models.*--save_models"):
        estimate_scores(images, labels, **FLAGS, track=("feature_density",))


def test_outlier_factors_of_four_points_by_hand():
    """At 0, 1, 2 and 6, with two neighbours: reach-distances by definition 5, densities by 6, their ratio by 7.

    The distances to the second neighbour are 2, 1, 2 and 5. Densities are 2 / (1 + 2), 2 / (2 + 2), 2 / (1 + 2) and
    2 / (4 + 5): sums of each pair's distance, or of the neighbour's distance to its second one, if that is larger.
    """
    densities = np.array([2 / 3, 2 / 4, 2 / 3, 2 / 9])
    neighbours = [[1, 2], [0, 2], [0, 1], [1, 2]]
    expected = [densities[near].mean() / own for near, own in zip(neighbours, densities, strict=True)]
    points, one_class = np.array([[0.0], [1.0], [2.0], [6.0]]), np.zeros(4, int)
    found = outlier_factor.outlier_factors(points, one_class, 1, num_neighbors=2)
    np.testing.assert_allclose(found.lof, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.lof, found.lof_class)
    assert REGISTRY["pixel_lof"].suspicious == HIGH


def test_a_label_of_a_far_class_is_an_outlier_of_its_class_alone():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 30])
    labels = np.repeat([0, 1], 40)
    labels[3] = 1
    found = outlier_factor.outlier_factors(points, labels, 3)
    assert found.lof.max() < 3
    assert found.lof_class.argmax() == 3
    assert found.lof_class[3] > 5
    alone = outlier_factor.outlier_factors(points[:2], np.array([0, 1]), 2)
    assert np.isnan(alone.lof_class).all()
    assert np.isfinite(alone.lof).all()


def test_outlier_factors_are_among_the_scores_only_if_they_are_asked_for(tmp_path):
    images, labels = blobs(60)
    asked = {"track": ("pixel_lof", "feature_lof"), "save_models": True, "out": str(tmp_path)}
    found = estimate_scores(images, labels, **FLAGS, **asked).more
    expected = outlier_factor.outlier_factors(images.reshape(60, -1) / 255, labels, 3)
    np.testing.assert_allclose(found["pixel_lof"], expected.lof, rtol=1e-4)
    np.testing.assert_allclose(found["pixel_lof_class"], expected.lof_class, rtol=1e-4)
    for name in ("feature_lof", "feature_lof_class"):
        assert np.isfinite(found[name]).all()
        assert (found[f"{name}_stderr"] > 0).any()
    assert not {"pixel_density", "feature_density", "csl"} & found.keys()
    with pytest.raises(UserError, match=r"--track=feature_lof: needs the models.*--save_models"):
        estimate_scores(images, labels, **FLAGS, track=("feature_lof",))


def test_features_of_diverged_models_are_left_out(tmp_path, monkeypatch):
    spec = spec_from_values(CscoreSpec, {"num_runs": 4, "subset_ratios": (0.5,), "out": str(tmp_path)})
    [program] = make_programs(spec)
    inputs = iter([np.full((3, 2), np.nan), np.ones((3, 2)), np.zeros((3, 2)), np.full((3, 2), np.inf)])
    model = types.SimpleNamespace(features=lambda images: next(inputs))
    monkeypatch.setattr(density_module, "load_model", lambda path: model)
    dataset = make_dataset("three", np.zeros((3, 2, 2), np.uint8), np.array([0, 1, 1]), source="three")
    features = density_module.features_of_models(dataset, program, 0)
    assert [array.sum() for array in features] == [6, 0]
