"""Measures of predictions, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.scores.metrics import expected_calibration_error, margins


def test_calibration_by_hand():
    confidence = jnp.array([0.95, 0.95, 0.55, 0.55, 0.15])
    correct = jnp.array([True, False, True, True, False])
    # Bins of a tenth: two at 0.95 and half right, two at 0.55 and all right, one at 0.15 and wrong.
    expected = (2 * abs(0.5 - 0.95) + 2 * abs(1 - 0.55) + abs(0 - 0.15)) / 5
    assert float(expected_calibration_error(confidence, correct, 10)) == pytest.approx(expected, abs=1e-6)


def test_who_is_right_as_often_as_sure_is_calibrated():
    correct = np.arange(1000) % 4 > 0
    assert float(expected_calibration_error(jnp.full(1000, 0.75), jnp.asarray(correct))) == pytest.approx(0, abs=1e-5)
    assert float(expected_calibration_error(jnp.ones(10), jnp.zeros(10, bool))) == pytest.approx(1)


def test_margins_by_hand():
    logits = jnp.array([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 1.0, 0.0]])
    assert margins(logits, jnp.array([0, 2, 1])).tolist() == [1.0, -4.0, 0.0]
