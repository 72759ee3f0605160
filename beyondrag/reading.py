"""The reading profile: everything that a stored snapshot depends on, named by one hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from beyondrag.models import ModelStore
from beyondrag.prompt import PROMPT_VERSION, SYSTEM, document_text
from beyondrag.settings import Settings
from kvfiles.codecs import canonical_name
from kvfiles.errors import ModelError
from library.records import ReadingProfile
from library.store import Library

PROFILE_VERSION = 1


def reading_profile(model_path: Path, model_sha256: str, codec: str) -> ReadingProfile:
    """The profile of a model file with our prompt and `codec`, without opening the model.

    The GGUF's hash covers weights, tokenizer and chat template; the prompt's hash covers the system
    prompt, the document frame and the code that renders them.
    """
    prompt = "\x00".join([str(PROMPT_VERSION), SYSTEM, document_text("\x01", "\x02")])
    description: dict[str, object] = {
        "version": PROFILE_VERSION,
        "model_sha256": model_sha256,
        "prompt": hashlib.sha256(prompt.encode()).hexdigest(),
        "codec": canonical_name(codec),
    }
    canonical = orjson.dumps(description, option=orjson.OPT_SORT_KEYS)
    return ReadingProfile(
        hashlib.sha256(canonical).hexdigest()[:32], model_path.stem, model_sha256, description
    )


def profile_for(settings: Settings) -> tuple[Path, ReadingProfile]:
    """The configured model's file and profile.  Raises ModelNotFound or ModelFileError."""
    store = ModelStore(settings.models)
    path = store.resolve(settings.model)
    return path, reading_profile(path, store.sha256(path), settings.codec)


def current_profile(library: Library, settings: Settings) -> str | None:
    """The id of the configured model's profile, or None when the model is not there."""
    try:
        return profile_for(settings)[1].id
    except ModelError:
        return None
