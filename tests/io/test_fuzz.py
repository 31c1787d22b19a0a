"""No file makes a reader do anything but read it or refuse it in one line: whatever is in it, whatever it claims."""

import dataclasses
import gzip
import io
import json
import pathlib
import struct
import warnings

import datasets
import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from jaxgen import config as spec
from jaxgen.config import flags
from jaxgen.config.fields import flag_fields, flag_values
from jaxgen.data import READERS, load_dataset
from jaxgen.data.corrupted_folders import read_folder
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.data.published.scores import read_published
from jaxgen.data.score_files import load_scores
from jaxgen.errors import UserError
from jaxgen.experiments.compare.matching import match
from jaxgen.experiments.compare.recompute import open_runs
from jaxgen.experiments.compare.run import resolve
from jaxgen.experiments.cscore.page import write_report
from jaxgen.io.arrays import ArrayFile
from jaxgen.models import make_model
from jaxgen.runs.plan import Chunk, Plan
from jaxgen.runs.saved_models import ModelFolder, load_model
from jaxgen.runs.store import DamagedChunk, Store, open_store
from support.data import blobs, make_dataset_with_tests
from support.forging import CLAIMS, TEXTS, hostile_npz, mutated, npy, profile
from support.pages import Reader
from support.scores import with_everything

