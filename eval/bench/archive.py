"""The archive codec's speed and size, for the document that `speed` measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eval.bench.clock import median, repeated
from eval.rig import Rig
from kvfiles.codecs import Codec
from kvfiles.runtime import Context
from kvfiles.runtime.model import Tokens
from kvfiles.state_blob import StateView


@dataclass(frozen=True, slots=True)
class ArchiveSpeed:
    """Median times in seconds; `attach_s` reads, verifies, decodes and places the file's rows."""

    name: str
    n_tokens: int
    file_bytes: int
    bits_per_value: float
    encode_s: float
    attach_s: float

    @property
    def bytes_per_token(self) -> float:
        return self.file_bytes / self.n_tokens

    def to_json(self) -> dict[str, float | int | str]:
        return {
            "codec": self.name,
            "bits_per_value": self.bits_per_value,
            "bytes_per_token": self.bytes_per_token,
            "file_bytes": self.file_bytes,
            "encode_tokens_per_s": self.n_tokens / self.encode_s,
            "attach_tokens_per_s": self.n_tokens / self.attach_s,
        }


@dataclass(frozen=True, slots=True)
class ArchiveBench:
    """What to measure: `codec`, called `name`."""

    name: str
    codec: Codec

    def measure(
        self, rig: Rig, context: Context, state: StateView, tokens: Tokens, *, repeats: int, folder: Path
    ) -> ArchiveSpeed:
        """Code `state`, the cells of `tokens` (n,) from position 0 on, and attach them to `context`, which is
        cleared."""
        n, path = len(tokens), folder / "archive.kv"
        stored = rig.tables.at(0, n)
        encode = repeated(lambda: self.codec.encode(state.k, state.v, stored, rig.pool), repeats)
        file_bytes = rig.save(path, state, tokens, 0, self.codec)

        def attach() -> None:
            context.clear()
            rig.attach(context, [path])

        bits = rig.bits_per_value(file_bytes, n)
        return ArchiveSpeed(self.name, n, file_bytes, bits, median(encode), median(repeated(attach, repeats)))
