"""Which paragraph styles of a Word document are headings, and which are lists."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.parsers.languages import language_tag
from ingest.parsers.markup import attribute, read_xml, whole_number

_HEADING_NAME = re.compile(r"heading ([1-9])", re.IGNORECASE)
_MAX_CHAIN = 50


@dataclass(slots=True)
class _Style:
    parent: str = ""
    level: int = 0
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class StyleRoles:
    """`levels` are the levels (1 to 9) of heading styles by id, `lists` the ids of list styles; `language` is
    that of text for which no style states another."""

    levels: dict[str, int]
    lists: frozenset[str]
    language: str | None = None


NO_ROLES = StyleRoles({}, frozenset())


def style_roles(styles_xml: bytes) -> StyleRoles:
    """The roles of styles, own or taken over from the style they are based on.

    Raises:
        ParseFailure: "broken".
    """
    listener = _Styles()
    if styles_xml:
        read_xml(styles_xml, listener, "the styles")
    levels: dict[str, int] = {}
    lists: set[str] = set()
    for name in listener.styles:
        style, n_steps = listener.styles.get(name), 0
        while style is not None and not style.level and not style.is_list and n_steps < _MAX_CHAIN:
            style = listener.styles.get(style.parent)
            n_steps += 1
        if style is not None and 1 <= style.level <= 9:
            levels[name] = style.level
        elif style is not None and style.is_list:
            lists.add(name)
    return StyleRoles(levels, frozenset(lists), listener.language)


class _Styles:
    def __init__(self) -> None:
        self.styles: dict[str, _Style] = {}
        self.language: str | None = None
        self._style: _Style | None = None
        self._is_default = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "docDefaults":
            self._is_default = True
        elif tag == "lang" and self._is_default:
            self.language = language_tag(attribute(attributes, "val"))
        elif tag == "style":
            self._style = None
            if attribute(attributes, "type") == "paragraph":
                self._style = self.styles[attribute(attributes, "styleId")] = _Style()
        elif self._style is None:
            return
        elif tag == "name":
            match = _HEADING_NAME.fullmatch(attribute(attributes, "val"))
            if match:
                self._style.level = int(match[1])
        elif tag == "basedOn":
            self._style.parent = attribute(attributes, "val")
        elif tag == "outlineLvl":
            self._style.level = whole_number(attribute(attributes, "val"), 9, 9) + 1
        elif tag == "numPr":
            self._style.is_list = True

    def end(self, tag: str) -> None:
        if tag == "docDefaults":
            self._is_default = False
        elif tag == "style":
            self._style = None

    def data(self, text: str) -> None:
        del text  # styles are told by attributes