IMAGES, LABELS = blobs(12)
EXAMPLES = pytest.mark.parametrize("examples", [25, pytest.param(2000, marks=pytest.mark.slow)], ids=["few", "many"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def refused(read, *arguments) -> str:
    """What the reader says of a file that it refuses: one line that a terminal shows; empty if it reads it."""
    # A warning would be a second line.
    with warnings.catch_warnings(action="error"):
        try:
            read(*arguments)
        except DamagedChunk as error:
            return str(error) or "damaged"
        except UserError as error:
            message = str(error)
        else:
            return ""
    assert message, "says why"
    assert message.isprintable()
    return message


def load(kind, path, **flags):
    return load_dataset(spec.DataSpec(dataset=f"{kind}:{path}", **flags))


def packed(arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def idx(array) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def picture(kind) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(buffer, kind)
    return buffer.getvalue()


def chunk_store(folder) -> Store:
    return open_store(folder / "store", Plan({"--seed": "0"}, {"a": 4}), 0)


def rows() -> dict[str, np.ndarray]:
    return {"run": np.arange(4), "finite": np.ones(4, bool), "tracked_loss": np.zeros((4, 3), np.float16)}


def own_arrays() -> dict[str, np.ndarray]:
    """What a cscores.npz holds, with everything."""
    scores = with_everything(make_dataset_with_tests(12, num_tests=4))
    scores.metadata.update(flags={"dataset": "npz:mine.npz", "hidden": "8"}, dataset="mine", influence={"pairs": 3})
    scores.more["influence_ratio"] = np.float64(0.7)
    scores.more["pred_probs"][7] = np.nan
    arrays = {field.name: getattr(scores, field.name) for field in dataclasses.fields(scores)}
    arrays |= {**arrays.pop("more"), "metadata": json.dumps(scores.metadata)}
    return {name: np.asarray(array) for name, array in arrays.items()}


DATA = {"images": IMAGES, "labels": LABELS, "class_names": np.array(["a", "b", "c"]), "ids": np.arange(12)}
RUN = {"correctness_train": np.ones(8, bool), "index_train": np.arange(8), "correctness_removed": np.ones(4, bool)}
RUN |= {"index_removed": np.arange(8, 12), "correctness_test": np.ones(3, bool), "index_test": np.arange(3)}
MATRICES = {"tr_labels": LABELS, "tr_mem": np.ones(12), "tr_classidx_0": np.arange(4), "tt_classidx_0": np.arange(3)}
MATRICES |= {"infl_matrix_class0": np.ones((3, 4))}
PAIRS = {"tr_idx": np.arange(3), "tt_idx": np.arange(3), "infl": np.ones(3), "mem": np.ones(3)}
NAMED = {
    "labels": LABELS,
    "scores": np.linspace(0, 1, 12),
    "filenames": np.array([b"%d.png" % i if i % 2 else str(i) for i in range(12)], object),
}
TABLE = b"id,a,b,class\n" + b"".join(b"%d,%d.5,2e3,%s\n" % (i, i * i, b"xyz"[i % 3 : i % 3 + 1]) for i in range(12))
FLAGS = "--num_runs=20\n# a comment\n--hidden=8,4\n--dataset=npz:x.npz\n--learning_rate=0.1,0.2\n"
FLAGS += "--subset_ratios=0.1:0.9:0.2\n"


def read_everything(path, score=""):
    """A published file as `jaxgen.compare` takes it: also beside another, by ids and by pairs."""
    published = read_published(path, score, [str(path)])
    first, second = resolve(published, published)
    match(first, second)


def read_runs(path):
    runs = open_runs(path)
    for place in range(len(runs.ratios)):
        for outcome in runs.stream(place):
            assert len(outcome.finite)


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_chunk(path):
    kept = Store(path.parent.parent, Plan({"--seed": "0"}, {"a": 4}))
    refused(kept.read, Chunk("a", 0, 4))
    kept.read(Chunk("a", 0, 4), tracked=True)


def model_arrays(folder) -> dict[str, np.ndarray]:
    """What a kept model's file holds."""
    import jax

    model = spec.ModelSpec(hidden=(3,))
    network = make_model(model, 3, (4, 4, 1))
    variables = network.init(jax.random.key(0), np.zeros((1, 4, 4, 1), np.float32))
    description = {"model": flag_values(model), "hidden": [3], "class_names": ["a", "b", "c"], "shape": [4, 4, 1]}
    description |= {
        "scale": 1.0,
        "whiten": False,
        "dtype": "uint8",
        "precision": "float32",
        "shift": 0.0,
        "spread": 1.0,
    }

    class Variables:
        def _asdict(self):
            return {"params": variables["params"]}

    kept = ModelFolder(folder / "kept", description)
    kept.write("ratio_0.5", 0, Variables())
    with ArrayFile(kept.path("ratio_0.5", 0)) as file:
        return dict(file)


class Case:
    """A reader and the files that it reads: `arrays` where these are archives."""

    def __init__(self, path, read, content=b"", arrays=None):
        self.path, self.read, self.arrays = path, read, arrays
        self.content = packed(arrays) if arrays else content


def parquet_table() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": [1.5, 2, 3, 4], "class": ["x", "y", "x", "y"]}), file)
    return file.getvalue()


def saved(folder, name) -> bytes:
    datasets.disable_progress_bars()
    columns = {"a": [1.5, 2, 3, 4], "label": ["x", "y", "x", "y"]}
    datasets.Dataset.from_dict(columns).save_to_disk(folder / "saved")
    return (folder / "saved" / name).read_bytes()


def cases(folder) -> dict[str, Case]:
    """Every reader with one of its files, and whatever must stand beside it."""
    for name, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        for kind in ("plain", "gzip"):
            written(folder, f"{kind}/{name}", idx(array))
            written(folder, f"{kind}/{name.replace('train', 't10k')}", idx(array))
    (folder / "gzip" / "train-images-idx3-ubyte").unlink()
    for label in "ab":
        for i in range(2):
            written(folder, f"images/{label}/{i}.png", picture("PNG"))
            written(folder, f"photos/{label}/{i}.jpg", picture("JPEG"))
    five = {"labels.npy": np.tile(LABELS[:2], 5), "fog.npy": np.tile(IMAGES[:2], (5, 1, 1))}
    six = {"masks.npy": np.ones((4, 6), bool), "margins.npy": np.ones((4, 3), np.float16), "_completed.npy": np.ones(4)}
    for root, arrays in (("corrupted", five), ("margins", six)):
        for name, array in arrays.items():
            written(folder, f"{root}/{name}", npy(array))
    chunk_store(folder).write(Chunk("a", 0, 4), rows())
    kept = chunk_store(folder).path(Chunk("a", 0, 4))
    chunk_store(folder).record_settings({"width": 2})
    plan = kept.parent.parent / "plan.json"
    matrix = np.full((3, 3), 1 / 3)
    own, demo = own_arrays(), {"memorization": np.ones(12), "influence": np.ones((3, 12))}
    tables = "mnist-cscores.npy"
    return {
        "idx": Case("plain/train-images-idx3-ubyte", lambda path: load("idx", path.parent), idx(IMAGES)),
        "packed idx": Case(
            "gzip/train-images-idx3-ubyte.gz",
            lambda path: load("idx", path.parent),
            gzip.compress(idx(IMAGES), mtime=0),
        ),
        "npz": Case("mine.npz", lambda path: load("npz", path), arrays=DATA),
        "csv": Case("mine.csv", lambda path: load("csv", path, label_column="class"), TABLE),
        "parquet": Case("mine.parquet", lambda path: load("parquet", path, label_column="class"), parquet_table()),
        # Arrow trusts the bytes of its own files; those that say what they hold are read with care.
        "hf": Case("saved/state.json", lambda path: load("hf", path.parent), saved(folder, "state.json")),
        "hf types": Case(
            "saved/dataset_info.json", lambda path: load("hf", path.parent), saved(folder, "dataset_info.json")
        ),
        "png": Case("images/a/0.png", lambda path: load("images", path.parent.parent), picture("PNG")),
        "jpeg": Case("photos/a/0.jpg", lambda path: load("images", path.parent.parent, image_size=3), picture("JPEG")),
        "chunk": Case(kept.relative_to(folder), read_chunk, kept.read_bytes()),
        "settings": Case(plan.relative_to(folder), lambda path: chunk_store(folder).read_settings(), plan.read_bytes()),
        "plan": Case("store/other/plan.json", lambda path: chunk_store(folder), plan.read_bytes()),
        "scores": Case("own/cscores.npz", load_scores, arrays=own),
        "report": Case("page/cscores.npz", lambda path: report(path.parent), arrays=own),
        "own published": Case("own.npz", read_everything, arrays=own),
        "own influence": Case("pairs.npz", lambda path: read_everything(path, "influence"), arrays=own),
        "class matrices": Case("infl.npz", lambda path: read_everything(path, "influence"), arrays=MATRICES),
        "pairs": Case("infl_pairs.npz", read_everything, arrays=PAIRS),
        "demo": Case("demo.npz", lambda path: read_everything(path, "influence"), arrays=demo),
        "named": Case("named.npz", read_everything, arrays=NAMED),
        "bare": Case(tables, read_everything, npy(np.linspace(0, 1, 12))),
        "column": Case("table.csv", lambda path: read_everything(pathlib.Path(f"{path}:a")), TABLE),
        "run": Case("runs/0.5/0/aux_arrays.npz", lambda path: read_runs(folder / "runs"), arrays=RUN),
        "masks": Case("margins/masks.npy", lambda path: read_runs(path.parent), npy(six["masks.npy"])),
        "margins": Case("margins/margins.npy", lambda path: read_runs(path.parent), npy(six["margins.npy"])),
        "completed": Case("margins/_completed.npy", lambda path: read_runs(path.parent), npy(six["_completed.npy"])),
        "corrupted": Case("corrupted/fog.npy", lambda path: read_folder(path.parent), npy(five["fog.npy"])),
        "corrupted labels": Case(
            "corrupted/labels.npy", lambda path: read_folder(path.parent), npy(five["labels.npy"])
        ),
        "noise npz": Case("noise.npz", lambda path: load_noise_matrix(path, 3), arrays={"matrix": matrix}),
        "noise npy": Case("noise.npy", lambda path: load_noise_matrix(path, 3), npy(matrix)),
        "noise csv": Case("noise.csv", lambda path: load_noise_matrix(path, 3), b"0.5,0.25,0.25\n" * 3),
        "model": Case("model.npz", load_model, arrays=model_arrays(folder)),
        "flags": Case("flags.cfg", lambda path: flags.parse(spec.CscoreSpec, [f"--flagfile={path}"]), FLAGS.encode()),
    }


# Pytest wants the names of the cases before their files can be written.
NAMES = (
    "idx",
    "packed idx",
    "npz",
    "csv",
    "parquet",
    "hf",
    "hf types",
    "png",
    "jpeg",
    "chunk",
    "settings",
    "plan",
    "scores",
    "report",
)
NAMES += (
    "own published",
    "own influence",
    "class matrices",
    "pairs",
    "demo",
    "named",
    "bare",
    "column",
    "run",
    "masks",
)
NAMES += (
    "margins",
    "completed",
    "corrupted",
    "corrupted labels",
    "noise npz",
    "noise npy",
    "noise csv",
    "model",
    "flags",
)
ARCHIVES = ("npz", "scores", "report", "own published", "own influence", "class matrices", "pairs", "demo", "named")
ARCHIVES += ("run", "noise npz", "model")


def report(folder):
    write_report(spec.ReportSpec(run_dir=str(folder)), log=lambda line: None)
    page = Reader((folder / "report.html").read_text())
    [script] = [text for tag, text in page.all("script") if "type" not in tag]
    assert script.startswith("\n'use strict'") or "'use strict'" in script[:20]
    assert not page.all("img")


@pytest.fixture(scope="module")
def readers(folder):
    by_name = cases(folder)
    assert set(by_name) == set(NAMES) >= {*READERS} - {"images"} | {"png", "jpeg"}
    for name, case in by_name.items():
        assert not refused(case.read, written(folder, case.path, case.content)), f"{name}: refuses a real file"
    return by_name


def hold(folder, case, strategy, examples):
    """No file that is drawn is answered by anything but its contents or one line; the real one is there afterwards."""

    @profile(examples)
    @given(strategy)
    def read_drawn(content):
        refused(case.read, written(folder, case.path, content))

    try:
        read_drawn()
    finally:
        written(folder, case.path, case.content)


@EXAMPLES
@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes_are_read_or_refused(folder, readers, name, examples):
    hold(folder, readers[name], mutated(readers[name].content), examples)


@EXAMPLES
@pytest.mark.parametrize("name", ARCHIVES)
def test_whole_archives_of_other_things_are_read_or_refused(folder, readers, name, examples):
    hold(folder, readers[name], hostile_npz(readers[name].arrays), examples)


SPECS = [spec.CscoreSpec, spec.CompareSpec, spec.MislabelledSpec, spec.RandomizationSpec, spec.RobustnessSpec]
SPECS += [spec.OversamplingSpec, spec.LnrSpec, spec.ReportSpec, spec.BenchSpec]
NUMBERS = [*CLAIMS, "a", "auto", "true", "nan", "inf", "-inf", "1e400", "5e-324", "1_0", "9" * 5000]
PARTS = st.sampled_from([*NUMBERS, *TEXTS])
FLAG_TEXTS = st.one_of(
    PARTS,
    st.lists(PARTS, max_size=4).map(",".join),
    st.lists(PARTS, max_size=4).map(":".join),
    st.text(max_size=12),
)


@EXAMPLES
@pytest.mark.parametrize("spec_class", SPECS, ids=lambda each: each.__name__)
def test_flags_of_any_text_are_taken_or_refused(spec_class, examples):
    names = [f"{sign}{field.name}" for _, field in flag_fields(spec_class) for sign in ("--", "-", "--no")]

    @profile(examples)
    @given(st.lists(st.tuples(st.sampled_from([*names, "", "--", "--x"]), st.sampled_from(["", "=", " "]), FLAG_TEXTS)))
    def parse_drawn(words):
        argv = [
            part for name, mark, text in words for part in ([name, text] if mark == " " else [f"{name}{mark}{text}"])
        ]
        refused(flags.parse, spec_class, [word for word in argv if "flagfile" not in word])

    parse_drawn()
