"""A snapshot in another codec: as if it had been saved so from the rows that it decodes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive_samples import make_tables
from tiny_gguf import TinySpec, write_model
from workbench import PROFILE, Workbench

from kvfiles.codecs import codec_named
from kvfiles.codecs.archive.tables import ArchiveTables, OneTables
from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.container import Container
from kvfiles.errors import Cancelled, SnapshotCorrupt
from kvfiles.recode import recode
from kvfiles.runtime import Model
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import StateView

SPEC = TinySpec("qwen2", 64, n_head=4, n_kv_head=2, n_layer=3, context=1024)
POSITION = 11


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    model = Model(write_model(tmp_path_factory.mktemp("model") / "tiny.gguf", SPEC))
    bench = Workbench(model)
    yield bench
    bench.close()
    model.close()


@pytest.fixture(scope="module")
def tables(bench: Workbench) -> ArchiveTables:
    shape = bench.model.shape
    return make_tables(shape.n_layer, shape.n_kv_head, shape.k_head_dim, shape.v_head_dim)


def rows(bench: Workbench, n: int, seed: int = 0) -> StateView:
    """A made-up cache of `n` cells from POSITION on."""
    rng, shape = np.random.default_rng(seed), bench.model.shape

    def layers(width: int) -> tuple[np.ndarray, ...]:
        return tuple(rng.standard_normal((n, width)).astype(np.float16) for _ in range(shape.n_layer))

    return StateView(
        np.arange(POSITION, POSITION + n, dtype=np.int32), layers(shape.k_width), layers(shape.v_width)
    )


def save(bench: Workbench, path: Path, n: int, codec: str, tables: ArchiveTables | None = None) -> Path:
    shape = bench.model.shape
    save_snapshot(
        path,
        rows(bench, n),
        np.arange(20, 20 + n, dtype=np.int32),
        first=0,
        codec=codec_named(codec, shape, bench.kernels, tables),
        tables=bench.tables,
        shape=shape,
        rope=bench.model.rope.describe(),
        profile=PROFILE,
        about={"document": "d", "volume": 2},
        pool=bench.pool,
    )
    return path


def again(
    bench: Workbench,
    source: Path,
    target: Path,
    codec: str,
    tables: ArchiveTables | None = None,
    **more: object,
) -> int:
    with Snapshot(source, bench.kernels, None if tables is None else OneTables(tables)) as snapshot:
        return recode(
            snapshot,
            target,
            codec_named(codec, bench.model.shape, bench.kernels),
            tables=bench.tables,
            kernels=bench.kernels,
            pool=bench.pool,
            about={"copy_of": "x"},
            **more,  # type: ignore[arg-type]  # `cancelled`
        )


def arrays(path: Path) -> dict[str, np.ndarray]:
    with Container(path) as container:
        return container.arrays(list(container.sections))


@pytest.mark.parametrize("n", [1, 4, CHUNK_TOKENS, CHUNK_TOKENS + 1, 2 * CHUNK_TOKENS + 90])
@pytest.mark.parametrize("codec", ["k4v4", "exact"])
def test_exact_rows_give_what_saving_them_gives(bench: Workbench, tmp_path: Path, codec: str, n: int) -> None:
    source = save(bench, tmp_path / "exact.kv", n, "exact")
    size = again(bench, source, tmp_path / "copy.kv", codec)
    assert size == (tmp_path / "copy.kv").stat().st_size
    expected, found = arrays(save(bench, tmp_path / "saved.kv", n, codec)), arrays(tmp_path / "copy.kv")
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_an_archive_gives_the_rows_that_it_attaches(
    bench: Workbench, tables: ArchiveTables, tmp_path: Path
) -> None:
    """Bit for bit, at the place where it was read."""
    n = CHUNK_TOKENS + 60
    source = save(bench, tmp_path / "archive.kv", n, "archive", tables)
    again(bench, source, tmp_path / "copy.kv", "exact", tables)
    prefix = bench.save(
        tmp_path / "prefix.kv", rows(bench, POSITION), np.arange(POSITION, dtype=np.int32), 0, "exact"
    )
    with bench.context(512) as context:
        states = []
        for path in (source, tmp_path / "copy.kv"):
            with (
                Snapshot(prefix, bench.kernels) as before,
                Snapshot(path, bench.kernels, OneTables(tables)) as document,
            ):
                bench.composer.attach(context, [before, document])
            states.append(bench.state(context))
    for layer in range(SPEC.n_layer):
        np.testing.assert_array_equal(states[0].k[layer], states[1].k[layer])
        np.testing.assert_array_equal(states[0].v[layer], states[1].v[layer])


def test_it_says_what_the_source_says_and_more(bench: Workbench, tmp_path: Path) -> None:
    again(bench, save(bench, tmp_path / "a.kv", 30, "k8v8"), tmp_path / "b.kv", "k4v4")
    with Snapshot(tmp_path / "b.kv", bench.kernels) as copy:
        header = copy.header
        assert header.about == {"document": "d", "volume": 2, "copy_of": "x"}
        assert (header.profile, header.position, header.n_tokens) == (PROFILE, POSITION, 30)
        assert (header.codec_label, header.shape) == ("k4v4", bench.model.shape)
        np.testing.assert_array_equal(copy.tokens, np.arange(20, 50))
        copy.require(profile=PROFILE, shape=bench.model.shape, rope=bench.model.rope.describe())


@pytest.mark.parametrize("after", [0, 1, 3])
def test_stopping_writes_nothing(bench: Workbench, tmp_path: Path, after: int) -> None:
    source = save(bench, tmp_path / "a.kv", 4 * CHUNK_TOKENS, "k4v4")
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(Cancelled):
        again(bench, source, tmp_path / "b.kv", "k4v4", cancelled=cancelled)
    assert list(tmp_path.iterdir()) == [source]


def test_a_damaged_source_writes_nothing(bench: Workbench, tmp_path: Path) -> None:
    source = save(bench, tmp_path / "a.kv", 2 * CHUNK_TOKENS, "k4v4")
    data = bytearray(source.read_bytes())
    data[-200] ^= 1
    source.write_bytes(data)
    with pytest.raises(SnapshotCorrupt):
        again(bench, source, tmp_path / "b.kv", "k4v4")
    assert list(tmp_path.iterdir()) == [source]
