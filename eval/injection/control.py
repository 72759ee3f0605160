"""Whether text can become control tokens: counted, not estimated."""

from __future__ import annotations

from dataclasses import dataclass

from beyondrag.prompt import document_text, make_frame
from kvfiles.runtime.llama import api
from kvfiles.runtime.model import Model, Tokens


@dataclass(frozen=True, slots=True)
class ControlCheck:
    """`n_texts` control tokens of the vocabulary, each written out in the text of a document, its title and
    a question; `n_arisen` control tokens came out of that."""

    n_texts: int
    n_arisen: int


def control_texts(model: Model) -> list[str]:
    """How the tokens that control a conversation or end a turn are written."""
    texts = (
        api().llama_vocab_get_text(model.vocab, token).decode("utf-8", "replace")
        for token in range(model.n_vocab)
        if model.is_control(token) or model.is_end(token)
    )
    return [text for text in texts if text]


def n_control(model: Model, tokens: Tokens) -> int:
    """How many of (n,) `tokens` control a conversation or end a turn."""
    return sum(model.is_control(int(token)) or model.is_end(int(token)) for token in tokens)


def check_vocabulary(model: Model) -> ControlCheck:
    """Write every control token of the vocabulary out wherever a document or a question can hold it.

    The frame around a question has control tokens of its own, which do not count.
    """
    frame, texts = make_frame(model), control_texts(model)
    own = n_control(model, frame.question_tokens(model, ""))
    n_arisen = 0
    for text in [*texts, "".join(texts), "\n".join(texts)]:
        documents = (document_text("title", f"one {text} two"), document_text(text, "text"))
        n_arisen += sum(n_control(model, model.tokenize(document)) for document in documents)
        n_arisen += n_control(model, frame.question_tokens(model, text)) - own
    return ControlCheck(len(texts), n_arisen)
