"""How the width is chosen, on machines whose timings are known."""

import pytest

from jaxgen.engine.width import CPU_WIDTHS, GPU_WIDTHS, candidates, choose_width, first_guess, fit


def choose(timings, start=8, steps=1e9, cost=1.0, widths=CPU_WIDTHS):
    tried = []

    def time_step(width):
        tried.append(width)
        return timings[width]

    return choose_width(time_step, widths, start, steps=steps, cost=lambda: cost), tried


def curve(best):
    """Seconds a step, lowest at one width and a quarter worse with each doubling away from it."""
    return {width: 1e-5 * 1.25 ** abs(CPU_WIDTHS.index(width) - CPU_WIDTHS.index(best)) for width in CPU_WIDTHS}


@pytest.mark.parametrize("best", CPU_WIDTHS)
def test_the_fastest_width_is_found_from_anywhere(best):
    for start in CPU_WIDTHS:
        assert choose(curve(best), start)[0].width == best


def test_the_start_is_the_nearest_candidate():
    """200 runs on two devices turn width 8 into 10, which leaves no place idle: still where to begin."""
    widths = candidates("cpu", 1, 10**9, 200, 2)
    assert 8 not in widths
    assert choose(dict.fromkeys(widths, 1.0), 8, widths=widths)[1][0] == 10


def test_not_all_widths_are_timed():
    assert choose(curve(8), 8)[1] == [8, 16, 4]


def test_small_gains_are_not_chased():
    flat = dict.fromkeys(CPU_WIDTHS, 1e-5) | {4: 0.9e-5, 16: 0.97e-5}
    assert choose(flat)[0].width == 8


def test_a_short_job_times_one_width_only():
    choice, tried = choose(curve(64), steps=1e5, cost=1.0)
    assert tried == [8]
    assert "short" in choice.why


def test_first_guess_fills_a_megabyte_of_cache():
    assert first_guess(4 * 17_226, "cpu") == 8
    assert first_guess(4 * 535_818, "cpu") == 1
    assert first_guess(1, "cpu") == 64
    assert first_guess(10**9, "gpu") in GPU_WIDTHS


def test_widths_leave_few_idle_places():
    assert fit(16, 200, 2) == 20
    assert fit(8, 200, 2) == 10
    assert fit(1, 200, 2) == 1
    assert fit(64, 3, 2) == 2
    assert candidates("cpu", 1, 10**9, 200, 2)[-1] >= 50


def test_widths_stay_within_memory():
    widths = candidates("cpu", 100, 1000, 10**6, 2)
    assert max(widths) <= 10
    assert candidates("cpu", 100, 10, 10, 1) == [1]


def test_few_runs_need_no_wide_programs():
    assert candidates("cpu", 1, 10**9, 4, 2) == [1, 2]
    assert candidates("cpu", 1, 10**9, 1, 2) == [1]
