"""XML as a stream of events: no tree, so that depth costs nothing; entities and external files refused.

`defusedxml` stands between the file and expat.  Names come without their namespace: within
one format the local names do not clash where they are used.
"""

from __future__ import annotations

from typing import Protocol

from ingest.errors import ParseFailure

MAX_ELEMENT_CHARS = 1_000


class Events(Protocol):
    """What listens to the events; `attributes` keep the names as expat gives them, ``{namespace}name``."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Listener:
    """Passes events on with local names."""

    def __init__(self, events: Events) -> None:
        self._start, self._end, self.data = events.start, events.end, events.data

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._start(tag.rpartition("}")[2], attributes)

    def end(self, tag: str) -> None:
        self._end(tag.rpartition("}")[2])

    def close(self) -> None:
        """Nothing is kept."""


def read_xml(data: bytes, events: Events, what: str) -> None:
    """Send the events of the XML document `data`, which is called `what` in errors.

    Raises:
        ParseFailure: "broken": it is not XML, or it declares entities.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser = DefusedXMLParser(
        target=_Listener(events), forbid_dtd=False, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(data)
        parser.close()
    except ParseError as error:
        raise ParseFailure("broken", detail=f"{what}: {error}") from error
    except DefusedXmlException as error:
        raise ParseFailure(
            "broken", detail=f"{what} declares XML entities, which are not expanded"
        ) from error


def attribute(attributes: dict[str, str], name: str, default: str = "") -> str:
    """The attribute `name` in whatever namespace."""
    if name in attributes:
        return attributes[name]
    ending = "}" + name
    return next((value for key, value in attributes.items() if key.endswith(ending)), default)


def whole_number(text: str, default: int, maximum: int) -> int:
    """`text` as a number from 0 to `maximum`; `default` when it is none."""
    digits = text.strip()[:12]
    return min(int(digits), maximum) if digits.isascii() and digits.isdigit() else default


def element_text(data: bytes, tag: str, what: str) -> str:
    """The text of the elements `tag` of a small XML document, at most about `MAX_ELEMENT_CHARS`.

    Raises:
        ParseFailure: as `read_xml`.
    """
    listener = _Element(tag)
    read_xml(data, listener, what)
    return listener.text


class _Element:
    def __init__(self, tag: str) -> None:
        self.text = ""
        self._tag = tag
        self._is_inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        del attributes
        self._is_inside = tag == self._tag

    def end(self, tag: str) -> None:
        del tag
        self._is_inside = False

    def data(self, text: str) -> None:
        if self._is_inside and len(self.text) < MAX_ELEMENT_CHARS:
            self.text += text
