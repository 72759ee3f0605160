"""What one run measures."""

from __future__ import annotations

from dataclasses import dataclass

from eval.compression.arms import Arm

CONTEXT_TOKENS = 2560
EVAL_TOKENS = 384
CODECS = ("exact", "k8v8", "k5v4", "k4v4", "k4v3", "k3v3")
ONE_SIDED = ("k8", "v8", "k4", "v4", "k3", "v3", "k2", "v2")
LLAMA_CACHES = ("q8_0", "q5_0", "q4_0", "q8_0/q4_0")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure at one length.

    `one_sided` names caches with only K or only V coded (`k4`, `v3`); `moved` adds the noise floor, which
    costs two more prefills of each text; `generated` is the longest answer to score, 0 for none.
    """

    context_tokens: int = CONTEXT_TOKENS
    eval_tokens: int = EVAL_TOKENS
    codecs: tuple[str, ...] = CODECS
    llama: tuple[str, ...] = LLAMA_CACHES
    moved: bool = True
    one_sided: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    generated: int = 0

    @property
    def text_tokens(self) -> int:
        """Tokens that a text must have: the context, the evaluated ones, and the last one's successor."""
        return self.context_tokens + self.eval_tokens + 1
