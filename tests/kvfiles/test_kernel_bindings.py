"""Shapes that do not fit raise ValueError; which variant is chosen; where rows may be written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kernel_oracle import (
    KERNELS,
    key_like,
    quantiser,
    rope_of,
)

from kvfiles.codecs.rotated import SCALE_TABLE
from kvfiles.kernels import (
    VARIANT_ENV,
    CodedLayers,
    Kernels,
    Quantiser,
    RowTarget,
    available,
    best,
    empty_layers,
)
from kvfiles.positions import RowRope


def test_a_chunk_is_that_part_of_the_whole(kernels: Kernels) -> None:
    """Nine of 23 rows, and the layers written with gaps between them."""
    q, n_layer, n, width = quantiser(5, 64), 4, 23, 128
    coded = empty_layers(n_layer, n, width, 5)
    rope = rope_of(2, 64, n)
    for layer in range(n_layer):
        kernels.encode(key_like(n, width, seed=layer), None, q, coded, layer)
    whole = np.zeros(n_layer * n * width * 2, np.uint8)
    kernels.decode(coded, rope, q, RowTarget(whole, 0, n * width * 2))
    rows = whole.view(np.float16).reshape(n_layer, n, width)
    codes, scales = (np.ascontiguousarray(array[:, 4:13]) for array in (coded.codes, coded.scales))
    chunk = CodedLayers(codes, scales, coded.mean, coded.reference)
    stride = 9 * width * 2 + 50
    part = np.full(6 + n_layer * stride, 0xA5, np.uint8)
    kernels.decode(chunk, rope.rows(4, 13), q, RowTarget(part, 6, stride))
    for layer in range(n_layer):
        start = 6 + layer * stride
        got = part[start : start + 9 * width * 2].view(np.float16).reshape(9, width)
        np.testing.assert_array_equal(got, rows[layer, 4:13])
        assert (part[start + 9 * width * 2 : start + stride] == 0xA5).all()
    assert (part[:6] == 0xA5).all()


def coded_sample(**parts: Any) -> CodedLayers:
    """Two layers of five rows of 128 values, some of it replaced."""
    good = {
        "codes": np.zeros((2, 5, 2, 32), np.uint8),
        "scales": np.zeros((2, 5, 2), np.uint8),
        "mean": np.zeros((2, 128), np.float16),
        "reference": np.zeros(2, np.float32),
    }
    return CodedLayers(**{**good, **parts})


GOOD_ROPE = rope_of(2, 64, 5)
Q4 = quantiser(4, 64)
BLOB_BYTES = 2 * 5 * 256


def target(**parts: Any) -> RowTarget:
    return RowTarget(**{"blob": np.zeros(BLOB_BYTES, np.uint8), "first": 0, "stride": 1280, **parts})


def rope_like(**parts: Any) -> RowRope:
    return replace(GOOD_ROPE, **parts)


BAD_CODED: dict[str, CodedLayers] = {
    "codes of another width": coded_sample(codes=np.zeros((2, 5, 1, 32), np.uint8)),
    "codes of other bits": coded_sample(codes=np.zeros((2, 5, 2, 40), np.uint8)),
    "too few rows of scales": coded_sample(scales=np.zeros((2, 4, 2), np.uint8)),
    "too few layers of scales": coded_sample(scales=np.zeros((1, 5, 2), np.uint8)),
    "too few means": coded_sample(mean=np.zeros((1, 128), np.float16)),
    "too few references": coded_sample(reference=np.zeros(1, np.float32)),
    "mean of another width": coded_sample(mean=np.zeros((2, 300), np.float16)),
    "no values": coded_sample(mean=np.zeros((2, 0), np.float16)),
}
BAD_ROPES: dict[str, RowRope] = {
    "rope of too few rows": rope_of(2, 64, 4),
    "rope of another width": rope_of(3, 64, 5),
    "rope wider than the head": rope_like(n_head=4, head_dim=32),
    "sin and cos differ": rope_like(sin=GOOD_ROPE.sin[:, :32].copy()),
    "odd rope": rope_like(cos=GOOD_ROPE.cos[:, :31].copy(), sin=GOOD_ROPE.sin[:, :31].copy()),
    "negative heads": rope_like(n_head=-2, head_dim=-64),
}
BAD_QUANTISERS: dict[str, Quantiser] = {
    "one bit": replace(Q4, bits=1),
    "nine bits": replace(Q4, bits=9),
    "rotation 0": replace(Q4, rotation=0),
    "rotation 3": replace(Q4, rotation=3),
    "rotation 256": replace(Q4, rotation=256),
    "negative rotation": replace(Q4, rotation=-64),
    "stride 2": replace(Q4, stride=2),
    "stride above the rotation": replace(Q4, rotation=4, stride=8),
    "short grid": replace(Q4, grid=Q4.grid[:2]),
    "short scale table": replace(Q4, scale_table=SCALE_TABLE[:9]),
}
BAD_TARGETS: dict[str, RowTarget] = {
    "blob too small": target(blob=np.zeros(BLOB_BYTES - 1, np.uint8)),
    "starts behind the end": target(first=BLOB_BYTES + 1),
    "starts before the blob": target(first=-2),
    "negative stride": target(stride=-1280),
    "huge stride": target(stride=2**62),
    "q8 with a foreign rotation": target(q8=True, rotation=48),
    "q8 with a negative rotation": target(q8=True, rotation=-64),
}
BAD_DECODES: dict[str, tuple[CodedLayers, RowRope | None, Quantiser, RowTarget]] = {
    **{name: (coded, None, Q4, target()) for name, coded in BAD_CODED.items()},
    **{name: (coded_sample(), rope, Q4, target()) for name, rope in BAD_ROPES.items()},
    **{name: (coded_sample(), None, q, target()) for name, q in BAD_QUANTISERS.items()},
    **{name: (coded_sample(), None, Q4, bad) for name, bad in BAD_TARGETS.items()},
}

NATIVE = [name for name in KERNELS if name != "numpy"]


@pytest.mark.parametrize("name", BAD_DECODES)
@pytest.mark.parametrize("variant", NATIVE)
def test_shapes_that_do_not_fit_raise_value_error(variant: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        KERNELS[variant].decode(*BAD_DECODES[name])


@pytest.mark.parametrize("variant", NATIVE)
def test_the_good_shapes_are_good(variant: str) -> None:
    KERNELS[variant].decode(coded_sample(), GOOD_ROPE, Q4, target())
    KERNELS[variant].decode(coded_sample(), GOOD_ROPE, Q4, target(q8=True, rotation=64, stride=0))


@pytest.mark.parametrize("variant", NATIVE)
def test_arrays_are_never_silently_copied(variant: str) -> None:
    """A strided or converted output would be written into a copy, and the state would stay empty."""
    kernels = KERNELS[variant]
    strided = np.zeros(2 * BLOB_BYTES, np.uint8)[::2]
    for blob in (strided, np.zeros(BLOB_BYTES, np.int8), np.zeros(BLOB_BYTES, np.float32)):
        with pytest.raises((ValueError, TypeError)):
            kernels.decode(coded_sample(), None, Q4, target(blob=blob))
    frozen = np.zeros(BLOB_BYTES, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises((ValueError, TypeError)):
        kernels.decode(coded_sample(), None, Q4, target(blob=frozen))
    for part in ({"codes": np.zeros((2, 5, 2, 32), np.float32)}, {"reference": np.zeros(2, np.float64)}):
        with pytest.raises((ValueError, TypeError)):
            kernels.decode(coded_sample(**part), None, Q4, target())
    out = empty_layers(1, 5, 128, 4)
    wrong = CodedLayers(out.codes.astype(np.int16), out.scales, out.mean, out.reference)
    with pytest.raises((ValueError, TypeError)):
        kernels.encode(key_like(5, 128), None, Q4, wrong, 0)


@pytest.mark.parametrize("variant", NATIVE)
@pytest.mark.parametrize("shape", [(0, 5, 128), (1, 4, 128), (1, 5, 192)])
def test_encoding_into_the_wrong_room_is_refused(variant: str, shape: tuple[int, int, int]) -> None:
    out = empty_layers(*shape, 4)
    with pytest.raises((ValueError, IndexError)):
        KERNELS[variant].encode(key_like(5, 128), None, Q4, out, 0)


@pytest.mark.parametrize("variant", NATIVE)
def test_a_row_wider_than_any_model_is_refused(variant: str) -> None:
    rows = np.zeros((1, 1, 16448), np.float16)
    with pytest.raises(ValueError, match="wide"):
        KERNELS[variant].relocate(rows, None, None, target(blob=np.zeros(33000, np.uint8)))


def test_an_unknown_variant_is_refused() -> None:
    native = pytest.importorskip("kvfiles._kernels")
    room = native.Target(np.zeros(4, np.uint8), 0, 0, False, 0)
    with pytest.raises(ValueError, match="variant"):
        native.relocate("vax", native.RelocateCall(np.zeros((1, 1, 2), np.uint16), None, None, room))
    with pytest.raises(ValueError, match="variant"):
        native.PlacingJob("vax", 1, [np.zeros(4, np.uint8)], 0, 0, 0, 0, 0, 1)


# ------------------------------------------------------------------------ the choice


def test_numpy_is_always_there_and_last() -> None:
    names = [kernels.name for kernels in available()]
    assert names[-1] == "numpy"
    assert best().name == names[0]


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIANT_ENV, "numpy")
    assert best().name == "numpy"
    monkeypatch.setenv(VARIANT_ENV, "no such thing")
    assert best().name == available()[0].name


def test_without_the_compiled_module_numpy_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import kvfiles

    monkeypatch.setitem(sys.modules, "kvfiles._kernels", None)
    monkeypatch.delattr(kvfiles, "_kernels", raising=False)
    assert [kernels.name for kernels in available()] == ["numpy"]
