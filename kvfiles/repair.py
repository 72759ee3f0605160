"""Recompute the first tokens of later documents in place, so that they see the documents before them.

A batch must continue its sequence, so a window is decoded in a scratch sequence that shares every cell
before it, and then handed back (LegoLink, EPIC: arXiv 2410.15332; place by place, left to right).
"""

from __future__ import annotations

from collections.abc import Sequence

from kvfiles.compose import Span
from kvfiles.runtime.context import Context
from kvfiles.runtime.model import Tokens


def repair_heads(
    context: Context,
    spans: Sequence[Span],
    tokens: Sequence[Tokens],
    n_head: int,
    *,
    seq: int = 0,
    scratch: int = 1,
) -> int:
    """Recompute the first `n_head` tokens of every span but the first in `seq`; returns how many in all.

    `tokens[i]` are the tokens of `spans[i]`.  After an error `seq` misses the window under way: clear it.
    """
    done = 0
    for span, part in zip(spans[1:], tokens[1:], strict=True):
        window = part[: min(n_head, span.stop - span.first)]
        if len(window) == 0:
            continue
        stop = span.first + len(window)
        context.remove(scratch)
        context.copy(seq, scratch, 0, span.first)
        context.remove(seq, span.first, stop)
        context.decode(window, span.first, seq=scratch, logits="none")
        context.copy(scratch, seq, span.first, stop)
        context.remove(scratch)
        done += len(window)
    return done
