"""The page of a job, without a browser: what it holds, that it holds text as text, and what is refused."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

import jaxgen
from jaxgen.data.checks import make_dataset
from jaxgen.data.score_files import load_scores, write_scores
from jaxgen.views.page.data import make_page_data, score_columns, source_values
from jaxgen.views.page.packing import pack, pack_coarsely
from jaxgen.views.page.render import render_report
from jaxgen.views.page.sprites import MOST_SIDE, make_sprites
from support.commands import type_in
from support.data import HOSTILE, blobs, make_dataset_with_tests, make_images
from support.pages import Reader
from support.scores import make_scores, with_everything

ROOT = pathlib.Path(__file__).parents[2]
JOB = ["--dataset=npz:mine.npz", "--subset_ratios=0.3,0.7", "--num_runs=10", "--hidden=8", "--epochs=4"]
JOB += ["--batch_size=8", "--width=2", "--out=out"]


def unpacked(packed):
    """What the page's script does, in Python."""
    planes = zlib.decompress(base64.b64decode(packed.text))
    kind = np.dtype("<" + packed.form["type"])
    values = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(kind.itemsize, -1).T).view(kind)
    values = values.reshape(packed.form["shape"])
    if "step" not in packed.form:
        return values
    return np.where(values == np.iinfo(kind).max, np.nan, packed.form["low"] + values * packed.form["step"])


@pytest.mark.parametrize(
    "values", [np.arange(300), np.array([[0, 2**31]]), np.array([0.25, np.nan, -3e30]), np.empty((0,)), np.ones(3) > 0]
)
def test_packed_numbers_come_back(values):
    np.testing.assert_array_equal(unpacked(pack(values)), values.astype(np.float32))


