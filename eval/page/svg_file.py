"""A figure as an SVG file of its own, for a README: it brings its style and knows light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from eval.page.drawing import WIDE, draw
from eval.page.figures import Figure
from eval.page.html import asset
from eval.page.storing import store

_NAMESPACE = "http://www.w3.org/2000/svg"


def write_figure(path: Path, figure: Figure, names: Sequence[str] = ()) -> None:
    """Write `figure` to `path`, at once, in a folder made if need be.

    `names` keep their colours (`eval.page.model.Page.names`).

    Raises StorageError when the file system refuses.
    """
    root = ET.fromstring(draw(figure, WIDE, names).markup("figure"))  # noqa: S314 - our own markup
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib.update({"xmlns": _NAMESPACE, "width": width, "height": height})
    style = ET.Element("style")
    style.text = asset("style.css")
    root.insert(2, style)
    store(path, ET.tostring(root, encoding="utf-8"))
