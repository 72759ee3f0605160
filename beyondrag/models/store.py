"""Where pulled models live: one folder of `.gguf` files, and what is known about each."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from beyondrag.errors import ModelNotFound
from beyondrag.models.catalogue import KNOWN, KnownModel, find_known
from beyondrag.models.disk import pull_lock, storage_errors, work_dir
from beyondrag.models.hashes import HashCache, open_regular
from beyondrag.models.partial import partial_files
from beyondrag.models.progress import CancelCheck, never
from kvfiles.errors import ModelFileError
from kvfiles.gguf_file import MAGIC
from library.files import sync_directory
from library.wording import one_line

ENVIRONMENT_VARIABLE = "BEYONDRAG_MODELS"
SUFFIX = ".gguf"

_NAME_LIMIT_BYTES = 200


def default_root() -> Path:
    """The models folder: the environment variable BEYONDRAG_MODELS, else the user's data folder."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_data_path("beyondrag", appauthor=False) / "models"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model file in the store.

    `sha256` (hex) and `verified_at` (seconds since 1970) are None until the file has been hashed as
    it is now.  `known` is the catalogue's entry, unless a hash says that the file is another one.
    """

    name: str
    path: Path
    size_bytes: int
    sha256: str | None
    known: KnownModel | None
    verified_at: float | None


class ModelStore:
    """The models in one folder.  Reading never creates anything.

    Args:
        root: the folder; it may not exist yet.
        known: the catalogue to go by.
    """

    def __init__(self, root: Path, known: tuple[KnownModel, ...] = KNOWN) -> None:
        self.root = root
        self.known = known
        self._hashes = HashCache(root / "hashes.json")

    def list(self) -> tuple[InstalledModel, ...]:
        """Every complete model in the folder, by name.

        Raises:
            StorageError: the folder cannot be read.
        """
        with storage_errors(self.root):
            try:
                names = [entry.name for entry in os.scandir(self.root) if entry.is_file()]
            except FileNotFoundError:
                return ()
        models = (
            self._installed(self.root / name) for name in names if name.endswith(SUFFIX) and _is_name(name)
        )
        return tuple(sorted((model for model in models if model), key=lambda model: model.name))

    def path(self, name: str) -> Path:
        """The file of an installed model, by its name or file name.

        Raises:
            ModelNotFound: it is not installed; the remedy is the command that pulls it.
            StorageError: the folder cannot be read.
        """
        path = self._place(name)
        if path is None or not _is_file(path):
            raise self._not_found(name)
        return path

    def resolve(self, name_or_path: str) -> Path:
        """The GGUF file that a user means: an installed model's name, or the path of any file.

        Raises:
            ModelNotFound: a name that is not installed.
            ModelFileError: a path with no readable GGUF file behind it.
        """
        looks_like_path = os.sep in name_or_path or name_or_path.startswith("~")
        path = _user_path(name_or_path)
        in_store = self._place(name_or_path)
        if not looks_like_path:
            is_here = name_or_path.endswith(SUFFIX) and os.path.lexists(path)
            if not is_here:
                if in_store is None or not _is_file(in_store):
                    raise self._not_found(name_or_path)
                path = in_store
        check_magic(path)
        return path

    def remove(self, name: str) -> None:
        """Remove an installed model, and what unfinished pulls of it have left.

        Raises:
            ModelNotFound: there is nothing to remove.
            DownloadError: it is being pulled.
            StorageError: the file cannot be removed.
        """
        path = self._place(name)
        with storage_errors(self.root):
            if path is None or not self.root.exists():
                raise self._not_found(name)
        with self.lock(path):
            leftovers = partial_files(path)
            if not _is_file(path) and not leftovers:
                raise self._not_found(name)
            with storage_errors(path):
                for file in (path, *leftovers):
                    file.unlink(missing_ok=True)
                sync_directory(self.root)
            shutil.rmtree(work_dir(path), ignore_errors=True)

    def sha256(
        self, path: Path, *, progress: Callable[[int], None] | None = None, cancelled: CancelCheck = never
    ) -> str:
        """SHA-256 (hex) of any model file; remembered by path, size, modification time and inode.

        Raises:
            ModelFileError: missing, unreadable, or it changed while it was read.
            Cancelled: `cancelled()` said so.
        """
        return self._hashes.sha256(path, progress=progress, cancelled=cancelled)

    def record(self, path: Path, sha256: str) -> InstalledModel:
        """Remember the sum of a file that has just been pulled, and describe it."""
        self._hashes.record(path, sha256)
        model = self._installed(path)
        if model is None:
            raise ModelFileError("it vanished after the pull", subject=one_line(str(path)))
        return model

    def describe(self, path: Path) -> InstalledModel | None:
        """The installed model at `path`, or None when there is none."""
        return self._installed(path)

    def lock(self, path: Path) -> AbstractContextManager[None]:
        """The lock that pulling or removing the model at `path` takes."""
        return pull_lock(path.with_name(path.name + ".lock"), one_line(path.name))

    def _place(self, name: str) -> Path | None:
        """Where a model of this name is or would be; None for what can be no name."""
        known = find_known(name, self.known)
        if known is not None:
            return self.root / known.file_name
        if not _is_name(name):
            return None
        return self.root / (name if name.endswith(SUFFIX) else name + SUFFIX)

    def _installed(self, path: Path) -> InstalledModel | None:
        try:
            size = path.stat().st_size
        except OSError:
            return None
        entry = self._hashes.entry(path)
        known = next((model for model in self.known if model.file_name == path.name), None)
        name = known.name if known else path.name.removesuffix(SUFFIX)
        if known is None and find_known(name, self.known) is not None:
            name = path.name  # the catalogue's model of this name has another file name
        if known and entry and known.sha256 and known.sha256 != entry.sha256:
            known = None
        return InstalledModel(
            name, path, size, entry.sha256 if entry else None, known, entry.verified_at if entry else None
        )

    def _not_found(self, name: str) -> ModelNotFound:
        known = find_known(name, self.known)
        subject = one_line(name, 100)
        if known is not None:
            return ModelNotFound(
                "this model is not installed", subject=subject, remedy=f"beyondrag models pull {known.name}"
            )
        names = sorted({model.name for model in self.known})
        close = difflib.get_close_matches(name[:100].casefold(), names, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"the catalogue has {', '.join(names)}"
        return ModelNotFound("there is no model of this name", subject=subject, remedy=remedy)


def check_magic(path: Path) -> None:
    """Raise `ModelFileError` unless `path` is a readable file that begins like a GGUF."""
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        try:
            head = file.read(len(MAGIC))
        except OSError as error:
            raise ModelFileError(f"cannot be read: {error.strerror}", subject=one_line(str(path))) from error
    if head != MAGIC:
        raise ModelFileError(
            "this is not a GGUF file",
            subject=one_line(str(path)),
            remedy="name a .gguf model, or pull one: beyondrag models pull",
        )


def _is_file(path: Path) -> bool:
    with storage_errors(path):
        return path.is_file()


def _user_path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # ~nobody
        return Path(text).absolute()


def _is_name(name: str) -> bool:
    """Whether `name` can be a model's name: one visible path component, with nothing to trip a terminal."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= _NAME_LIMIT_BYTES
        and name.isprintable()
        and not name.startswith(".")
        and not {"/", "\\"} & set(name)
    )
