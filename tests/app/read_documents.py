"""Two documents as the answering code gets them: in the context, with their text and pages."""

from __future__ import annotations

from beyondrag.answering import ReadDocument
from beyondrag.events import ChosenDocument
from beyondrag.evidence import FoldedText
from library.records import DocumentText, PageSpan

HARBOUR = "Harbour report\nThe keeper at Skerry Point was 48 years old.\fThe lamp is lit at dusk.\n"
BAKERY = "Bakery report\nThe oven of Mill Lane was built in 1921.\n"


def document(name: str, text: str, offset: int = 0) -> ReadDocument:
    """A document called `name`; a form feed begins its second page."""
    cut = text.find("\f") + 1
    pages = (PageSpan("1", 0, cut), PageSpan("2", cut, len(text))) if cut else (PageSpan("1", 0, len(text)),)
    chosen = ChosenDocument(name * 4, f"/docs/{name}.txt", name, 0, "", 20, 1.0, "snapshot", ())
    return ReadDocument(chosen, DocumentText(text, pages), FoldedText(text), offset)
