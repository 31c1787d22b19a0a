"""What a job has written, in few words: of each column of its tables and each array a digest and a mean.

On the machine that recorded a job, by the same versions, all digests are compared. Elsewhere floats round otherwise:
there what is drawn before anything is learnt is compared by its digest, and what is learnt by its mean.
"""

import csv
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re

import numpy as np

PACKAGES = ("jax", "jaxlib", "numpy", "optax", "flax", "scikit-learn", "imbalanced-learn")
# Drawn before anything is learnt: equal on every machine.
DRAWN = {"trained_on", "validation", "changed", "run", "setting", "subset_ratio", "sample_size", "num_train", "fold"}
# Clocks, and what names a machine.
LEFT_OUT = {"seconds", "metadata", "checksum", "checksum_of_tracked"}
# Five jobs compiled with all optimizations, and three for SSE 4.2 alone, differed in last bits: no answer turned over,
# and no mean moved by more than a millionth. One answer of 60, turned over, would move a mean by 0.017.
TOLERANCE = 0.02
FIGURES = {".png", ".pdf", ".html", ".cfg"}


def machine():
    """What decides how floats round: the processor, its instructions, and the versions that compile for it."""
    path = pathlib.Path("/proc/cpuinfo")
    facts = (
        dict(re.findall(r"^(model name|flags)\s*: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        if path.exists()
        else {}
    )
    instructions = hashlib.sha256(facts.get("flags", "").encode()).hexdigest()[:8]
    processor = f"{facts.get('model name', platform.processor())} {instructions}"
    return [processor, *(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)]


def columns_of(path):
    """A csv file's columns, or an npz file's arrays."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def digest(array):
    """Of an array's values, shape and kind of type."""
    return hashlib.sha256(f"{array.dtype.kind}{array.shape}".encode() + array.tobytes()).hexdigest()[:8]


def mean(array):
    """The mean of the finite numbers of an array, of bits where it packs them; None where it has none."""
    try:
        values = np.unpackbits(array) if array.dtype == np.uint8 else array.astype(float)
    except ValueError:
        return None
    values = values[np.isfinite(values)]
    return round(float(values.mean()), 6) if values.size else None


def summarize_file(path):
    """By column ``[digest, mean]``: of figures and flag files nothing, of a text its digest."""
    if path.suffix in FIGURES:
        return {}
    if path.suffix == ".md":
        return {"": [digest(np.frombuffer(path.read_bytes(), np.uint8)), None]}
    return {name: [digest(array), mean(array)] for name, array in columns_of(path).items() if name not in LEFT_OUT}


def summarize_folder(folder):
    """All that a job has left in its folder: ``{"machine": ..., "files": {file: {column: [digest, mean]}}}``.

    Digests of plans in the names of folders are left out: they name the version.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".csv", ".npz", ".md", *FIGURES}:
            name = re.sub(r"\b[0-9a-f]{12}\b", "PLAN", path.relative_to(folder).as_posix())
            files[name] = summarize_file(path)
    return {"machine": machine(), "files": files}


def as_columns(summary):
    """By ``file:column`` ``[digest, mean]``; a file without columns has None."""
    columns = {}
    for file, values in summary["files"].items():
        columns |= {f"{file}:{name}".rstrip(":"): value for name, value in values.items()} or {file: None}
    return columns


def compare(recorded, summary):
    """What differs from the record, a phrase each; nothing where the jobs are equal."""
    if recorded is None:
        return ["is not in the record"]
    old, new = as_columns(recorded), as_columns(summary)
    differences = [f"{name} is gone" for name in old if name not in new]
    differences += [f"{name} is new" for name in new if name not in old]
    exactly = recorded["machine"] == summary["machine"]
    for name in [name for name in old if name in new and old[name] and new[name]]:
        if exactly or name.split(":")[-1] in DRAWN:
            differences += [f"{name} differs"] * (old[name][0] != new[name][0])
        elif not is_close(old[name][1], new[name][1]):
            differences.append(f"{name} has mean {new[name][1]}, not {old[name][1]}")
    return differences


def is_close(expected, actual):
    """Whether means are equal but for how floats round."""
    if expected is None or actual is None:
        return expected is actual
    return abs(actual - expected) <= TOLERANCE * max(1, abs(expected))


def read_record(path):
    """By job its summary, from a file of a line a job."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line.pop("job"): line for line in lines}


def write_record(path, record):
    """The other way."""
    lines = [json.dumps({"job": job, **summary}, separators=(",", ":")) for job, summary in record.items()]
    path.write_text("\n".join(lines) + "\n")
