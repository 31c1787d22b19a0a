"""Files that claim more than they have, or ask for more than to be read: none gets memory, time or a program."""

import gzip
import json
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

import jaxgen
from jaxgen import config as spec
from jaxgen.config import flags
from jaxgen.config.fields import flag_values
from jaxgen.config.flag_files import DEEPEST
from jaxgen.data import load_dataset, score_files
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.data.published import margin_files, run_files
from jaxgen.data.published.pairs import Matrix
from jaxgen.data.published.scores import read_published
from jaxgen.errors import LONGEST, UserError
from jaxgen.experiments.cscore.page import write_report
from jaxgen.io import arrays
from jaxgen.runs.plan import Chunk, Plan
from jaxgen.runs.store import DamagedChunk, open_store
from jaxgen.views.page.packing import pack_coarsely
from support.data import HOSTILE, blobs, make_dataset_with_tests
from support.forging import TEXTS, forged_npy, npy
from support.pages import Reader
from support.scores import with_everything

IMAGES, LABELS = blobs(12)
# More than reading any of these files needs, and far less than they claim.
ENOUGH = 48 * 2**20


def refusal(read, *arguments, **keywords) -> str:
    """The one line by which a file is refused, for little memory."""
    tracemalloc.start()
    try:
        with pytest.raises((UserError, DamagedChunk)) as caught:
            read(*arguments, **keywords)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < ENOUGH
    said = str(caught.value)
    assert said.isprintable()
    assert "memory" not in said
    return said


def zipped(path, members, kind=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def load(kind, path, **chosen):
    return load_dataset(spec.DataSpec(dataset=f"{kind}:{path}", **chosen))


CLAIMS = {
    "more than there is": forged_npy("(1000000000000,)"),
    "less than there is": forged_npy("(3,)"),
    "a negative axis": forged_npy("(-1,)"),
    "many items of nothing": forged_npy("(1000000000000,)", "'<U0'", b""),
    "no huge item": forged_npy("(0,)", "'<U999999999'", b""),
    "an axis beside nothing": forged_npy("(0, 1000000000000)", values=b""),
    "fields": forged_npy("(8,)", "[('a', '<f4'), ('b', '<f4')]"),
    "an array in each item": forged_npy("(1,)", "'(1000000,1000000)f8'"),
    "dates": forged_npy("(8,)", "'<M8[s]'"),
    "many axes": forged_npy("(%s)" % ("1, " * 40), values=b"\0" * 8),
    "a header beyond the file": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr': '<f8'",
    "a bracket that stays open": forged_npy("(8"),
    "an odd literal": forged_npy("('\\d', 0xfor 1)"),
}
# The header is right, and the values are not.
VALUES = {
    "code points beyond Unicode": forged_npy("(2,)", "'<U1'", b"\xff" * 8),
    "surrogates": forged_npy("(2,)", "'<U1'", "\ud800\ud800".encode("utf-32-le", "surrogatepass")),
    "neither true nor false": forged_npy("(64,)", "'|b1'", b"\xff" * 64),
}


@pytest.mark.parametrize("claim", [*CLAIMS, *VALUES])
def test_what_a_header_claims_is_held_against_what_is_there(tmp_path, claim):
    content = {**CLAIMS, **VALUES}[claim]
    path = zipped(tmp_path / "mine.npz", {"images": content, "labels": npy(LABELS)}, zipfile.ZIP_DEFLATED)
    assert "array images cannot be read" in refusal(load, "npz", path)
    (tmp_path / "bare.npy").write_bytes(content)
    assert "is no .npy file of numbers" in refusal(read_published, tmp_path / "bare.npy", "")
    if claim in CLAIMS:
        with pytest.raises(ValueError, match=r"^(it|its header) "):
            arrays.map_npy(tmp_path / "bare.npy")


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3).T, np.zeros((0, 5)), np.array("text"), np.float16(3)])
def test_honest_arrays_are_read_as_numpy_reads_them(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", a=array)
    with arrays.ArrayFile(tmp_path / "a.npz") as file:
        ways = [file["a"], arrays.read_npy(tmp_path / "a.npy"), arrays.map_npy(tmp_path / "a.npy")]
    for values in ways:
        np.testing.assert_array_equal(values, array, strict=True)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_of_all_versions_and_of_python_2_are_read_without_a_warning(tmp_path, version):
    header = b"{'shape': (2, 3),'fortran_order':True, 'descr': '>i2'}"
    header = header if version == 3 else header.replace(b"2, 3", b"2L, 3L")
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(range(12)))
    wanted = np.frombuffer(bytes(range(12)), ">i2").reshape(2, 3, order="F")
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(arrays.read_npy(tmp_path / "a.npy"), wanted, strict=True)


