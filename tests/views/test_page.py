"""The page in a real browser: what a reader sees, clicks, drags and types, and what never runs."""

import base64
import json
import time

import numpy as np
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.scores.registry import REGISTRY
from jaxgen.views.page.render import render_report
from support.browser import NAMES, Browser, find
from support.data import HOSTILE, make_dataset_with_tests
from support.scores import make_scores, with_everything

COUNT = 150
SHOWN = "[...document.querySelectorAll('#gallery button')].map((b) => Number(b.dataset.example))"
FOCUSED = "Number(document.activeElement.dataset.example)"
SAID = "document.getElementById('said').textContent"
OPEN = "document.getElementById('details').open"


@pytest.fixture(scope="module")
def browser():
    if not (program := find()):
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is there (Debian: apt-get install chromium)")
    opened = Browser(program)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def job():
    dataset = make_dataset_with_tests(COUNT)
    return dataset, with_everything(dataset)


@pytest.fixture(scope="module")
def path(job, tmp_path_factory):
    dataset, scores = job
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(scores, dataset, flagfile=HOSTILE[0], notes=[HOSTILE[1]]))
    return path


@pytest.fixture
def page(browser, path):
    """The page with everything, freshly opened; nothing may be fetched or go wrong in it."""
    browser.prefer()
    browser.open(path)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [path.resolve().as_uri()]


def ranked(values, descending=False):
    """Positions in the order of the gallery: unknown ones last, of equal ones the first first."""
    values = values.astype(np.float32)
    return np.argsort(np.where(np.isnan(values), np.inf, -values if descending else values), kind="stable").tolist()


def test_all_numbers_arrive(page, job):
    _, scores = job
    for name in REGISTRY:
        values = scores.scores if name == "scores" else scores.more[name]
        found = page.evaluate(f"load('value:{name}').then((values) => [...values].map(String))")
        np.testing.assert_array_equal(np.array(found, float).astype(np.float32), values.astype(np.float32))
    probs = page.evaluate("load('guess_probs').then((values) => [...values].map(String))")
    np.testing.assert_allclose(
        np.array(probs, float).reshape(COUNT, 3), -np.sort(-scores.more["pred_probs"]), atol=1 / 254
    )
    assert page.evaluate("load('ids')") == [str(i) for i in range(COUNT)]


@pytest.mark.slow
def test_the_gallery_is_sorted_by_any_score(page, job):
    _, scores = job
    for name, score in REGISTRY.items():
        values = scores.scores if name == "scores" else scores.more[name]
        page.choose("#sort", name)
        high = score.suspicious > 0
        assert page.evaluate("document.getElementById('order').value") == ("high" if high else "low")
        assert page.evaluate(SHOWN) == ranked(values, high)[:60]
        page.choose("#order", "low" if high else "high")
        assert page.evaluate(SHOWN) == ranked(values, not high)[:60]
    page.click("#last")
    assert page.evaluate(SHOWN) == ranked(values, not high)[120:]
    assert "page 3 of 3" in page.evaluate(SAID)


def test_classes_and_predictions_filter(page, job):
    dataset, scores = job
    page.choose("#label", "1")
    expected = [i for i in ranked(scores.scores) if dataset.labels[i] == 1]
    assert page.evaluate(SHOWN) == expected
    assert page.evaluate(SAID).startswith("50 of 150 examples, page 1 of 1")
    page.choose("#guess", "2")
    best = np.nan_to_num(scores.more["pred_probs"]).argmax(1)
    known = np.isfinite(scores.more["pred_probs"]).all(1)
    assert page.evaluate(SHOWN) == [i for i in expected if best[i] == 2 and known[i]]
    page.click("#over")
    page.settle()
    assert page.evaluate(SAID).startswith("150 of 150 examples")


def within(values, low, high):
    """Positions of values in a range of slider steps, of which there are 200."""
    steps = (values - np.nanmin(values)) / (np.nanmax(values) - np.nanmin(values)) * 200
    return {i for i in range(len(values)) if low - 1e-3 <= steps[i] <= high + 1e-3}


