"""A conversation about one document in the model's own chat format, as tokens.

::

    [prefix][document][ask 1 + end of turn + start of reply] reply [end of turn + ask 2 + ...] reply ...

Only prefix and document are read ahead and compressed; what follows continues on that cache.  As in
`beyondrag.prompt`, only the frame is tokenised with control tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beyondrag.errors import AppError
from beyondrag.prompt import document_text, render_template
from eval.drift.probes import Document
from kvfiles.runtime.model import Model, Tokens

SYSTEM = (
    "You are a careful assistant. The user gives you a document and then writes requests about it. "
    "Follow every rule that the document or the user states for your replies, to the letter. "
    "Reply briefly and only with what was asked for."
)

_DOCUMENT, _FIRST, _REPLY, _NEXT = "\x02document\x03", "\x02first\x03", "\x02reply\x03", "\x02next\x03"
_PLAIN = (
    f"### Instructions\n{SYSTEM}\n\n### Document\n{_DOCUMENT}### Request\n{_FIRST}\n\n### Reply\n{_REPLY}"
    f"\n\n### Request\n{_NEXT}\n\n### Reply\n"
)


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """The fixed text: before the document, before the first request, after a request, after a reply."""

    before: str
    first: str
    reply: str
    again: str

    def prefix_tokens(self, model: Model) -> Tokens:
        """BOS if the model wants one, then everything before the document."""
        tokens = model.tokenize(self.before, special=True)
        bos = model.bos
        if bos is not None and (len(tokens) == 0 or tokens[0] != bos):
            tokens = np.concatenate([np.array([bos], np.int32), tokens])
        return tokens

    def document_tokens(self, model: Model, document: Document) -> Tokens:
        """The document in the product's own wrapper."""
        return model.tokenize(document_text(document.title, document.text))

    def request_tokens(self, model: Model, request: str, *, first: bool) -> Tokens:
        """From the end of the document, or of the reply before, to the start of the reply."""
        parts = [
            model.tokenize(self.first if first else self.again, special=True),
            model.tokenize(request),
            model.tokenize(self.reply, special=True),
        ]
        return np.concatenate(parts)


def make_chat_frame(model: Model) -> ChatFrame:
    """Split the model's chat template around document, requests and reply.

    Models without a template get a plain one.  Raises AppError when the template cannot be used.
    """
    template = model.chat_template
    text = _PLAIN if template is None else _render(model, template)
    before, rest = text.split(_DOCUMENT)
    first, rest = rest.split(_FIRST)
    _before_reply, rest = rest.split(_REPLY)
    again, reply = rest.split(_NEXT)
    return ChatFrame(before, first, reply, again)


def _render(model: Model, template: str) -> str:
    opening = f"{_DOCUMENT}{_FIRST}"
    talk = [{"role": "assistant", "content": _REPLY}, {"role": "user", "content": _NEXT}]
    variants = (  # some templates refuse a system message
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": opening}, *talk],
        [{"role": "user", "content": f"{SYSTEM}\n\n{opening}"}, *talk],
    )
    marks = (SYSTEM, _DOCUMENT, _FIRST, _REPLY, _NEXT)
    for messages in variants:
        try:
            text = render_template(model, template, messages)
        except Exception:  # noqa: S112  # a template is a program that we did not write; the other variant is next
            continue
        places = [text.find(mark) for mark in marks]
        if all(text.count(mark) == 1 for mark in marks) and places == sorted(places):
            return text
    raise AppError(
        "the model's chat template cannot hold a conversation about a document",
        subject=str(model.path),
        remedy="use an instruction-tuned model with a standard chat template",
    )
