"""A document in every kind of cache, one after another."""

from __future__ import annotations

from collections.abc import Container, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.command import Progress
from eval.drift.arms import BASE, FLOOR, FLOOR_SLICE, Arms, opened
from eval.rig import Rig
from kvfiles.runtime import Context
from kvfiles.runtime.model import Tokens

F16_BITS = 16.0


@dataclass(frozen=True, slots=True)
class Cache:
    """A context whose sequence 0 holds prefix and document as `arm` keeps them.

    `bits_per_value` is that of the document; `rotated` whether llama.cpp rotated its own quantised cache.
    """

    arm: str
    context: Context
    bits_per_value: float
    rotated: bool | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, and for how many tokens in all there must be room; snapshots go to `folder`."""

    rig: Rig
    prefix: Tokens
    body: Tokens
    n_context: int
    folder: Path

    def caches(self, arms: Arms, wanted: Container[str], progress: Progress) -> Generator[Cache, None, None]:
        """The f16 cache, then every arm that is `wanted`; each is gone when the next one is asked for.

        As in the product, the prefix is kept exact and the document's own cells are coded.
        """
        rig, n_prefix = self.rig, len(self.prefix)
        tokens = np.concatenate([self.prefix, self.body])
        with rig.context(self.n_context) as context:
            progress(f"reading {len(tokens)} tokens")
            context.decode(tokens, 0, logits="none")
            yield Cache(BASE, context, F16_BITS)
            state = rig.state(context)
            for name in (name for name in arms.codecs if name in wanted):
                before, path = self.folder / "prefix.kv", self.folder / "document.kv"
                rig.save(before, state, self.prefix, 0, rig.codec("exact"))
                n_bytes = rig.save(path, state, self.body, n_prefix, rig.codec(name))
                context.clear()
                rig.attach(context, [before, path])
                yield Cache(name, context, rig.bits_per_value(n_bytes, len(self.body)))
            if FLOOR in wanted:
                progress(f"reading {len(tokens)} tokens again, {FLOOR_SLICE} at a time")
                context.clear()
                context.decode(tokens, 0, logits="none", slice_tokens=FLOOR_SLICE)
                yield Cache(FLOOR, context, F16_BITS)
        for arm in arms.llama:
            if arm.name in wanted:
                with opened(rig, arm, self.n_context) as (context, rotated):
                    progress(f"reading {len(tokens)} tokens into {arm.name}")
                    context.decode(tokens, 0, logits="none")
                    yield Cache(arm.name, context, arm.cache.bits_per_value(rig.model.shape), rotated)