def test_sizes_that_lie_in_an_archive_ask_for_no_memory(tmp_path):
    path = zipped(tmp_path / "mine.npz", {"images": npy(IMAGES), "labels": npy(LABELS)}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    # The unpacked size, in the directory at the archive's end.
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = b"\xf0\xff\xff\xff"
    path.write_bytes(content)
    assert "would unpack to" in refusal(load, "npz", path)
    # Smaller than it is: the values are cut off, and the checksum does not fit.
    content[place : place + 4] = struct.pack("<I", 150)
    path.write_bytes(content)
    assert "array images cannot be read" in refusal(load, "npz", path)


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "SMALL", 2**20)
    blank = np.zeros((12, 1000, 1000), np.uint8)
    np.savez_compressed(tmp_path / "bomb.npz", images=blank, labels=LABELS)
    assert "would unpack to" in refusal(load, "npz", tmp_path / "bomb.npz")
    # Many small parts count together, as when they share their bytes.
    parts = {f"p{i}": npy(blank[0]) for i in range(12)}
    zipped(tmp_path / "parts.npz", {**parts, "images": npy(IMAGES), "labels": npy(LABELS)}, zipfile.ZIP_DEFLATED)
    assert "would unpack to" in refusal(load, "npz", tmp_path / "parts.npz")
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *blank.shape)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + blank.tobytes(), 9))
    assert "would unpack to" in refusal(load, "idx", idx_folder(tmp_path))


def test_other_compressions_are_not_begun(tmp_path):
    """LZMA asks for as much memory as the file says."""
    path = zipped(tmp_path / "mine.npz", {"images": npy(IMAGES), "labels": npy(LABELS)}, zipfile.ZIP_LZMA)
    assert "compressed in a way that NumPy does not use" in refusal(load, "npz", path)


def idx_folder(folder) -> pathlib.Path:
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            path = folder / f"{part}-{name}-ubyte"
            if not path.exists():
                shape = struct.pack(f">{array.ndim}I", *array.shape)
                path.write_bytes(bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes())
    return folder


@pytest.mark.parametrize("shape", [(4_000_000_000, 28, 28), (2**32 - 1, 0, 2**32 - 1)])
@pytest.mark.parametrize("packed", [False, True])
def test_images_that_an_idx_header_claims_are_not_made_room_for(tmp_path, shape, packed):
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape) + bytes(100)
    suffix = ".gz" * packed
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(gzip.compress(content) if packed else content)
    refusal(load, "idx", idx_folder(tmp_path))


def png(width, height, rows=b"\0" * 50) -> bytes:
    """A picture that claims a size."""
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def picture_folder(folder, first: bytes) -> pathlib.Path:
    for label in "ab":
        (folder / "set" / label).mkdir(parents=True)
        Image.fromarray(IMAGES[0]).save(folder / "set" / label / "1.png")
    (folder / "set" / "a" / "0.png").write_bytes(first)
    return folder / "set"


@pytest.mark.parametrize(
    ("width", "height", "words"), [(60_000, 60_000, "exceeds limit"), (12_000, 9_000, "12000x9000 pixels")]
)
@pytest.mark.parametrize("side", [0, 8])
def test_pictures_of_no_size_that_they_claim_are_refused(tmp_path, width, height, words, side):
    assert words in refusal(load, "images", picture_folder(tmp_path, png(width, height)), image_size=side)


def test_large_pictures_of_few_bytes_are_refused_together(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "SMALL", 2**20)
    folder = picture_folder(tmp_path, png(2000, 2000, b"\0" * 2001 * 2000))
    assert "would unpack to" in refusal(load, "images", folder)


def test_a_picture_that_is_a_program_is_not_run(tmp_path):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n(x) run\n%%EOF\n"
    assert "not a picture that can be read (cannot identify" in refusal(
        load, "images", picture_folder(tmp_path, script)
    )


def test_a_pipe_among_pictures_is_passed_over(tmp_path):
    folder = picture_folder(tmp_path, png(4, 4, b"\0" * 20))
    (folder / "a" / "0.png").unlink()
    os.mkfifo(folder / "a" / "0.png")
    assert len(load("images", folder).labels) == 2


