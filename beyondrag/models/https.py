"""Fetch a model from one https address: byte ranges, retries, strict redirects.

Only https is followed; plain http is accepted for loopback addresses alone.  A download goes on
with `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2), so a file that changed on the server
starts from its beginning.  The proxy settings of the environment hold.

Not covered: logins, several connections at once, servers that do not say how large the file is.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from beyondrag.errors import SourceUnavailable, UsageError
from beyondrag.models.catalogue import Address
from beyondrag.models.disk import require_space
from beyondrag.models.partial import Partial
from beyondrag.models.progress import CancelCheck, ProgressCallback, PullProgress, pause, stop_if
from kvfiles.gguf_file import MAGIC
from library.wording import one_line

TIMEOUT_S = 30.0
BACKOFF_S = (1.0, 2.0, 4.0)
SEGMENT_BYTES = 64 << 20
SPACE_SLACK_BYTES = 64 << 20

_BLOCK = 256 << 10
_PROGRESS_RESETS_RETRIES = 1 << 20
_MAX_REDIRECTS = 5
_MAX_RETRY_AFTER_S = 30.0
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How one request ended: None for `reason` when the file is complete."""

    reason: str | None
    wait_s: float = 0.0


class _RefusedRedirectError(Exception):
    """A redirect that may not be followed; raised where only urllib is above."""


class _ChangedOnServerError(Exception):
    """What was fetched so far belongs to an older file."""


