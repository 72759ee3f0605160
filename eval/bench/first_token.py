"""Time to the first token of an answer over three documents: attached against prefilled, model warm.

One pass reads the prompt as a full prefill would; its time is `prefill_s`.  Slices of that pass serve as
the snapshots of prefix and documents: attaching them is the same work as attaching documents that were read
alone, no second pass is needed, and the first token of both ways can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beyondrag.errors import UsageError
from beyondrag.prompt import document_text, make_frame
from eval.bench.clock import median, seconds
from eval.command import Progress
from eval.rig import Rig
from eval.texts import Text
from kvfiles.codecs import Codec
from kvfiles.runtime import Context
from kvfiles.runtime.model import Model, Tokens

N_DOCUMENTS = 3
QUESTION = "Who is responsible for this, and since when?"
ATTACH_REPEATS = 5
_MARGIN_TOKENS = 64
"""Kept free in the context for the beginning of an answer."""

_ROOM_TOKENS = 1024
"""Left of what the model was trained for, as an application would leave it for an answer."""


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Times in seconds; `attach_s` and `question_s` are the parts of `ttft_s`, all medians."""

    n_tokens: int
    prefill_s: float
    attach_s: float
    question_s: float
    ttft_s: float
    same_token: bool

    @property
    def speedup(self) -> float:
        return self.prefill_s / self.ttft_s


@dataclass(frozen=True, slots=True)
class Prompt:
    """The parts of a prompt in order, (n,) i32 tokens each."""

    prefix: Tokens
    documents: tuple[Tokens, ...]
    question: Tokens

    @property
    def stored(self) -> tuple[Tokens, ...]:
        return (self.prefix, *self.documents)

    @property
    def n_tokens(self) -> int:
        return sum(map(len, self.stored)) + len(self.question)


def measure_first_token(
    rig: Rig, prompt: Prompt, codec: Codec, *, folder: Path, progress: Progress
) -> FirstToken:
    """Prefill `prompt` once, then attach its parts ATTACH_REPEATS times; files go to `folder`."""
    with rig.context(prompt.n_tokens + _MARGIN_TOKENS) as context:
        progress(f"reading {prompt.n_tokens} tokens of prompt")
        wanted, prefill_s = _prefill(context, prompt)
        paths = _save_parts(rig, context, prompt, codec, folder)
        progress("attaching")
        attach_s, question_s, same = [], [], True
        for _ in range(ATTACH_REPEATS + 1):
            context.clear()
            attach_s.append(seconds(lambda: rig.attach(context, paths)))
            token, answer_s = _first_token(context, prompt.question)
            question_s.append(answer_s)
            same = same and token == wanted
    attach_s, question_s = attach_s[1:], question_s[1:]  # the first fills caches
    ttft_s = [a + b for a, b in zip(attach_s, question_s, strict=True)]
    return FirstToken(prompt.n_tokens, prefill_s, median(attach_s), median(question_s), median(ttft_s), same)


def three_documents(model: Model, texts: Sequence[Text], n_tokens: int) -> Prompt:
    """A prompt of about `n_tokens` tokens with three equally long documents cut from `texts`.

    Shorter if the model was trained for less.  Raises UsageError when the texts are too short.
    """
    n_tokens = min(n_tokens, model.n_ctx_train - _ROOM_TOKENS)
    frame = make_frame(model, closing="")
    prefix, question = frame.prefix_tokens(model), frame.question_tokens(model, QUESTION)
    each = (n_tokens - len(prefix) - len(question)) // N_DOCUMENTS
    joined = model.tokenize("".join(document_text(text.title, text.body) for text in texts))
    if each < 1 or len(joined) < N_DOCUMENTS * each:
        raise UsageError(
            f"{len(joined)} tokens of text are too few for a prompt of {n_tokens}",
            remedy="lower --ttft-tokens, or leave this part out with --no-ttft",
        )
    documents = tuple(joined[i * each : (i + 1) * each] for i in range(N_DOCUMENTS))
    return Prompt(prefix, documents, question)


def _prefill(context: Context, prompt: Prompt) -> tuple[int, float]:
    """The first token and the seconds up to it; the question is removed again."""
    found: list[int] = []

    def read() -> None:
        context.decode(np.concatenate(prompt.stored), 0, logits="none", slice_tokens=context.n_batch)
        found.append(_first_token(context, prompt.question)[0])

    context.decode(prompt.prefix, 0, logits="none")  # the first batch allocates
    context.clear()
    elapsed = seconds(read)
    context.remove(0, prompt.n_tokens - len(prompt.question))
    return found[0], elapsed


def _first_token(context: Context, question: Tokens) -> tuple[int, float]:
    found: list[int] = []

    def answer() -> None:
        found.append(int(context.decode(question, context.end(), logits="last").argmax()))

    elapsed = seconds(answer)
    return found[0], elapsed


def _save_parts(rig: Rig, context: Context, prompt: Prompt, codec: Codec, folder: Path) -> list[Path]:
    """The prefix exact, as ingest keeps it, and each document with `codec`."""
    state, first, paths = rig.state(context), 0, []
    for index, part in enumerate(prompt.stored):
        paths.append(folder / f"part{index}.kv")
        rig.save(paths[-1], state, part, first, codec if index else rig.codec("exact"))
        first += len(part)
    return paths
