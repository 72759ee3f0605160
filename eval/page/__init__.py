"""The report: one self-contained HTML page, the JSON behind it and a short Markdown summary.

A suite describes what it found with the types of `eval.page.model`, `eval.page.quantities` and
`eval.page.figures`; `write_report` does the rest.  Nothing here knows what was measured.
"""

from eval.page.chapters import Chapter, page_of
from eval.page.figures import (
    Axis,
    Bars,
    Cell,
    Dots,
    Figure,
    HeatMap,
    Mark,
    MarkGroup,
    Point,
    Reference,
    Scatter,
    Series,
)
from eval.page.machine import processor, this_machine
from eval.page.model import (
    Block,
    Command,
    Commands,
    Example,
    Examples,
    Finding,
    Machine,
    Page,
    Passage,
    Reply,
    Section,
    Summary,
    Table,
)
from eval.page.quantities import Basis, Estimate, Quantity
from eval.page.shown import shown
from eval.page.svg_file import write_figure
from eval.page.writing import write_report

__all__ = [
    "Axis",
    "Bars",
    "Basis",
    "Block",
    "Cell",
    "Chapter",
    "Command",
    "Commands",
    "Dots",
    "Estimate",
    "Example",
    "Examples",
    "Figure",
    "Finding",
    "HeatMap",
    "Machine",
    "Mark",
    "MarkGroup",
    "Page",
    "Passage",
    "Point",
    "Quantity",
    "Reference",
    "Reply",
    "Scatter",
    "Section",
    "Series",
    "Summary",
    "Table",
    "page_of",
    "processor",
    "shown",
    "this_machine",
    "write_figure",
    "write_report",
]
