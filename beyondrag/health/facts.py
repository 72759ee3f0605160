"""What several checks need to know, found out once: the model file, its header, its reading profile."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from beyondrag.estimate import shape_from_header
from beyondrag.models import ModelStore
from beyondrag.reading import reading_profile
from beyondrag.settings import Settings
from kvfiles.errors import ModelError
from kvfiles.gguf_file import GgufHeader, read_gguf
from kvfiles.runtime.model import ModelShape
from library.records import ReadingProfile


class Facts:
    """About one run's settings.  None where there is no usable model: the checks of the model say why.

    `deep` asks for what takes long: the model is opened, hashes are computed anew, the library is read whole.
    """

    def __init__(self, settings: Settings, *, deep: bool = False) -> None:
        self.settings = settings
        self.deep = deep
        self.store = ModelStore(settings.models)

    @cached_property
    def model_path(self) -> Path | None:
        """The configured model's file."""
        try:
            return self.store.resolve(self.settings.model)
        except ModelError:
            return None

    @cached_property
    def model_header(self) -> GgufHeader | None:
        """Its GGUF header."""
        if self.model_path is None:
            return None
        try:
            return read_gguf(self.model_path)
        except ModelError:
            return None

    @cached_property
    def model_shape(self) -> ModelShape | None:
        """The sizes of its cache, as the header tells them."""
        if self.model_header is None:
            return None
        try:
            return shape_from_header(self.model_header)
        except (TypeError, ValueError):
            return None

    @cached_property
    def model_sha256(self) -> str | None:
        """Its SHA-256 in hex; remembered from the last time when the file has not changed since."""
        if self.model_path is None:
            return None
        try:
            return self.store.sha256(self.model_path)
        except ModelError:
            return None

    @cached_property
    def profile(self) -> ReadingProfile | None:
        """What snapshots must have been made with to be used now."""
        if self.model_path is None or self.model_sha256 is None:
            return None
        return reading_profile(self.model_path, self.model_sha256, self.settings.codec)
