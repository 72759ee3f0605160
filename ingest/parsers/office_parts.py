"""How the parts of an Office file (OOXML: DOCX, PPTX) refer to each other, and its title."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from ingest.parsers.archives import Archive
from ingest.parsers.languages import language_tag
from ingest.parsers.markup import attribute, element_text, read_xml
from ingest.parsers.titles import authored


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference from one part to another: its type's last word, and the path of the part."""

    kind: str
    part: str


def relations(archive: Archive, part: str) -> dict[str, Relation]:
    """The parts that `part` ("" for the file itself) refers to, by id; nothing outside of the file."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    listener = _Relations(folder)
    if path in archive.names:
        read_xml(archive.read(path), listener, path)
    return listener.relations


def parts_of_type(related: dict[str, Relation], kind: str) -> Iterator[str]:
    """The parts of a kind such as "styles", in the order of the file."""
    return (relation.part for relation in related.values() if relation.kind == kind)


def main_part(archive: Archive, usual: str) -> str:
    """The part with the document itself; `usual` where the file does not say."""
    part = next(parts_of_type(relations(archive, ""), "officeDocument"), usual)
    return part if part in archive.names else usual


def authored_title(archive: Archive) -> str:
    """The title in the file's properties, "" when there is none or a program made it up."""
    return authored(_property(archive, "title"))


def stated_language(archive: Archive) -> str | None:
    """The language in the file's properties."""
    return language_tag(_property(archive, "language"))


def _property(archive: Archive, name: str) -> str:
    part = next(parts_of_type(relations(archive, ""), "core-properties"), "docProps/core.xml")
    return element_text(archive.read(part), name, part) if part in archive.names else ""


class _Relations:
    def __init__(self, folder: str) -> None:
        self.relations: dict[str, Relation] = {}
        self._folder = folder

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag != "Relationship" or attribute(attributes, "TargetMode") == "External":
            return
        target = unquote(attribute(attributes, "Target"))
        path = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
        kind = attribute(attributes, "Type").rpartition("/")[2]
        self.relations[attribute(attributes, "Id")] = Relation(kind, path)

    def end(self, tag: str) -> None:
        del tag

    def data(self, text: str) -> None:
        del text
