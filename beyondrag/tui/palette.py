"""The command palette's own entries: documents to open or to ask, past conversations to go on with."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from beyondrag.quantities import counted
from beyondrag.tui.safe_text import safe_line
from kvfiles.errors import BeyondragError

if TYPE_CHECKING:
    from beyondrag.tui.app import BeyondragApp

_N_DOCUMENTS = 8
_N_CONVERSATIONS = 6
_SCORE = 0.4
"""Below the app's own commands when they fit well."""


class LibraryCommands(Provider):
    """Looks in the library while one types; the disk is read in a thread."""

    async def discover(self) -> Hits:
        """Before anything was typed: the latest conversations."""
        for text, action, about in await asyncio.to_thread(self._conversations, ""):
            yield DiscoveryHit(Content(text), action, text=text, help=about)

    async def search(self, query: str) -> Hits:
        """Documents by title, path or text, and conversations by their words."""
        for text, action, about in await asyncio.to_thread(self._documents, query):
            yield Hit(_SCORE, Content(text), action, text=text, help=about)
        for text, action, about in await asyncio.to_thread(self._conversations, query):
            yield Hit(_SCORE, Content(text), action, text=text, help=about)

    @property
    def _shell(self) -> BeyondragApp:
        return cast("BeyondragApp", self.app)

    def _documents(self, query: str) -> list[tuple[str, partial[None], str]]:
        shell, shelf = self._shell, self._shell.service.shelf
        entries = []
        try:
            found = {
                state.document.id: state.document
                for state in shelf.states(query, "title", limit=_N_DOCUMENTS)
            }
            for hit in shelf.search(query, _N_DOCUMENTS):
                found.setdefault(hit.document.id, hit.document)
        except BeyondragError:
            return []  # the screens tell what is wrong with the library
        for document in list(found.values())[:_N_DOCUMENTS]:
            title = safe_line(document.title, 100)
            name = safe_line(document.name, 100)
            entries.append((f"Open {title}", partial(shell.open_document, document.id, document.title), name))
            entries.append((f"Ask only {title}", partial(shell.ask_about, document.id, document.title), name))
        return entries

    def _conversations(self, query: str) -> list[tuple[str, partial[None], str]]:
        shell = self._shell
        try:
            kept = shell.service.shelf.conversations(query, _N_CONVERSATIONS)
        except BeyondragError:
            return []
        return [
            (
                f"Go on with: {safe_line(summary.title, 100)}",
                partial(shell.open_conversation, summary.id),
                counted(summary.n_turns, "question"),
            )
            for summary in kept
        ]