def test_file_names_that_are_no_text_are_made_readable(tmp_path):
    folder = picture_folder(tmp_path, png(4, 4, b"\0" * 20))
    Image.fromarray(IMAGES[0]).save(folder / "b" / "caf\udce9.png")
    dataset = load("images", folder)
    assert "b/caf\\xe9.png" in dataset.ids
    "".join(dataset.ids.tolist()).encode()


def test_text_that_cannot_be_written_is_refused():
    with pytest.raises(UserError, match="class_names: have halves of surrogate pairs"):
        jaxgen.data.checks.make_dataset("x", IMAGES, LABELS, source="x", class_names=np.array(["a", "\ud800", "c"]))


def test_a_long_cell_of_a_table_does_not_make_all_cells_long(tmp_path):
    rows = [f"{i},{'x' * 100_000 if i == 5 else 'y'}" for i in range(20_000)]
    (tmp_path / "long.csv").write_text("a,label\n" + "\n".join(rows))
    said = refusal(load, "csv", tmp_path / "long.csv")
    assert "column label: has a text of 100,000 characters" in said


def test_a_device_is_no_table(tmp_path):
    assert "/dev/zero: is no file" in refusal(load, "csv", "/dev/zero")


def test_a_line_for_the_user_is_one_line_whatever_a_file_is_called(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **{"a\nb\x1b[2J": LABELS, "y": LABELS, "x" * 60_000: LABELS})
    said = refusal(load, "npz", path)
    assert "a b\\x1b[2J" in said
    assert len(said) < LONGEST + 10
    assert said.startswith("--dataset=npz:")
    assert str(UserError("ä — ± 'fine'")) == "ä — ± 'fine'"


def test_pickles_make_no_room_and_call_nothing(tmp_path):
    class Call:
        def __init__(self, function, *arguments):
            self.reduced = function, arguments

        def __reduce__(self):
            return self.reduced

    header = forged_npy("(2,)", "'|O'", b"")
    labelled = {"labels": npy(LABELS[:2]), "scores": npy(np.ones(2))}
    refused = {
        "_reconstruct": pickle.dumps(Call(np.array(0).__reduce__()[0], np.ndarray, (10**12,), b"b")),
        "eval": pickle.dumps(Call(eval, "print('called')")),
        "encode": b"\x80\x02c_codecs\nencode\nX\x03\0\0\0abcX\x04\0\0\0zlib\x86R.",
        "list": pickle.dumps(["a.png", "b.png"]),
        "nested": pickle.dumps(np.array([["a"], "b"], object)),
    }
    for name, content in refused.items():
        path = zipped(tmp_path / f"{name}.npz", {**labelled, "filenames": header + content})
        assert "array filenames is not one of bytes or texts" in refusal(read_published, path, "", [str(path)])
    for protocol in (0, 2, 4):
        content = header + pickle.dumps(np.array([b"a.png", "b.png"], object), protocol=protocol)
        path = zipped(tmp_path / "good.npz", {**labelled, "filenames": content})
        np.testing.assert_array_equal(read_published(path, "", [str(path)]).ids, ["a.png", "b.png"])
        assert "--allow_pickle" in refusal(read_published, path, "")


def test_a_chunk_with_a_checksum_that_fits_must_have_its_rows(tmp_path):
    kept, chunk = open_store(tmp_path / "store", Plan({"--seed": "0"}, {"a": 4}), 0), Chunk("a", 0, 4)
    kept.write(chunk, {"run": np.arange(3), "finite": np.ones(3, bool)})
    assert "a row for each of its runs" in refusal(kept.read, chunk)
    said = []
    kept.verify(said.append)
    assert len(said) == 1
    assert kept.missing() == {"a": [(0, 4)]}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"settings": [1]}', '{"settings": {"width": %s}}' % ("9" * 5000)])
def test_settings_that_cannot_be_read_are_named(tmp_path, text):
    kept = open_store(tmp_path / "store", Plan({"--seed": "0"}, {"a": 4}), 0)
    (kept.folder / "plan.json").write_text(text)
    assert "plan.json: cannot be read" in refusal(kept.read_settings)
    other = tmp_path / "store" / "other"
    (other / "a").mkdir(parents=True)
    (other / "plan.json").write_text(json.dumps({"identity": ["no", "flags"]}))
    (other / "a" / "000000-000003.npz").write_bytes(b"")
    assert "plan.json cannot be read" in refusal(open_store, tmp_path / "store", Plan({"--seed": "0"}, {"a": 4}), 0)