@pytest.mark.parametrize(("num_bytes", "steps"), [(1, 254), (2, 65534)])
def test_numbers_packed_in_steps_come_back_to_half_a_step(num_bytes, steps):
    values = np.random.default_rng(0).normal(size=(40, 5))
    values[3, 2] = np.nan
    found = unpacked(pack_coarsely(values, num_bytes))
    assert np.nanmax(np.abs(found - values)) <= 0.5001 * (np.nanmax(values) - np.nanmin(values)) / steps
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    np.testing.assert_array_equal(unpacked(pack_coarsely(np.full(4, np.nan), num_bytes)), np.full(4, np.nan))
    np.testing.assert_array_equal(unpacked(pack_coarsely(np.full(4, 2.5), num_bytes)), np.full(4, 2.5))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_picture_is_its_image(channels):
    dataset = make_images(channels=channels, count=230)
    order = np.random.default_rng(0).permutation(230)
    sprites = make_sprites(dataset.images, dataset.scale, order)
    assert sprites.is_exact
    assert len(sprites.sheets) == 3
    for place in (0, 99, 100, 229):
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprites.sheets[place // 100]))).convert("RGB"))
        row, column = divmod(place % 100, 10)
        found = sheet[6 * row : 6 * row + 6, 7 * column : 7 * column + 7]
        image = dataset.images[order[place]]
        np.testing.assert_array_equal(found, np.broadcast_to(image[..., :3], (6, 7, 3)))


def test_large_images_are_made_small_and_that_is_said():
    dataset = make_images(side=300, count=4)
    sprites = make_sprites(dataset.images, dataset.scale, np.arange(4))
    assert max(sprites.height, sprites.width) == MOST_SIDE
    assert not sprites.is_exact
    assert "Pictures are made smaller" in render_report(make_scores(dataset), dataset, flagfile="")
    small = make_images()
    assert "Pictures are made smaller" not in render_report(make_scores(small), small, flagfile="")


def test_the_page_fetches_nothing_and_runs_its_own_script_only():
    dataset = make_dataset_with_tests()
    page = Reader(render_report(with_everything(dataset), dataset, flagfile=HOSTILE[0], notes=[HOSTILE[1]]))
    [policy] = [tag["content"] for tag, _ in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    [script] = [text for tag, text in page.all("script") if "type" not in tag]
    [(_, style)] = page.all("style")
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp|import\(", script)
    assert not re.search(r"url\(|@import", style)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert not {"src", "style", "srcset", "background"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert tag == "a" or "href" not in attributes


def test_text_of_the_user_stays_text():
    dataset = make_dataset_with_tests()
    scores = with_everything(dataset)
    scores.metadata.update(dataset=HOSTILE[0], flags={"dataset": HOSTILE[1], "model": HOSTILE[2]})
    page = Reader(render_report(scores, dataset, flagfile=HOSTILE[1], notes=[HOSTILE[2]]))
    assert page.all("h1")[0][1].startswith(f"{HOSTILE[0]}: scores of 60")
    assert page.all("pre")[0][1] == HOSTILE[1]
    listed = [text for _, text in page.all("option")]
    assert [f"{name} (20)" for name in HOSTILE] == [text for text in listed if text.endswith("(20)")]
    [about] = [text for tag, text in page.all("script") if tag.get("id") == "about"]
    assert json.loads(about)["classes"] == HOSTILE
    assert len([tag for tag, _ in page.all("script") if "type" not in tag]) == 1


@pytest.mark.slow
def test_whatever_is_missing_the_page_is_there():
    dataset = make_dataset_with_tests()
    scores = with_everything(dataset)
    for name in scores.more:
        more = {key: array for key, array in scores.more.items() if key != name}
        assert f"scores of {len(dataset.labels)}" in render_report(
            dataclasses.replace(scores, more=more), dataset, flagfile=""
        )


@pytest.mark.parametrize("kept", [0, 1])
def test_if_every_second_array_is_missing_the_page_is_there(kept):
    dataset = make_dataset_with_tests()
    scores = with_everything(dataset)
    more = {name: scores.more[name] for name in [*scores.more][kept::2]}
    page = render_report(dataclasses.replace(scores, more=more), dataset, flagfile="")
    assert f"scores of {len(dataset.labels)}" in page


def test_if_everything_is_missing_the_page_is_there():
    scores = with_everything(make_dataset_with_tests())
    bare = dataclasses.replace(
        scores,
        more={},
        metadata={},
        reliability=np.empty(0),
        stderr=np.full(60, np.nan),
        scores=np.full(60, np.nan),
        heldout_accuracy=np.full((2, 10), np.nan),
    )
    page = render_report(bare, None, flagfile="")
    assert "60 of 60 examples were never held out" in page
    assert "reliability: unknown" in page


def test_arrays_of_other_lengths_are_no_scores():
    dataset = make_images()
    assert [column.score.name for column in score_columns(make_scores(dataset, more={"memorization": np.ones(5)}))] == [
        "scores"
    ]


def test_the_page_says_how_many_pairs_are_strong_by_chance():
    dataset = make_dataset_with_tests()
    scores = with_everything(dataset)
    told = {"num_runs": 60, "pairs": 9515, "by_chance": 8898, "single": 2, "test_examples": 303}
    words = "Influence over n = 60 runs: 9,515 pairs have memorization of 0.25 and influence of 0.15 or more; by chance"
    assert words not in render_report(scores, dataset, flagfile="")
    scores = dataclasses.replace(scores, metadata={**scores.metadata, "influence": told})
    assert render_report(scores, dataset, flagfile="").count(f"{words} alone about 8,898 would.") == 2


def test_only_test_examples_that_are_shown_have_pictures():
    dataset = make_dataset_with_tests()
    scores = with_everything(dataset)
    few = {name: array[:6] if name.startswith("influence") else array for name, array in scores.more.items()}
    scores = dataclasses.replace(scores, more=few)
    data = make_page_data(scores, score_columns(scores), dataset)
    np.testing.assert_array_equal(unpacked(data.arrays["place:test"])[:4], [1, 2, 0, 0])
    strongest = np.argsort(-np.abs(few["influence"]))
    np.testing.assert_array_equal(unpacked(data.arrays["pair_train"]), few["influence_train"][strongest])


def test_features_are_shown_as_their_source_has_them():
    raw = np.random.default_rng(0).normal(50, 9, (60, 5))
    dataset = make_dataset("table", raw, np.arange(60) % 3, source="x")
    np.testing.assert_allclose(source_values(dataset), raw, rtol=1e-5)
    scores = make_scores(dataset)
    data = make_page_data(scores, score_columns(scores), dataset)
    np.testing.assert_allclose(unpacked(data.arrays["features"]), raw, rtol=1e-5)
    assert not data.pictures


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small job with a page, as a user makes them."""
    folder = tmp_path_factory.mktemp("report")
    images, labels = blobs(60)
    np.savez(folder / "mine.npz", images=images, labels=labels, class_names=np.array(HOSTILE))
    assert type_in(folder, *JOB).returncode == 0
    result = type_in(folder, "out", entry="report")
    assert result.returncode == 0, result.stderr
    return folder, result


def test_the_command_writes_one_file_and_names_it(finished):
    folder, result = finished
    assert result.stdout.startswith("out/report.html (0.")
    assert not result.stderr
    page = (folder / "out" / "report.html").read_text()
    assert "20 models (mlp with 8 hidden units)" in page
    assert "--dataset=npz:mine.npz" in page
    assert not [path for path in (folder / "out").iterdir() if path.name.endswith(".part")]


def copy_results(folder, target):
    target.mkdir()
    for name in ("cscores.npz", "flags.cfg"):
        (target / name).write_bytes((folder / "out" / name).read_bytes())


@pytest.mark.parametrize("data", ["gone", "other"])
def test_without_its_data_a_job_still_has_a_page_that_says_why(finished, tmp_path, data):
    copy_results(finished[0], tmp_path / "out")
    if data == "other":
        images, labels = blobs(60, seed=5)
        np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    result = type_in(tmp_path, "out", entry="report")
    assert result.returncode == 0
    why = {"gone": "no such file", "other": "holds other data than were scored"}[data]
    assert why in result.stderr
    assert result.stderr.count("\n") == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert why in page
    assert "sheet:train" not in page.split("<script type")[1]
    moved = type_in(tmp_path, "out", f"--dataset=npz:{finished[0]}/mine.npz", entry="report")
    assert moved.returncode == 0
    assert not moved.stderr
    assert 'id="sheet:train:0"' in (tmp_path / "out" / "report.html").read_text()


def refusal(folder, *arguments):
    result = type_in(folder, *arguments, entry="report")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_mistakes_are_one_line(finished, tmp_path):
    copy_results(finished[0], tmp_path / "out")
    np.savez(tmp_path / "mine.npz", images=blobs(60, seed=5)[0], labels=blobs(60)[1])
    assert "holds other data than were scored" in refusal(tmp_path, "--dataset=npz:mine.npz", "out")
    assert "there is no such folder" in refusal(tmp_path, "nowhere")
    assert "is no folder" in refusal(tmp_path, "mine.npz")
    assert "holds no cscores.npz" in refusal(tmp_path)
    assert "not a flag" in refusal(tmp_path, "out", "other")
    assert "Unknown command line flag" in refusal(tmp_path, "out", "--nonsense=1")
    (tmp_path / "sweep" / "settings" / "dropout=0").mkdir(parents=True)
    (tmp_path / "sweep" / "settings" / "dropout=0" / "cscores.npz").write_bytes(b"")
    assert "sweep/settings/dropout=0" in refusal(tmp_path, "sweep")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.arange(60)}, "labels are not numbers of its 3 classes"),
        ({"labels": np.zeros(60) - 0.5}, "labels are not numbers"),
        ({"scores": np.ones((60, 2))}, "scores has shape (60, 2)"),
        ({"counts": np.ones((1, 60))}, "counts has shape (1, 60)"),
        ({"metadata": [1]}, "metadata does not tell the flags"),
    ],
)
def test_a_score_file_of_another_layout_is_refused(finished, tmp_path, change, words):
    scores = dataclasses.replace(load_scores(finished[0] / "out" / "cscores.npz"), **change)
    write_scores(scores, tmp_path / "cscores.npz")
    said = refusal(tmp_path)
    assert words in said
    assert "not a cscores.npz" in said


def test_a_page_that_cannot_be_written_leaves_the_old_one(finished, tmp_path, monkeypatch):
    from jaxgen.config import ReportSpec
    from jaxgen.experiments.cscore import page as report

    copy_results(finished[0], tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("the old page")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(jaxgen.UserError, match=r"report\.html: cannot be written \(No space left on device\)"):
        report.write_report(ReportSpec(run_dir=str(tmp_path / "out")), log=lambda line: None)
    assert (tmp_path / "out" / "report.html").read_text() == "the old page"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cscores.npz", "flags.cfg", "report.html"]


def test_the_packed_program_has_the_page(tmp_path):
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    own = {path.name for path in (ROOT / "jaxgen" / "views" / "page").iterdir()}
    assert {path.name for path in (tmp_path / "jaxgen" / "views" / "page").iterdir()} == own
    assert "page.html" in own


def test_scores_show_themselves_in_a_notebook():
    dataset = make_images(names=np.array(HOSTILE))
    values = np.linspace(0, 1, 60)
    values[:3] = np.nan
    scores = make_scores(dataset, scores=values, stderr=np.full(60, np.nan))
    shown = Reader(scores._repr_html_())
    run_groups = [text for _, text in shown.all("td")]
    rows = [run_groups[i : i + 6] for i in range(0, len(run_groups), 6)]
    assert [row[1] for row in rows] == ["3", "4", "5", "6", "7", "55", "56", "57", "58", "59"]
    assert rows[0] == ["lowest", "3", HOSTILE[0], "0.051", "unknown", "10"]
    assert not shown.all("script")
    few = make_scores(make_images(count=6))
    assert len(Reader(few._repr_html_()).all("tr")) == 1 + 6
    text = scores._repr_html_()
    assert "3 never held out" in text
    assert text.count("(n = 10)") == 2


def test_results_are_short_at_the_prompt():
    scores = with_everything(make_dataset_with_tests())
    assert len(repr(scores)) < 500
    assert repr(scores).startswith(
        f"Scores({len(scores.labels)} examples, 10 models at each of 2 ratios; held-out accuracy at ratio 0.3: "
    )
    assert repr(scores).endswith(f"; {len(scores.more)} further arrays in `more`)")


def test_showing_scores_loads_nothing_heavy():
    code = "import sys, jaxgen.types; print({'jax', 'matplotlib', 'jinja2', 'PIL'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert said.stdout.strip() == "set()"
