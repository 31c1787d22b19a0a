"""Files that nobody should trust, for hypothesis to draw: real ones with bits flipped, cut, spliced and with forged
headers, and archives that are whole and hold the wrong things."""

import io
import json
import os
import re
import zipfile

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Numbers that headers may claim.
CLAIMS = ["0", "1", "-1", "255", "65536", "4294967295", "1000000000000", "9" * 40, "1e9", "True", ""]
TEXTS = ["", "</script><script>hacked=1</script>", "\u2028\u2029", "\x1b[2J\r\n", "=1+1", "\ud800", "{{ 7 * 7 }}"]
TEXTS += ["x" * 300]
LEAVES = st.sampled_from([None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), *TEXTS])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3)
)
NUMBERS = ["?", "u1", "i1", "i8", "u8", "f2", "f4", "f8", "c16", ">f4", ">i8"]
TYPES = [*NUMBERS, "S3", "U3", "V2", "O", "f4,i8", "M8[s]", "U0"]
SETS = [b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"PK\x01\x02", b"\n", b",", b'"', b"<"]
SHAPES = [(), (0,), (1,), (3,), (12,), (13,), (2, 12), (12, 2), (0, 7), (2, 3, 12), (12, 3), (3, 12), (1,) * 40]


class MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def profile(examples):
    """Drawn the same every time, without a clock."""
    checks = list(HealthCheck)
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


@st.composite
def mutated(draw, content: bytes) -> bytes:
    """A file's bytes, changed in one to four places; or others altogether."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        # Headers and directories stand at the ends, and much of a file is values.
        ends = st.integers(0, min(200, len(content))) | st.integers(max(0, len(content) - 300), len(content))
        at = draw(ends | st.integers(0, len(content)))
        kind = draw(st.sampled_from(["flip", "cut", "splice", "set", "number", "repeat"]))
        if kind == "cut":
            content = content[:at]
        elif kind == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
        elif kind == "set":
            new = draw(st.sampled_from(SETS))
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "splice":
            other = draw(st.integers(0, len(content)))
            content = content[:at] + content[other : other + draw(st.integers(0, 64))] + content[at:]
        elif kind == "repeat":
            content = content[:at] + draw(st.binary(min_size=1, max_size=4)) * draw(st.integers(1, 64)) + content[at:]
        elif numbers := list(re.finditer(rb"\d+", content)):
            number = numbers[draw(st.integers(0, len(numbers) - 1))]
            content = content[: number.start()] + draw(st.sampled_from(CLAIMS)).encode() + content[number.end() :]
    return content


@st.composite
def hostile_json(draw, value):
    """A JSON value in which one is another, however deep."""
    keys = sorted(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not keys or draw(st.integers(0, 4)) == 0:
        return draw(JSON)
    key = draw(st.sampled_from(keys))
    changed = value.copy()
    changed[key] = draw(hostile_json(value[key]))
    if draw(st.integers(0, 9)) == 0:
        del changed[key]
    return changed


@st.composite
def hostile_arrays(draw, like: np.ndarray) -> np.ndarray:
    """An array in the place of another: of another type, shape or with values beyond what they mean."""
    kind = draw(st.sampled_from(["values", "type", "shape", "other", "text"]))
    if kind == "text":
        texts = draw(st.lists(st.sampled_from(TEXTS), min_size=like.size, max_size=like.size))
        return np.array(texts, dtype=str).reshape(like.shape)
    with np.errstate(all="ignore"):
        if kind == "type" and like.dtype.kind in "biuf":
            return like.astype(draw(st.sampled_from(NUMBERS)))
        if kind == "values" and like.dtype.kind in "biuf" and like.size:
            changed = like.copy()
            values = [-1, 0, 1, 2**31, -(2**63), np.nan, np.inf, -np.inf, 1e300, 5e-324, 1e30]
            value = np.float64(draw(st.sampled_from(values)))
            at = draw(st.integers(0, like.size - 1))
            changed.reshape(-1)[at : at + draw(st.sampled_from([1, like.size]))] = value.astype(like.dtype)
            return changed
    if kind == "shape":
        return draw(st.sampled_from([like.T, like[None], like.reshape(-1), like.reshape(-1)[:1], like.reshape(-1)[1:]]))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    shape = draw(st.sampled_from(SHAPES))
    return np.zeros(shape[:32] if dtype.hasobject else shape, dtype)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


@st.composite
def hostile_npz(draw, arrays: dict[str, np.ndarray]) -> bytes:
    """An archive that zipfile finds whole, some of whose arrays are gone, others, or of forged headers."""
    members = {name: npy(array) for name, array in arrays.items()}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(arrays)))
        kind = draw(st.sampled_from(["drop", "array", "array", "array", "header", "bytes", "add"]))
        text = str(arrays[name]) if arrays[name].ndim == 0 else ""
        if text.startswith("{") and kind != "drop":
            members[name] = npy(np.asarray(json.dumps(draw(hostile_json(json.loads(text))))))
            continue
        if kind == "drop":
            members.pop(name, None)
        elif kind == "array":
            members[name] = npy(draw(hostile_arrays(np.asarray(arrays[name]))))
        elif kind == "add":
            members[draw(st.sampled_from(TEXTS[1:5]))] = npy(np.zeros(3))
        else:
            content = npy(arrays[name])
            size = 128 if kind == "header" else len(content)
            members[name] = draw(mutated(content[:size])) + content[size:]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy".encode("utf-8", "replace").decode(), content)
    return buffer.getvalue()


def forged_npy(shape: str, descr: str = "'<f8'", values: bytes = b"\0" * 64) -> bytes:
    """An array's file whose header claims what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header = f"{header:<{117}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values
