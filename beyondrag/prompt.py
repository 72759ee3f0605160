"""The prompt around the documents: the model's own chat template, split at the documents.

::

    [prefix][document 1][document 2]...[question + end of turn + start of the answer]

The prefix (system prompt and start of the user's turn) is the same for every document and question, so
it is part of the reading profile.  Only the frame is tokenised with control tokens; documents and
questions are always plain text and cannot end the user's turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beyondrag.errors import AppError
from beyondrag.templates import TemplateExhausted, TemplateProblem, filled_in
from kvfiles.runtime.model import Model, Tokens
from library.wording import one_line

PROMPT_VERSION = 1
"""Raised whenever the code below changes what the model reads before or around a document."""

SYSTEM = (
    "You answer questions from the documents that the user gives, and from nothing else. "
    "First you copy the line of a document that states the answer, word for word. "
    "Then you give the answer, as short as possible. "
    "When no line of the documents states the answer, you say so instead of guessing."
)

_DOCUMENTS = "\x02documents\x03"
_QUESTION = "\x02question\x03"
_PLAIN = "### Instructions\n{system}\n\n### Documents\n{documents}\n\n### Question\n{question}\n\n### Reply\n"


@dataclass(frozen=True, slots=True)
class PromptFrame:
    """The fixed parts of the prompt: before the documents, between them and the question, after it."""

    before: str
    between: str
    after: str

    def prefix_tokens(self, model: Model) -> Tokens:
        """BOS if the model wants one, then everything before the documents."""
        tokens = model.tokenize(self.before, special=True)
        bos = model.bos
        if bos is not None and (len(tokens) == 0 or tokens[0] != bos):
            tokens = np.concatenate([np.array([bos], np.int32), tokens])
        return tokens

    def asked_tokens(self, model: Model, question: str) -> Tokens:
        """From the documents to the end of `question`, which itself cannot become control tokens."""
        return np.concatenate([model.tokenize(self.between, special=True), model.tokenize(question)])

    def reply_tokens(self, model: Model) -> Tokens:
        """From the end of the question to the start of the reply."""
        return model.tokenize(self.after, special=True)

    def question_tokens(self, model: Model, question: str) -> Tokens:
        """Everything after the documents."""
        return np.concatenate([self.asked_tokens(model, question), self.reply_tokens(model)])


def document_text(title: str, body: str) -> str:
    """What the model reads of one document: its title and its text in a plain frame.

    The frame holds no rank or number, because a document's place changes with the question.
    """
    safe_title = " ".join(title.split()).replace('"', "'")
    return f'<document title="{safe_title}">\n{body.strip()}\n</document>\n\n'


def make_frame(model: Model, *, closing: str = "") -> PromptFrame:
    """Split the model's chat template; `closing` stands between the question and the end of the turn.

    Models without a template get a plain one.  Raises AppError when the template cannot be used.
    """
    template = model.chat_template
    if template is None:
        text = _PLAIN.format(system=SYSTEM, documents=_DOCUMENTS, question=_QUESTION + closing)
    else:
        text = _render(model, template, closing)
    before, rest = text.split(_DOCUMENTS)
    between, after = rest.split(_QUESTION)
    return PromptFrame(before, between, after)


def _render(model: Model, template: str, closing: str) -> str:
    user = f"{_DOCUMENTS}Question: {_QUESTION}{closing}"
    with_system = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    without_system = [{"role": "user", "content": f"{SYSTEM}\n\n{user}"}]
    problem = "it drops the message"
    for messages in (with_system, without_system):  # some templates refuse a system message
        try:
            text = render_template(model, template, messages)
        except TemplateProblem as error:
            problem = str(error)
            continue
        once = text.count(_DOCUMENTS) == 1 and text.count(_QUESTION) == 1
        if once and SYSTEM in text and text.index(_DOCUMENTS) < text.index(_QUESTION):
            return text
    raise _unusable(model, problem)


def render_template(model: Model, template: str, messages: list[dict[str, str]]) -> str:
    """The chat `template` of a GGUF filled in, within limits on what it can reach and what it may cost.

    Raises:
        TemplateProblem: it is wrong or refuses these messages; other messages may do.
        AppError: it takes too much time or memory, or its text is too long.
    """
    try:
        return filled_in(template, tuple((message["role"], message["content"]) for message in messages))
    except TemplateExhausted as error:
        raise _unusable(model, str(error)) from error


def _unusable(model: Model, why: str) -> AppError:
    return AppError(
        f"the model's chat template cannot be used ({one_line(why, 200)})",
        subject=str(model.path),
        remedy="use an instruction-tuned model with a standard chat template",
    )
