"""Fixtures of the `.kv` room."""

from __future__ import annotations

from pathlib import Path

import pytest
from container_samples import ARRAYS, META
from kernel_oracle import KERNELS

from kvfiles.container import write_container
from kvfiles.kernels import Kernels, available


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """Every implementation that this machine can run, with nothing kept from other tests."""
    return next(kernels for kernels in available() if kernels.name == request.param)


@pytest.fixture
def kv(tmp_path: Path) -> Path:
    """A small container file."""
    path = tmp_path / "file.kv"
    assert write_container(path, META, ARRAYS) == path.stat().st_size
    return path