def test_dragging_over_the_histogram_sets_a_range(page, job):
    _, scores = job
    left, top, width, height = page.box("#main-histogram .bars")
    for kind, share in (("mousePressed", 0.75), ("mouseMoved", 0.5), ("mouseMoved", 0.25), ("mouseReleased", 0.25)):
        page.mouse(kind, left + share * width, top + height / 2)
    page.settle()
    low, high = (int(page.evaluate(f"document.querySelectorAll('#main-histogram input')[{i}].value")) for i in (0, 1))
    assert abs(low - 50) <= 1
    assert abs(high - 150) <= 1
    inside = within(scores.scores, low, high)
    assert 0 < len(inside) < COUNT
    assert page.evaluate(SAID).startswith(f"{len(inside)} of 150")
    assert page.evaluate(SHOWN) == [i for i in ranked(scores.scores) if i in inside][:60]
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, left + 0.4 * width, top + height / 2)
    page.settle()
    assert page.evaluate(SAID).startswith("150 of 150")


def test_the_keyboard_sets_a_range_too(page, job):
    _, scores = job
    page.evaluate("document.querySelector('#main-histogram input').focus()")
    for _ in range(30):
        page.press("ArrowRight")
    page.settle()
    assert page.evaluate(SAID).startswith(f"{len(within(scores.scores, 30, 200))} of 150")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "C-score from"
    assert float(page.evaluate("document.activeElement.getAttribute('aria-valuetext')")) == pytest.approx(
        np.quantile([scores.scores.min(), scores.scores.max()], 0.15), abs=0.001
    )


def test_ranges_of_several_scores_meet(page, job):
    _, scores = job
    page.click("#more-scores summary")
    page.wait("document.querySelector('#histograms input')")
    for place, step in (("#main-histogram", 100), ("#histograms [data-score=memorization]", 60)):
        page.evaluate(
            f"(() => {{ const e = document.querySelectorAll('{place} input')[1]; e.value = {step};"
            " e.dispatchEvent(new Event('input')); })()"
        )
    page.settle()
    inside = within(scores.scores, 0, 100) & within(scores.more["memorization"], 0, 60)
    assert page.evaluate(SHOWN) == [i for i in ranked(scores.scores) if i in inside][:60]
    page.choose("#sort", "memorization")
    assert set(page.evaluate(SHOWN)) <= inside, "ranges stay when the order changes"


def test_every_tile_shows_its_image(page, job):
    dataset, _ = job
    page.wait("document.querySelectorAll('#gallery canvas[data-drawn]').length === 60")
    first = page.evaluate(SHOWN)[:5]
    for place, i in enumerate(first):
        drawn = page.evaluate(
            f"[...document.querySelectorAll('#gallery canvas')[{place}].getContext('2d').getImageData(0, 0, 7, 6).data]"
        )
        np.testing.assert_array_equal(np.reshape(drawn, (6, 7, 4))[..., 0], dataset.images[i, ..., 0])


def test_a_click_tells_all_that_is_known(page, job):
    dataset, scores = job
    i = ranked(scores.scores)[2]
    page.click(f'[data-example="{i}"]')
    page.wait(OPEN)
    assert page.evaluate("document.getElementById('heading').textContent") == (
        f"Example {i}: {HOSTILE[dataset.labels[i]]}"
    )
    text = page.evaluate("document.getElementById('body').innerText")
    assert f"± {scores.stderr[i]:.3f}" in text
    assert "3 of 150" in text, "its rank by the score of the gallery"
    memorization = scores.more["memorization"]
    rank = 1 + (memorization > memorization[i]).sum()
    assert f"{rank} of 149" in text
    order = np.argsort(-scores.more["pred_probs"][i])
    assert f"{HOSTILE[order[0]]}\t{scores.more['pred_probs'][i, order[0]]:.2f}" in text
    assert "9 trained on it, 9 held it out" in text
    assert page.evaluate("document.querySelectorAll('#body .plot path.line').length") == 4
    own = np.flatnonzero(scores.more["influence_train"] == i)
    assert page.evaluate("document.querySelectorAll('#body .strip button').length") == len(own)