def write_flags(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.cfg").write_text(text)
    return [f"--flagfile={folder / next(iter(files))}.cfg"]


def parse(argv):
    return flags.parse(spec.CscoreSpec, argv)


def test_flag_files_name_each_other_and_come_to_an_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "is read from within itself" in refusal(parse, write_flags(tmp_path, a="--flagfile=a.cfg\n"))
    assert "is read from within itself" in refusal(
        parse, write_flags(tmp_path, a="--flagfile=./b.cfg\n", b="--flagfile=.//a.cfg")
    )
    # Each twice the next: what absl reads four billion times.
    twice = {f"f{i}": f"--flagfile=f{i + 1}.cfg\n" * 2 for i in range(DEEPEST - 2)}
    assert "flag files have more than" in refusal(parse, write_flags(tmp_path, **twice, f18="--seed=1\n"))
    chain = {f"f{i}": f"--flagfile=f{i + 1}.cfg\n" for i in range(DEEPEST + 5)}
    assert f"or {DEEPEST} others" in refusal(parse, write_flags(tmp_path, **chain))
    assert "flag files have more than" in refusal(parse, ["--flagfile=/dev/zero"])
    chosen = parse(
        ["--seed=1", *write_flags(tmp_path, a="# a\n// b\n\n --seed=2\n--flagfile=b.cfg\n", b="--num_runs=7")]
    )
    assert (chosen.seed, chosen.subsets.num_runs) == (2, 7)
    assert parse(["--flagfile", "b.cfg", "--num_runs=8"]).subsets.num_runs == 8
    assert "names no file" in refusal(parse, ["--flagfile"])
    (tmp_path / "bytes.cfg").write_bytes(b"--seed=\xff\n--flagfile=\0")
    assert "--flagfile=bytes.cfg: " in refusal(parse, ["--flagfile=bytes.cfg"])


def test_a_flag_of_a_long_name_is_none(tmp_path):
    assert "not a flag" in refusal(parse, write_flags(tmp_path, a=f"--{'x' * 5000}=1\n"))


def test_a_noise_matrix_is_opened_as_what_it_is(tmp_path):
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(b"0.5,0.5\n" * 2))
    (tmp_path / "empty.csv").write_text("# nothing\n\n")
    for name in ("m.csv.gz", "empty.csv"):
        assert "cannot be read" in refusal(load_noise_matrix, str(tmp_path / name), 2)


def test_runs_of_mixed_types_are_read_and_others_refused(tmp_path):
    def write(**changes):
        run = {"correctness_train": np.ones(2), "index_train": np.arange(2, dtype=np.uint64)}
        run |= {"correctness_removed": np.ones(1, bool), "index_removed": np.array([2], np.int8)}
        (tmp_path / "0.5" / "0").mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / "0.5" / "0" / run_files.NAME, **{**run, **changes})
        return run_files.open_run_folder(tmp_path)

    assert write().num_examples == 3
    assert "do not belong together" in refusal(write, correctness_train=np.array(["a", "b"]))
    assert "do not belong together" in refusal(write, index_removed=np.array(2), correctness_removed=np.array(True))
    assert "not those of 3 examples" in refusal(write, index_removed=np.array([2**64 - 1], np.uint64))


def test_datamodels_of_other_types_are_refused(tmp_path):
    def write(masks, margins):
        np.save(tmp_path / "masks.npy", masks)
        np.save(tmp_path / "margins.npy", margins)
        return margin_files.open_margin_folder(tmp_path)

    assert "truth values and numbers are needed" in refusal(write, np.ones((2, 3), bool), np.full((2, 3), "a"))
    assert "truth values and numbers are needed" in refusal(write, np.ones((2, 3)), np.ones((2, 3)))
    assert "needed: [models" in refusal(write, np.ones((2, 0), bool), np.ones((2, 3)))
    (tmp_path / "masks.npy").write_bytes(forged_npy("(2, 3)", "'|b1'", b"\2\0\1\1\0\xff"))
    folder = margin_files.open_margin_folder(tmp_path)
    [outcome] = margin_files.stream_models(folder)
    np.testing.assert_array_equal(np.unpackbits(outcome.trained_on, axis=1)[:, :3], [[1, 0, 1], [1, 0, 1]])


def test_influences_without_positions_are_refused(tmp_path):
    assert "has no infl_matrix_class" in refusal(Matrix.of_classes, "x", {}, [])
    np.savez(tmp_path / "p.npz", tr_idx=np.array([-1, 2]), tt_idx=np.arange(2), infl=np.ones(2), mem=np.ones(2))
    assert "positions must be whole numbers from 0 up" in refusal(read_published, tmp_path / "p.npz", "influence")


