"""Which codecs and cache types keep a model's predictions: measured once, kept beside the model.

`beyondrag eval fidelity` measures and stores; `ask`, `ingest` and `doctor` warn when the configured codec
is known to fail.  One small file for each model, `<models>/<stem of the model file>.fidelity.json`:

    {"version": 1, "model": str, "model_sha256": hex, "limits": {...}, "findings": [Finding, ...]}

A file that cannot be understood, or that is about other bytes than the model's, counts as absent.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from beyondrag.models.disk import make_folder, storage_errors
from beyondrag.models.hashes import open_regular
from beyondrag.settings import Settings
from kvfiles.codecs import canonical_name
from kvfiles.errors import ModelFileError
from library.files import replace_file
from library.wording import one_line

VERSION = 1
MAX_KLD = 0.0065
"""Mean divergence in nats that a codec may cost (DESIGN.md section 5 gates on it)."""
MIN_SAME_TOP1 = 0.95
"""Share of the tokens whose likeliest successor must stay the same."""
MIN_TOKENS = 256
"""Fewer scored tokens prove nothing good."""

SUFFIX = ".fidelity.json"
_FILE_LIMIT = 1 << 20
_MAX_FINDINGS = 1000
_SHA256_HEX = 64

Status = Literal["ok", "warn", "fail"]
"""ok: both limits are kept.  fail: an interval (95 %) lies wholly beyond its limit.  warn: a limit is
missed by no more than its interval, or too few tokens were scored."""

_BY_WEIGHT: tuple[Status, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one codec or llama.cpp cache type did to one model's predictions.

    `codec` is a codec's name or a cache type such as "q8_0"; `mode` says along what was scored ("text" or
    "answer"); `n_tokens` were scored after `context_tokens`; `measured_at` is in seconds since 1970.
    """

    codec: str
    status: Status
    reason: str
    mode: str
    context_tokens: int
    n_tokens: int
    measured_at: float

    @property
    def circumstances(self) -> tuple[str, str, int]:
        """What a later measurement must share with this one to take its place."""
        return self.codec, self.mode, self.context_tokens


@dataclass(frozen=True, slots=True)
class ModelVerdicts:
    """All findings about one model file; `model_sha256` is of the GGUF, in hex."""

    model: str
    model_sha256: str
    findings: tuple[Finding, ...]

    def of(self, codec: str) -> Finding | None:
        """The worst finding about `codec` over all lengths and modes; None when it was not measured."""
        wanted = canonical_name(codec)
        return worst(finding for finding in self.findings if canonical_name(finding.codec) == wanted)

    def with_findings(self, new: Iterable[Finding]) -> ModelVerdicts:
        """These and `new`, which take the place of older ones under the same circumstances.

        A measurement of too few tokens never replaces one of enough.
        """
        kept = {finding.circumstances: finding for finding in self.findings}
        for finding in new:
            known = kept.get(finding.circumstances)
            if known is None or finding.n_tokens >= min(MIN_TOKENS, known.n_tokens):
                kept[finding.circumstances] = finding
        return ModelVerdicts(self.model, self.model_sha256, tuple(kept.values()))


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first of the worst findings, or None."""
    return max(findings, key=lambda finding: _BY_WEIGHT.index(finding.status), default=None)


def verdict_path(models: Path, model: Path) -> Path:
    """Where the verdicts about the model file `model` are kept; `models` is the models folder."""
    return models / f"{model.stem}{SUFFIX}"


def read_verdicts(path: Path, model_sha256: str | None = None) -> ModelVerdicts | None:
    """The verdicts in `path`; None when there are none that make sense, or they are about other bytes
    than `model_sha256` (any, when None)."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            raw = file.read(_FILE_LIMIT + 1)
        found = _from_json(orjson.loads(raw)) if len(raw) <= _FILE_LIMIT else None
    except (ModelFileError, OSError, ValueError, KeyError, TypeError):
        return None
    if found is None or (model_sha256 is not None and found.model_sha256 != model_sha256):
        return None
    return found


def store_verdicts(path: Path, verdicts: ModelVerdicts) -> ModelVerdicts:
    """Add `verdicts` to what `path` holds about the same model bytes, atomically; returns all of it.

    Raises:
        StorageError: it cannot be written.
    """
    known = read_verdicts(path, verdicts.model_sha256)
    merged = verdicts if known is None else known.with_findings(verdicts.findings)
    document = {
        "version": VERSION,
        "model": merged.model,
        "model_sha256": merged.model_sha256,
        "limits": {"kld_mean": MAX_KLD, "same_top1": MIN_SAME_TOP1, "n_tokens": MIN_TOKENS},
        "findings": [asdict(finding) for finding in merged.findings],
    }
    make_folder(path.parent)
    with storage_errors(path):
        replace_file(path, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    return merged


def configured_findings(settings: Settings, model: Path, model_sha256: str) -> tuple[Finding, ...]:
    """What is known of the configured codec, and of the configured cache type unless it is f16."""
    verdicts = read_verdicts(verdict_path(settings.models, model), model_sha256)
    if verdicts is None:
        return ()
    names = [settings.codec] + ([settings.cache_type] if settings.cache_type != "f16" else [])
    return tuple(finding for name in names if (finding := verdicts.of(name)) is not None)


def fidelity_warnings(settings: Settings, model: Path, model_sha256: str) -> tuple[str, ...]:
    """One line for each configured codec or cache type that is known to fail on this model; usually ()."""
    return tuple(
        f"{finding.codec} changes the predictions of {one_line(model.stem, 60)} too much: "
        f"{finding.reason}; {remedy_for(finding, settings)}"
        for finding in configured_findings(settings, model, model_sha256)
        if finding.status == "fail"
    )


def remedy_for(finding: Finding, settings: Settings) -> str:
    """What to use instead of what failed."""
    if canonical_name(finding.codec) == canonical_name(settings.codec):
        return "set BEYONDRAG_CODEC to a codec with more bits, or to exact, and ingest again"
    return "set BEYONDRAG_CACHE_TYPE to f16"


def _from_json(document: Any) -> ModelVerdicts:
    """Raises ValueError, KeyError or TypeError when it makes no sense."""
    sha256, findings = document["model_sha256"], document["findings"]
    if document["version"] != VERSION or not isinstance(sha256, str) or len(sha256) != _SHA256_HEX:
        raise ValueError("not a file of verdicts of this version")
    if not isinstance(findings, list) or len(findings) > _MAX_FINDINGS:
        raise ValueError("no list of findings")
    return ModelVerdicts(_text(document["model"], 200), sha256, tuple(map(_finding, findings)))


def _finding(fields: Any) -> Finding:
    status = fields["status"]
    if status not in get_args(Status):
        raise ValueError("no status")
    return Finding(
        _text(fields["codec"], 40),
        status,
        _text(fields["reason"], 300),
        _text(fields["mode"], 40),
        int(_number(fields["context_tokens"])),
        int(_number(fields["n_tokens"])),
        _number(fields["measured_at"]),
    )


def _text(value: Any, limit: int) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return one_line(value, limit)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TypeError("no number")
    return float(value)