def test_influence_leads_to_test_examples_and_back(page, job):
    dataset, scores = job
    train, test, value = (scores.more[f"influence{name}"] for name in ("_train", "_test", ""))
    strongest = np.abs(value).argmax()
    page.evaluate(f"document.getElementById('find').value = '{train[strongest]}'")
    page.click("#seek button")
    page.wait(OPEN)
    page.wait("document.querySelectorAll('#body .strip canvas[data-drawn]').length > 0")
    drawn = page.evaluate(
        "[...document.querySelector('#body .strip canvas').getContext('2d').getImageData(0, 0, 7, 6).data]"
    )
    np.testing.assert_array_equal(np.reshape(drawn, (6, 7, 4))[..., 0], dataset.test_images[test[strongest], ..., 0])
    page.click("#body .strip button")
    page.wait(f"document.getElementById('heading').textContent.startsWith('Test example {test[strongest]}:')")
    text = page.evaluate("document.getElementById('body').innerText")
    pairs = np.flatnonzero(test == test[strongest])
    for p in pairs:
        assert f"{value[p]:+.3f} ± 0.100" in text
    page.click("#body .strip button")
    page.wait(f"document.getElementById('heading').textContent.startsWith('Example {train[strongest]}:')")


def test_the_keyboard_goes_everywhere(page, job):
    _, scores = job
    order = ranked(scores.scores)
    page.evaluate("document.querySelector('#gallery button').focus()")
    for key, expected in (("ArrowRight", 1), ("End", 59), ("ArrowRight", 60), ("ArrowLeft", 59), ("Home", 0)):
        page.press(key)
        page.wait(f"{FOCUSED} === {order[expected]}")
    page.press("ArrowDown")
    columns = order.index(page.evaluate(FOCUSED))
    assert columns > 1
    page.press("PageDown")
    page.wait(f"{FOCUSED} === {order[60]}")
    page.press("Enter")
    page.wait(OPEN)
    page.press("ArrowLeft")
    page.wait(f"document.getElementById('heading').textContent.startsWith('Example {order[59]}:')")
    page.press("Escape")
    page.wait(f"!{OPEN}")
    # The focus comes back when the browser has told that the dialog is closed.
    page.wait(f"{FOCUSED} === {order[59]}")
    assert page.evaluate("document.querySelectorAll('#gallery [tabindex=\"0\"]').length") == 1


def test_hostile_names_are_read_and_never_run(page):
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("document.images.length") == 0
    names = page.evaluate("[...document.querySelectorAll('.tile .class')].map((e) => e.textContent)")
    assert set(names) == set(HOSTILE)
    assert page.evaluate("document.querySelector('.note').textContent") == HOSTILE[1]
    assert page.evaluate("document.querySelector('pre').textContent") == HOSTILE[0]


def test_what_is_put_into_the_page_runs_no_script_and_fetches_nothing(browser, path):
    """The policy itself: even markup that found a way in would be dead."""
    browser.open(path)
    browser.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        " document.body.append(s); const i = new Image(); i.src = 'https://example.org/x.png';"
        " document.body.append(i); })()"
    )
    browser.settle()
    assert browser.evaluate("typeof hacked") == "undefined"
    blocked = [event["params"] for event in browser.events if event["method"] == "Network.loadingFailed"]
    assert all(one.get("blockedReason") == "csp" for one in blocked)
    assert len(browser.complaints()) >= 2
    assert all("Content Security Policy" in line for line in browser.complaints())


def luminance(colour):
    """Relative luminance (WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance) of ``rgb(r, g, b)``."""
    values = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(page, scheme):
    page.prefer(prefers_color_scheme=scheme)
    page.settle()
    style = "getComputedStyle(document.querySelector('{}')).{}"
    paper = luminance(page.evaluate(style.format("body", "backgroundColor")))
    raised = luminance(page.evaluate(style.format(".tile", "backgroundColor")))
    assert (paper > 0.5) == (scheme == "light")
    for selector, ground in (("body", paper), ("figcaption", paper), ("a[rel]", paper), (".tile .class", raised)):
        ink = luminance(page.evaluate(style.format(selector, "color")))
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5, selector