PUBLISHED = [
    ({"labels": np.array([b"\xff", b"b"]), "scores": np.ones(2)}, "are bytes that are not UTF-8"),
    ({"labels": np.ones((2, 2)), "scores": np.ones(2)}, "labels: have shape (2, 2)"),
    ({"labels": np.zeros(0), "scores": np.zeros(0)}, "needed: one number an example"),
    ({"labels": np.ones(2), "scores": np.full(2, "a")}, "needed: one number an example"),
]


@pytest.mark.parametrize(("changes", "words"), PUBLISHED)
def test_published_scores_that_are_none_are_refused(tmp_path, changes, words):
    np.savez(tmp_path / "x-orig-order.npz", **changes)
    assert words in refusal(read_published, tmp_path / "x-orig-order.npz", "")


def test_names_of_classes_that_are_no_list_are_refused(tmp_path):
    path = kept_scores(tmp_path / "cscores.npz", class_names=np.array("a"))
    assert "class_names has shape ()" in refusal(read_published, path, "")


def test_an_influence_of_nobody_is_refused(tmp_path):
    np.savez(tmp_path / "demo.npz", memorization=np.ones(3), influence=np.ones((0, 3)))
    found = read_published(tmp_path / "demo.npz", "influence")
    assert "has no pairs" in refusal(found.all_pairs)


def test_a_network_that_has_no_inputs_is_no_model(tmp_path):
    model = flag_values(spec.ModelSpec(hidden=(3,)))
    told = {"model": model, "hidden": [3], "class_names": ["a"], "shape": [0], "precision": "float32"}
    np.savez(tmp_path / "model.npz", description=np.array(json.dumps(told)))
    assert "is no model kept by --save_models" in refusal(jaxgen.load_model, tmp_path / "model.npz")


SCORES = [
    ({"labels": np.full(12, 7)}, "labels are not numbers of its 3 classes"),
    ({"ids": np.zeros(12)}, "ids has shape (12,) and type float64"),
    ({"scores": np.full(12, 1.5)}, "scores has numbers below 0 or above"),
    ({"scores": np.full(12, np.inf)}, "scores has numbers below 0 or above"),
    ({"subset_ratios": np.array([np.nan, 0.5])}, "subset_ratios are not between 0 and 1"),
    ({"subset_ratios": np.empty(0)}, "has shape"),
    ({"num_runs": np.float64(np.inf)}, "not a cscores.npz"),
    ({"num_runs": np.int64(10**12)}, "heldout_accuracy has shape"),
    ({"counts": np.full((2, 12), -1)}, "counts has numbers below 0"),
    ({"class_names": np.arange(3)}, "class_names has shape (3,) and type int64"),
    ({"metadata": np.array("[" * 50_000)}, "not a cscores.npz"),
    ({"metadata": np.array('{"seconds": "many"}')}, "metadata has 'many' for seconds"),
    ({"metadata": np.array('{"seconds": NaN}')}, "metadata has 'nan' for seconds"),
    ({"metadata": np.array('{"influence": {"pairs": []}}')}, "metadata has '[]' for pairs"),
    ({"metadata": np.array('{"flags": {"hidden": 8}}')}, "metadata does not tell the flags"),
]


def kept_scores(path, **changes):
    """A cscores.npz with everything, and some of its arrays others."""
    scores = with_everything(make_dataset_with_tests(12, num_tests=4))
    score_files.write_scores(scores, path)
    with arrays.ArrayFile(path) as file:
        np.savez(path, **{**file, **changes})
    return path


@pytest.mark.parametrize(("changes", "words"), SCORES)
def test_scores_that_are_none_are_refused(tmp_path, changes, words):
    assert words in refusal(score_files.load_scores, kept_scores(tmp_path / "cscores.npz", **changes))


def write_page(folder, **changes) -> Reader:
    kept_scores(folder / "cscores.npz", **changes)
    write_report(spec.ReportSpec(run_dir=str(folder)), log=lambda line: None)
    return Reader((folder / "report.html").read_text())


