"""Read what beyondrag needs from a GGUF file: scalar metadata and small f32 tensors.

Covered: GGUF versions 2 and 3, little endian; every scalar type; arrays are skipped, except that
their length is kept.  Not covered: big-endian files, quantised tensors (llama.cpp reads those).
Every count and length is checked against the file's size before it is used.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import ModelFileError
from kvfiles.regular_file import open_regular

MAGIC = b"GGUF"
SUPPORTED_VERSIONS = (2, 3)

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_F32_TENSOR = 0
_MAX_STRING = 1 << 24
_MAX_DIMS = 8
_REMEDY = "pull the model again, or name another GGUF file"

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: `shape` in ggml order (fastest first), `offset` in bytes from the file's start."""

    shape: tuple[int, ...]
    ggml_type: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Scalar metadata by key, array lengths by key and the tensor table of one GGUF file."""

    path: Path
    metadata: dict[str, Scalar]
    array_lengths: dict[str, int]
    tensors: dict[str, TensorInfo]

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", "unknown"))

    def arch(self, key: str) -> Scalar | None:
        """The value of `<architecture>.<key>`, or None."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def read_f32(self, name: str, max_values: int = 1 << 16) -> NDArray[np.float32] | None:
        """The f32 tensor `name`, flattened, or None if the file has none.

        Raises ModelFileError when it is not f32, too large or outside the file.
        """
        info = self.tensors.get(name)
        if info is None:
            return None
        count = math.prod(info.shape)
        if info.ggml_type != _F32_TENSOR or not 0 < count <= max_values:
            raise ModelFileError(
                f"tensor {name} is not a small f32 tensor", subject=str(self.path), remedy=_REMEDY
            )
        try:
            with open_regular(self.path) as file:
                file.seek(info.offset)
                raw = file.read(count * 4)
        except (OSError, OverflowError, ValueError) as error:  # an offset that no file can have
            raise ModelFileError(f"tensor {name}: {error}", subject=str(self.path), remedy=_REMEDY) from error
        if len(raw) != count * 4:
            raise ModelFileError(
                f"tensor {name} lies outside the file", subject=str(self.path), remedy=_REMEDY
            )
        return np.frombuffer(raw, "<f4").copy()


class _Reader:
    """A cursor over the mapped file; every step is bounds-checked by struct or by `take`."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def scalar(self, fmt: str) -> Scalar:
        (value,) = struct.unpack_from(fmt, self.data, self.at)
        self.at += struct.calcsize(fmt)
        return value  # type: ignore[no-any-return]  # struct knows the format only at run time

    def count(self, fmt: str = "<Q") -> int:
        return int(self.scalar(fmt))

    def skip(self, n: int) -> None:
        if n < 0 or self.at + n > len(self.data):
            raise ValueError("length points outside the file")
        self.at += n

    def string(self) -> str:
        n = self.count()
        if n > _MAX_STRING:
            raise ValueError("string too long")
        start = self.at
        self.skip(n)
        return self.data[start : self.at].decode("utf-8", "replace")

    def skip_array(self) -> int:
        item_type, n = self.count("<I"), self.count()
        if item_type == _STRING:
            for _ in range(n):
                self.skip(self.count())
        elif item_type in _SCALARS:
            self.skip(n * struct.calcsize(_SCALARS[item_type]))
        else:
            raise ValueError(f"unknown array type {item_type}")
        return n


def read_gguf(path: Path) -> GgufHeader:
    """Read the header of `path`.

    Raises ModelFileError when the file is missing, unreadable, truncated or not a GGUF.
    """
    try:
        with open_regular(path) as file:
            start = file.read(4)
            if start != MAGIC:
                raise ModelFileError(
                    "this is not a GGUF model", subject=str(path), remedy="name a .gguf file"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, _Reader(data))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ModelFileError(f"the model file: {reason}", subject=str(path), remedy=_REMEDY) from error
    except (struct.error, ValueError, OverflowError) as error:
        raise ModelFileError(f"damaged GGUF header: {error}", subject=str(path), remedy=_REMEDY) from error


def _parse(path: Path, reader: _Reader) -> GgufHeader:
    reader.skip(4)
    version = reader.count("<I")
    if version not in SUPPORTED_VERSIONS:
        raise ValueError(f"GGUF version {version} is not known")
    n_tensors, n_pairs = reader.count(), reader.count()
    if n_tensors > 1 << 20 or n_pairs > 1 << 20:
        raise ValueError("implausible counts")
    metadata: dict[str, Scalar] = {}
    lengths: dict[str, int] = {}
    for _ in range(n_pairs):
        key, kind = reader.string(), reader.count("<I")
        if kind == _ARRAY:
            lengths[key] = reader.skip_array()
        elif kind == _STRING:
            metadata[key] = reader.string()
        elif kind in _SCALARS:
            metadata[key] = reader.scalar(_SCALARS[kind])
        else:
            raise ValueError(f"unknown value type {kind} of {key}")
    raw: dict[str, TensorInfo] = {}
    for _ in range(n_tensors):
        name, n_dims = reader.string(), reader.count("<I")
        if n_dims > _MAX_DIMS:
            raise ValueError(f"tensor {name} has {n_dims} dimensions")
        shape = tuple(reader.count() for _ in range(n_dims))
        raw[name] = TensorInfo(shape, reader.count("<I"), reader.count())
    alignment = int(metadata.get("general.alignment", 32))
    if not 0 < alignment <= 1 << 16:
        raise ValueError("implausible alignment")
    base = -(-reader.at // alignment) * alignment
    tensors = {name: TensorInfo(t.shape, t.ggml_type, base + t.offset) for name, t in raw.items()}
    return GgufHeader(path, metadata, lengths, tensors)
