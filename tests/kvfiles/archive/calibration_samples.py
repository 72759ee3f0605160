"""Made-up K and V with the structure that calibration looks for: layers that resemble those before them."""

from __future__ import annotations

import numpy as np

from kvfiles.codecs.archive.calibrate import Observed
from kvfiles.codecs.archive.importance import Attended
from kvfiles.runtime.model import ModelShape

SMALL = ModelShape(n_layer=3, n_kv_head=2, k_head_dim=16, v_head_dim=8)


def observed(
    shape: ModelShape = SMALL,
    lengths: tuple[int, ...] = (200, 100, 300),
    *,
    scale: float = 1.0,
    seed: int = 0,
    memory: float = 0.0,
) -> Observed:
    """K and V that are mixtures of the layer before and of new, unevenly strong directions; K off centre.

    What is new is a first-order autoregression of coefficient `memory` over the tokens of a text.
    """
    rng = np.random.default_rng(seed)
    n = sum(lengths)

    def fresh(width: int) -> np.ndarray:
        strengths = np.exp2(-np.arange(width) / 4)
        turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
        c = rng.standard_normal((n, width))
        if memory:
            for t in set(range(1, n)) - set(np.cumsum(lengths).tolist()):
                c[t] = memory * c[t - 1] + np.sqrt(1 - memory**2) * c[t]
        return (c * strengths) @ turn

    def mixed(before: np.ndarray, width: int) -> np.ndarray:
        return before @ rng.standard_normal((before.shape[1], width)) / np.sqrt(before.shape[1])

    layers_k, layers_v = [fresh(shape.k_width)], [fresh(shape.v_width)]
    for _ in range(1, shape.n_layer):
        before = np.hstack([layers_k[-1], layers_v[-1]])
        layers_k.append(0.8 * mixed(before, shape.k_width) + 0.4 * fresh(shape.k_width))
        layers_v.append(0.8 * mixed(layers_k[-1], shape.v_width) + 0.4 * fresh(shape.v_width))
    dim = shape.k_head_dim
    queries = rng.standard_normal((shape.n_layer, shape.n_kv_head, 4 * dim, dim)) * np.linspace(0.2, 3, dim)
    moments = np.matmul(queries.transpose(0, 1, 3, 2), queries) / (4 * dim)
    k = scale * (np.stack(layers_k) + 5.0)
    ahead = np.concatenate([np.arange(length, 0, -1) for length in lengths])
    received = np.exp2(rng.uniform(-16, -4, (shape.n_layer, shape.n_kv_head, n))).astype(np.float32)
    attended = Attended(np.arange(n), ahead, received)
    return Observed(k.astype(np.float16), np.stack(layers_v).astype(np.float16), moments, lengths, attended)
