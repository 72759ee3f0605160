"""Which codec new snapshots get: the configured one, or the default while its calibration is not usable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beyondrag.calibration.store import CalibrationStore
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from kvfiles.codecs import DEFAULT_CODEC, Codec, archive_quality, codec_named
from kvfiles.codecs.archive.tables import group_heads
from kvfiles.errors import BeyondragError, CalibrationError, CalibrationMissing, ModelError, StorageError
from kvfiles.kernels import Kernels
from kvfiles.runtime.model import ModelShape


@dataclass(frozen=True, slots=True)
class CodecChoice:
    """The codec to write with.

    `warning` says why it is not the configured one, and what to do; "" when it is.  `may_calibrate`: all that
    is missing is a calibration, and the model can be calibrated.
    """

    codec: Codec
    warning: str = ""
    may_calibrate: bool = False


def choose_codec(
    settings: Settings, model: Path, sha256: str, shape: ModelShape, kernels: Kernels
) -> CodecChoice:
    """The codec for the file `model` (its SHA-256 and `shape`).  Reads its calibration: that takes 0.1 s."""
    if archive_quality(settings.codec) is None:
        return CodecChoice(codec_named(settings.codec, shape, kernels))
    try:
        group_heads(shape)
        tables = CalibrationStore(settings.models).of_model(model, sha256)
        return CodecChoice(codec_named(settings.codec, shape, kernels, tables))
    except ValueError as error:
        why = f"the archive codec cannot store {error}; choose another codec"
        return instead(settings, why, shape, kernels)
    except (CalibrationError, StorageError) as error:
        chosen = instead(settings, told(error), shape, kernels)
        missing = isinstance(error, CalibrationMissing)
        return CodecChoice(chosen.codec, chosen.warning, may_calibrate=missing)


def lacks_calibration(settings: Settings) -> bool:
    """Whether the configured codec needs a calibration and the model has none; False when not known."""
    if archive_quality(settings.codec) is None:
        return False
    try:
        path, profile = profile_for(settings)
        return CalibrationStore(settings.models).describe(path, profile.model_sha256) is None
    except ModelError:
        return False


def instead(settings: Settings, why: str, shape: ModelShape, kernels: Kernels) -> CodecChoice:
    """The default codec, because of `why`."""
    warning = f"documents are stored as {DEFAULT_CODEC} instead of {settings.codec}: {why}"
    return CodecChoice(codec_named(DEFAULT_CODEC, shape, kernels), warning)


def told(error: BeyondragError) -> str:
    """An error inside of a sentence, with what to do about it."""
    subject = f"{error.subject}: " if error.subject else ""
    return f"{subject}{error.message}" + (f"; {error.remedy}" if error.remedy else "")
