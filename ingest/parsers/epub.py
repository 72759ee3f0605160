"""Electronic books (EPUB): the chapters in reading order, by the names that the table of contents gives.

Headings within a chapter make further pages.  Not covered: fixed layouts made of pictures, media overlays.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote, urldefrag

from ingest.errors import ParseFailure
from ingest.parsers.archives import Archive
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.flow import section_pages
from ingest.parsers.languages import language_tag
from ingest.parsers.markup import attribute, read_xml
from ingest.parsers.titles import authored, shorten
from ingest.parsers.webpage import decode_markup, web_text

MAX_CHAPTERS = 10_000
_CONTAINER = "META-INF/container.xml"
_PAGE_KINDS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


class EpubParser:
    """``.epub``."""

    name = "epub"
    media_type = "application/epub+zip"
    suffixes = frozenset({".epub"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Follow the spine; see `base.Parser.parse`."""
        archive = Archive(data, limits)
        container = _Package()
        read_xml(archive.read(_CONTAINER), container, _CONTAINER)
        if not container.package:
            raise ParseFailure("broken", detail=f"{_CONTAINER} names no package")
        package = _Package()
        read_xml(archive.read(container.package), package, container.package)
        folder = posixpath.dirname(container.package)
        chapters = list(dict.fromkeys(_inside(folder, href) for href in package.reading_order()))
        if len(chapters) > MAX_CHAPTERS:
            raise ParseFailure("too-large", detail=f"{len(chapters):,} chapters")
        _refuse_locked(archive, chapters)
        warnings: list[str] = []
        names = _names(archive, folder, package, warnings)
        pages = list(_pages(archive, chapters, names, warnings))
        language = language_tag(package.language)
        return assemble(pages, authored(package.title), stem=stem, warnings=warnings, language=language)


def _pages(
    archive: Archive, chapters: list[str], names: dict[str, str], warnings: list[str]
) -> Iterator[ParsedPage]:
    for number, chapter in enumerate(chapters, start=1):
        if chapter not in archive.names:
            warnings.append(f"{chapter} is missing in the file")
            continue
        try:
            source, notices = decode_markup(archive.read(chapter))
        except ParseFailure as failure:
            if failure.code != "binary":
                raise
            warnings.append(f"{chapter} is no text")
            continue
        warnings += [f"{chapter}: {notice}" for notice in notices]
        name = names.get(chapter) or f"part {number}"
        blocks = web_text(source).blocks
        if any(block.level for block in blocks):
            yield from section_pages(blocks, name)
        else:
            yield ParsedPage(name, "".join(page.text for page in section_pages(blocks)))


def _inside(folder: str, href: str) -> str:
    """The member that a link in a file of `folder` leads to."""
    path = unquote(urldefrag(href).url) if ":" not in href.partition("/")[0] else ""
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _refuse_locked(archive: Archive, chapters: list[str]) -> None:
    """Fonts may be scrambled; chapters under lock (DRM) cannot be read."""
    path = "META-INF/encryption.xml"
    if path not in archive.names:
        return
    locked = _Locked()
    read_xml(archive.read(path), locked, path)
    if locked.members & set(chapters):
        raise ParseFailure(
            "encrypted", detail="its chapters are copy-protected", remedy="ingest a copy without protection"
        )


def _names(archive: Archive, folder: str, package: _Package, warnings: list[str]) -> dict[str, str]:
    """The names of chapters by member: from the EPUB 3 navigation, else the EPUB 2 one."""
    names: dict[str, str] = {}
    for href in (package.navigation, package.ncx):
        member = _inside(folder, href) if href else ""
        if names or member not in archive.names:
            continue
        contents = _Contents()
        try:
            read_xml(archive.read(member), contents, member)
        except ParseFailure as failure:
            if failure.code != "broken":
                raise
            warnings.append(f"its table of contents could not be read: {failure.detail}")
        for target, name in contents.entries:
            if label := shorten(name):
                names.setdefault(_inside(posixpath.dirname(member), target), label)
    return names


class _Package:
    """Listens to the container (which names the package) and to the package (OPF)."""

    def __init__(self) -> None:
        self.package = ""
        self.title = ""
        self.language = ""
        self.navigation = ""
        self.ncx = ""
        self._items: dict[str, tuple[str, str]] = {}  # id: href and media type
        self._spine: list[str] = []
        self._in_title = self._in_language = False

    def reading_order(self) -> Iterator[str]:
        """The links to the text files of the spine."""
        for key in self._spine:
            href, kind = self._items.get(key, ("", ""))
            if href and (kind in _PAGE_KINDS or href.lower().endswith((".html", ".xhtml", ".htm"))):
                yield href

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "rootfile" and not self.package:
            self.package = _inside("", attribute(attributes, "full-path"))
        elif tag == "item":
            href, kind = attribute(attributes, "href"), attribute(attributes, "media-type")
            self._items[attribute(attributes, "id")] = (href, kind)
            if "nav" in attribute(attributes, "properties").split():
                self.navigation = href
            if kind == "application/x-dtbncx+xml":
                self.ncx = href
        elif tag == "itemref":
            self._spine.append(attribute(attributes, "idref"))
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "language":
            self._in_language = not self.language

    def end(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "language":
            self._in_language = False

    def data(self, text: str) -> None:
        if self._in_title and len(self.title) < 1000:
            self.title += text
        if self._in_language and len(self.language) < 1000:
            self.language += text


class _Contents:
    """Listens to a table of contents: XHTML ``<a href>`` (EPUB 3) or NCX ``navPoint`` (EPUB 2).

    `entries` are links and names in order.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self._name: list[str] | None = None
        self._href = ""
        self._ncx_name = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "a":
            self._name, self._href = [], attribute(attributes, "href")
        elif tag == "navLabel":
            self._name = []
        elif tag == "content":
            self.entries.append((attribute(attributes, "src"), self._ncx_name))

    def end(self, tag: str) -> None:
        if tag == "a" and self._name is not None:
            self.entries.append((self._href, "".join(self._name)))
            self._name = None
        elif tag == "navLabel" and self._name is not None:
            self._ncx_name = "".join(self._name)
            self._name = None

    def data(self, text: str) -> None:
        if self._name is not None:
            self._name.append(text)


class _Locked:
    def __init__(self) -> None:
        self.members: set[str] = set()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "CipherReference":
            self.members.add(_inside("", attribute(attributes, "URI")))

    def end(self, tag: str) -> None:
        del tag

    def data(self, text: str) -> None:
        del text