def check_url(url: str) -> SplitResult:
    """The parts of an address that may be fetched.

    Raises:
        UsageError: not https (or http on loopback), no host, a password in it, broken.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError("this is not an address", subject=one_line(url, 120)) from None
    label = one_line(url.partition("?")[0], 200)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError("the address has characters that must be %-encoded", subject=label)
    if parts.username is not None or parts.password is not None:
        raise UsageError("no user name or password may stand in an address", subject=host or "")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise UsageError("only https addresses can be pulled", subject=label)
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Redirects(HTTPRedirectHandler):
    """Follows a few redirects, and only to addresses that could have been asked for directly."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        fp.close()  # before urllib reads a body of any size
        try:
            target = check_url(newurl)
        except UsageError as error:
            raise _RefusedRedirectError(f"it redirects to a place that is refused: {error}") from None
        if target.scheme == "http" and urlsplit(req.full_url).scheme == "https":
            raise _RefusedRedirectError("it redirects from https to http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    """An opener that knows http and https alone (no file:, ftp: or data:)."""
    loopback = _is_loopback(urlsplit(url).hostname or "")
    opener = OpenerDirector()
    for handler in (
        ProxyHandler({}) if loopback else ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(context=ssl.create_default_context()),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class AddressFetch:
    """Fetches one address into a `Partial`.

    Args:
        source: the address; checked here.
        expected_bytes: the file's size where the catalogue knows it.
        trusted_sum: the file's SHA-256 will be checked afterwards, so a range may be continued from
            a server that gives no strong validator.

    Raises:
        UsageError: the address may not be fetched at all.
    """

    def __init__(self, source: Address, *, expected_bytes: int | None, trusted_sum: bool) -> None:
        check_url(source.url)
        self._source = source
        self._expected_bytes = expected_bytes
        self._trusted_sum = trusted_sum
        self._opener = _opener(source.url)
        self._total: int | None = expected_bytes

    def fetch(self, partial: Partial, progress: ProgressCallback, cancelled: CancelCheck) -> None:
        """Fill `partial` with the whole file, sealed.

        Raises:
            SourceUnavailable: the server does not give the file; says why.
            StorageError: the disk refuses; what arrived stays.
            Cancelled: `cancelled()` said so; what arrived stays.
        """
        failures = 0
        if partial.size == self._expected_bytes:
            return
        while True:
            before = partial.size
            attempt = self._attempt(partial, progress, cancelled)
            if attempt.reason is None:
                return
            if partial.size - before >= _PROGRESS_RESETS_RETRIES:
                failures = 0
            if failures == len(BACKOFF_S):
                raise self._failure(attempt.reason)
            wait_s = max(BACKOFF_S[failures], attempt.wait_s)
            failures += 1
            progress(PullProgress("retry", partial.size, self._total, detail=one_line(attempt.reason)))
            pause(wait_s, cancelled, self._source.label)

    def _attempt(self, partial: Partial, progress: ProgressCallback, cancelled: CancelCheck) -> _Attempt:
        stop_if(cancelled, self._source.label)
        try:
            with self._open(partial) as response:
                self._begin(response, partial)
                if self._total is not None and partial.size < self._total:
                    self._receive(response, partial, progress, cancelled)
        except HTTPError as error:
            try:
                return self._http_failure(error, partial)
            finally:
                error.close()
        except _RefusedRedirectError as error:
            raise self._failure(str(error)) from None
        except _ChangedOnServerError:
            partial.reset()
            return _Attempt("the file on the server has changed")
        except (OSError, http.client.HTTPException) as error:
            reason = _reason(error)
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise self._failure(reason) from None
            return _Attempt(reason)
        if self._total is not None and partial.size == self._total:
            return _Attempt(None)
        return _Attempt("the connection ended early")

    @contextmanager
    def _open(self, partial: Partial) -> Iterator[http.client.HTTPResponse]:
        headers = {"User-Agent": "beyondrag", "Accept-Encoding": "identity"}
        if partial.size and (partial.validator or self._trusted_sum):
            headers["Range"] = f"bytes={partial.size}-"
            if partial.validator:
                headers["If-Range"] = partial.validator
        request = Request(self._source.url, headers=headers)  # noqa: S310 - check_url allowed it
        with self._opener.open(request, timeout=TIMEOUT_S) as response:
            yield response

    def _begin(self, response: http.client.HTTPResponse, partial: Partial) -> None:
        """Settle the size and where in the file this answer begins."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._failure("the server sends it in a compressed form that was not asked for")
        start = 0
        if response.status == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            if match is None:
                raise self._failure("the server answers with a range that makes no sense")
            start, total = int(match[1]), int(match[2])
            if start != partial.size:
                raise self._failure("the server answers with another range than was asked for")
            etag = _validator(response.headers)
            if partial.validator and etag and etag != partial.validator:
                raise _ChangedOnServerError
        else:
            length = response.headers.get("Content-Length", "").strip()
            if response.status != 200 or not _LENGTH.fullmatch(length):
                raise self._failure("the server does not say how large the file is")
            total = int(length)
        if self._expected_bytes is not None and total != self._expected_bytes:
            raise self._failure(f"the file there has {total:,} bytes instead of {self._expected_bytes:,}")
        if total < len(MAGIC):
            raise self._failure("what is there is not a GGUF file")
        self._total = total
        if start == 0:
            partial.reset(_validator(response.headers))
        require_space(partial.path.parent, total - start + SPACE_SLACK_BYTES)

    def _receive(
        self,
        response: http.client.HTTPResponse,
        partial: Partial,
        progress: ProgressCallback,
        cancelled: CancelCheck,
    ) -> None:
        """Append what comes; seal every so often and, whatever happens, at the end."""
        total = self._total or 0
        unsealed = 0
        try:
            while partial.size < total:
                stop_if(cancelled, self._source.label)
                block = response.read1(min(_BLOCK, total - partial.size))
                if not block:
                    return
                magic = MAGIC[partial.size : partial.size + len(block)]
                if not block.startswith(magic):
                    partial.reset()
                    raise self._failure("what is there is not a GGUF file")
                partial.append(block)
                unsealed += len(block)
                if unsealed >= SEGMENT_BYTES:
                    partial.seal("range")
                    unsealed = 0
                progress(PullProgress("download", partial.size, total, detail=self._source.label))
        finally:
            partial.seal("range")

    def _http_failure(self, error: HTTPError, partial: Partial) -> _Attempt:
        status = error.code
        if status == 416 and partial.size:
            total = _UNSATISFIED.fullmatch(str(error.headers.get("Content-Range", "")).strip())
            if total and int(total[1]) == partial.size:
                return _Attempt(None)
            partial.reset()
            return _Attempt("the file on the server has changed")
        if status in _RETRY_STATUS:
            return _Attempt(f"the server answers {status}", _retry_after(error.headers))
        if status in (301, 302, 303, 307, 308):
            raise self._failure("its redirects are too many, or lead to something other than https")
        meaning = {
            401: "a login is needed",
            403: "access is refused",
            404: "it is not there",
            410: "it is gone",
        }
        raise self._failure(meaning.get(status, f"the server answers {status}"))

    def _failure(self, reason: str) -> SourceUnavailable:
        return SourceUnavailable(one_line(reason), subject=one_line(self._source.label))


def _validator(headers: Message) -> str:
    """A validator fit for If-Range: a strong ETag, else nothing (dates are too coarse)."""
    etag = str(headers.get("ETag", "")).strip()
    strong = etag.startswith('"') and etag.endswith('"') and len(etag) <= 200 and etag.isascii()
    return etag if strong and etag.isprintable() else ""


def _retry_after(headers: Message) -> float:
    value = str(headers.get("Retry-After", "")).strip()
    return min(float(value), _MAX_RETRY_AFTER_S) if _LENGTH.fullmatch(value) else 0.0


def _reason(error: OSError | http.client.HTTPException) -> str:
    """Why a request failed, in words."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"no answer for {TIMEOUT_S:.0f} seconds"
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {inner.verify_message}"
    if isinstance(inner, OSError):
        return f"no connection: {inner.strerror or inner}"
    return f"the answer is broken: {inner}"
