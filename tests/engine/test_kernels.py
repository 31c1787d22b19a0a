"""Which back-end computes a convolution, and in what pieces a batch is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxgen.engine import kernels
from jaxgen.models.convolution import BACKENDS, Geometry

SMALL = Geometry((8, 8, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)))
LARGE = Geometry((8, 8, 4), (3, 3, 4, 64), (1, 1), ((1, 1), (1, 1)))


def test_each_convolution_gets_its_fastest_backend():
    seconds = {(SMALL, "plain"): 1.0, (SMALL, "chunked"): 2.0, (LARGE, "plain"): 2.0, (LARGE, "chunked"): 1.0}
    choice = kernels.choose_backends(
        (SMALL, LARGE), ("plain", "chunked"), lambda *key: seconds[key], worthwhile=lambda: True
    )
    assert choice.backends == {SMALL: "plain", LARGE: "chunked"}
    assert choice.seconds == seconds
    assert "plain for 8x8x3 by 3x3 to 4" in kernels.describe(choice.backends)
    assert "chunked for 8x8x4 by 3x3 to 64" in kernels.describe(choice.backends)


def test_what_there_is_no_time_for_takes_the_first_and_the_costliest_are_timed_first():
    timed, left = [], iter([True, False])
    choice = kernels.choose_backends(
        (SMALL, LARGE),
        ("plain", "chunked"),
        lambda geometry, name: timed.append(geometry) or float(name == "plain"),
        worthwhile=lambda: next(left),
    )
    assert set(timed) == {LARGE}
    assert choice.backends == {SMALL: "plain", LARGE: "chunked"}


def test_a_single_candidate_needs_no_timing():
    choice = kernels.choose_backends((SMALL,), ("batched",), pytest.fail, worthwhile=lambda: True)
    assert choice.backends == {SMALL: "batched"}
    assert kernels.describe(choice.backends) == "convolutions: batched"


def test_every_backend_is_a_candidate_but_grouped_on_a_cpu():
    assert set(kernels.candidates("gpu")) == set(BACKENDS)
    assert set(kernels.candidates("cpu")) == set(BACKENDS) - {"grouped"}


@pytest.mark.parametrize("backend", ["plain", "chunked", "batched", "grouped"])
def test_a_timing_is_a_time(backend):
    mesh = Mesh(np.array(jax.devices()), ("members",))
    ticks = iter(np.arange(0.0, 1000.0, 0.03))
    seconds = kernels.time_convolution(
        mesh,
        SMALL,
        backend,
        width=2,
        num_images=4,
        dtype=jnp.float32,
        precision="float32",
        clock=lambda: next(ticks),
    )
    np.testing.assert_allclose(seconds, 0.03 / 8)


def test_operations_by_hand():
    # 64 outputs of 4 channels, each of 27 products and sums; twice more for the gradients.
    assert kernels.flops(SMALL) == 3 * 2 * 64 * 4 * 27
    assert kernels.activation_bytes((SMALL, LARGE)) == 4 * 64 * (4 + 64)


def test_pieces_divide_the_batch_and_fit_the_cache(monkeypatch):
    monkeypatch.setattr(kernels, "PIECE_BYTES", 10 * kernels.activation_bytes((SMALL,)))
    assert kernels.piece_size("cpu", (SMALL,), 32) == 8
    assert kernels.piece_size("cpu", (SMALL,), 30) == 10
    assert kernels.piece_size("cpu", (SMALL,), 7) == 7
    assert kernels.piece_size("cpu", (SMALL,), 13) == 1
    assert kernels.piece_size("gpu", (SMALL,), 32) is None
    assert kernels.piece_size("cpu", (), 32) is None


def test_examination_takes_what_there_is_room_for(monkeypatch):
    assert kernels.eval_batch_size("cpu", ()) == kernels.MOST_EVALUATED
    monkeypatch.setattr(kernels, "PIECE_BYTES", 20 * kernels.activation_bytes((SMALL,)))
    assert kernels.eval_batch_size("cpu", (SMALL,)) == 20
    monkeypatch.setattr(kernels, "EVALUATION_BYTES", kernels.activation_bytes((SMALL,)))
    assert kernels.eval_batch_size("gpu", (SMALL,)) == 8