def test_everything_has_a_name_for_those_who_listen(page):
    page.click("#gallery button")
    page.wait(OPEN)
    for scope in ("page", "dialog"):
        if scope == "page":
            page.press("Escape")
            page.wait(f"!{OPEN}")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]
        for role, name in named:
            if role in {"button", "combobox", "slider", "textbox", "spinbutton", "img", "image", "heading", "dialog"}:
                assert name.strip(), role
        roles = [role for role, _ in named]
        assert {"heading", "button", "status", "slider"} <= set(roles)
    levels = page.evaluate("[...document.querySelectorAll('main h2, h1')].map((e) => e.tagName)")
    assert levels == ["H1", "H2", "H2", "H2", "H2"]


def test_it_prints_without_its_controls(page):
    page.prefer("print")
    assert page.evaluate("getComputedStyle(document.getElementById('controls')).display") == "none"
    assert page.evaluate("getComputedStyle(document.getElementById('gallery')).display") == "grid"
    assert base64.b64decode(page.call("Page.printToPDF")["data"]).startswith(b"%PDF")


def test_a_narrow_window_needs_no_sideways_scrolling(page):
    page.resize(380, 700)
    page.settle()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.resize(1200, 900)
    assert wide <= 380


def test_tables_are_shown_by_their_features(browser, tmp_path):
    raw = np.random.default_rng(0).normal(50, 9, (60, 7))
    dataset = make_dataset("table", raw, np.arange(60) % 3, source="x")
    scores = make_scores(dataset)
    (tmp_path / "report.html").write_text(render_report(scores, dataset, flagfile=""))
    browser.open(tmp_path / "report.html")
    i = ranked(scores.scores)[0]
    run_groups = browser.evaluate(
        "[...document.querySelectorAll('#gallery table')[0].querySelectorAll('td')].map((e) => e.innerText)"
    )
    assert run_groups == [f"{value:.2f}" for value in raw[i, :4]]
    assert "3 more" in browser.evaluate("document.querySelector('#gallery caption').textContent")
    browser.click("#gallery button")
    browser.wait(OPEN)
    assert browser.evaluate("document.querySelectorAll('#body .features td').length") == 7
    assert browser.complaints() == []


def test_without_pictures_examples_go_by_their_names(browser, job, tmp_path):
    (tmp_path / "report.html").write_text(render_report(job[1], None, flagfile="", notes=["No pictures"]))
    browser.open(tmp_path / "report.html")
    shown = browser.evaluate("[...document.querySelectorAll('#gallery .id')].map((e) => Number(e.textContent))")
    assert shown == ranked(job[1].scores)[:60]
    browser.click("#gallery button")
    browser.wait(OPEN)
    assert browser.complaints() == []
    assert json.dumps("No pictures")[1:-1] in browser.evaluate("document.body.innerText")


@pytest.mark.slow
def test_sixty_thousand_examples_stay_fluent(browser, tmp_path):
    rng = np.random.default_rng(0)
    images = np.kron(rng.integers(0, 256, (60_000, 7, 7)), np.ones((4, 4))).astype(np.uint8)
    dataset = make_dataset("many", images, np.arange(60_000) % 10, source="many")
    scores = make_scores(dataset)
    (tmp_path / "report.html").write_text(render_report(scores, dataset, flagfile=""))
    assert (tmp_path / "report.html").stat().st_size < 60e6
    began = time.monotonic()
    browser.open(tmp_path / "report.html")
    assert time.monotonic() - began < 20
    assert browser.evaluate(SHOWN) == ranked(scores.scores)[:60]
    took = browser.evaluate(
        "(() => { const t = performance.now(); turn(500, false); return performance.now() - t; })()"
    )
    assert took < 1000
    browser.wait("document.querySelectorAll('#gallery canvas[data-drawn]').length === 60")
    assert browser.evaluate(SHOWN) == ranked(scores.scores)[30_000:30_060]
