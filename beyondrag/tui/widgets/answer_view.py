"""An answer as it is written: Markdown from a model, so nothing in it may act."""

from __future__ import annotations

from contextlib import suppress

from markdown_it import MarkdownIt
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownStream

from beyondrag.tui.safe_text import safe


class AnswerView(Markdown):
    """Shows the text that `add` gives bit by bit; links are never opened.

    Raw HTML stays text, and character references are not resolved: they could bring back what `safe`
    has taken out.
    """

    DEFAULT_CSS = """
    AnswerView { height: auto; padding: 0 1; }
    AnswerView MarkdownParagraph { margin: 0; }
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(safe(text) or None, parser_factory=_parser, open_links=False)
        self._stream: MarkdownStream | None = None
        self._written = text

    @property
    def written(self) -> str:
        """What has been given so far, as the model wrote it."""
        return self._written

    async def add(self, text: str) -> None:
        """More of the answer."""
        self._written += text
        if self._stream is None:
            self._stream = Markdown.get_stream(self)
        await self._stream.write(safe(text))

    async def finish(self, text: str) -> None:
        """The answer is complete: show exactly `text`."""
        await self._end_stream()
        if safe(text) != self.source:
            await self.update(safe(text))
        self._written = text

    async def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()

    async def on_unmount(self) -> None:
        """The screen is closed while the answer is being written."""
        with suppress(Exception):  # its widgets are being taken down
            await self._end_stream()


def _parser() -> MarkdownIt:
    return MarkdownIt("gfm-like", {"html": False}).disable("entity")