def test_a_page_leaves_out_what_does_not_fit(tmp_path):
    """Of each the page would index beyond arrays, or hold numbers that JSON has not."""
    changes = {
        "memorization": np.full(12, "text"),
        "csl": np.full(12, 1e300),
        "pred_probs": np.ones((12, 2)),
        "curve_epochs": np.float64(3),
        "influence_train": np.full(12, 99),
        "influence_ratio": np.array("half"),
    }
    [about] = [text for tag, text in write_page(tmp_path, **changes).all("script") if tag.get("id") == "about"]
    told = json.loads(about, parse_constant=lambda name: pytest.fail(name))
    assert not {"value:memorization", "guesses", "curve_epochs", "pair_train"} & told["arrays"].keys()
    assert {"value:csl", "value:aum"} <= told["arrays"].keys()
    few = pack_coarsely(np.array([-1.7e308, 0.5, 1.7e308, np.inf, np.nan]), 2)
    assert (few.form["low"], few.form["step"]) == (0.5, 1.0)


MARKUP = [
    *HOSTILE,
    *(text for text in TEXTS if text and text != "\ud800"),
    "]]>",
    "<!--<script>",
    "'\"`${1}",
    "\0\u202e",
]


def test_whatever_a_score_file_says_the_page_has_its_own_markup_only(tmp_path):
    plain = write_page(tmp_path)
    counted = lambda page: [tag for tag, _ in page.tags]  # noqa: E731
    for text in MARKUP:
        told = {"flags": {"dataset": text, "model": text, text or "x": text, "hidden": text, "optimizer": text}}
        told |= {"dataset": text, "setting": text, "version": text, "devices": text, "jax": text, "fingerprint": text}
        changes = {"metadata": np.array(json.dumps(told)), "class_names": np.array([text, f"{text}1", f"{text}2"])}
        changes["ids"] = np.array([f"{text}{i}" for i in range(12)])
        page = write_page(tmp_path, **changes)
        assert not {"img", "iframe", "object", "embed", "link", "base"} & set(counted(page))
        assert counted(page).count("script") == counted(plain).count("script")
        for _, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on")]
            assert attributes.get("href", "#").startswith(("#", "http"))
        [about] = [content for tag, content in page.all("script") if tag.get("id") == "about"]
        # Numpy's texts end before their zeros.
        assert json.loads(about)["classes"][1] == f"{text}1"
        raw = (tmp_path / "report.html").read_text()
        assert "\u2028" not in raw.split('id="about">')[1].split("</script>")[0]


def test_scores_of_other_examples_have_no_pictures(tmp_path):
    """Their fingerprint may be known to whoever wrote the file."""
    np.savez(tmp_path / "mine.npz", images=IMAGES[:11], labels=LABELS[:11])
    source = f"npz:{tmp_path / 'mine.npz'}"
    dataset = load_dataset(spec.DataSpec(dataset=source))
    told = json.dumps({"flags": {"dataset": source}, "fingerprint": dataset.fingerprint})
    page = write_page(tmp_path, metadata=np.array(told))
    assert "holds other data than were scored" in page.all("p")[1][1]


def test_a_score_file_alone_has_nothing_fetched(tmp_path, monkeypatch):
    from jaxgen.data import image_sets

    monkeypatch.setattr(image_sets, "connection_failure", lambda host, port: pytest.fail(f"asks {host}"))
    monkeypatch.chdir(tmp_path)
    told = json.dumps({"flags": {"dataset": "mnist", "data_dir": str(tmp_path / "nowhere")}})
    page = write_page(tmp_path, metadata=np.array(told))
    assert "is fetched only if asked for" in page.all("p")[1][1]
    assert not (tmp_path / "nowhere").exists()


NETWORK = re.compile(
    r"^\s*(import|from)\s+(socket|http|urllib\.request|urllib3|requests|pooch|tensorflow_datasets|ftplib|smtplib|aiohttp|"
    r"xmlrpc)\b",
    re.MULTILINE,
)


def test_only_what_is_asked_for_asks_the_network():
    modules = pathlib.Path(jaxgen.__file__).parent.rglob("*.py")
    asking = {path.name for path in modules if NETWORK.search(path.read_text())}
    # Data sets by name, and a cluster by its address.
    assert asking == {"image_sets.py", "tfds.py", "ray_cluster.py"}


@pytest.mark.slow
def test_importing_and_training_opens_no_socket(tmp_path):
    """Nothing that jaxgen depends on calls home either."""
    program = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
from jaxgen import cscore, report
flags = ["--num_runs=2", "--subset_ratios=0.5", "--hidden=4", "--epochs=1", "--num_examples=60", "--out=out"]
assert cscore.main(flags) == 0
assert report.main(["out"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()
