"""Fixtures of the app's tests."""

from __future__ import annotations

import pytest
from samples import record, state, text
from scripted_service import ScriptedService

from beyondrag.tui import key_order


@pytest.fixture
def service() -> ScriptedService:
    """A ready service with two documents."""
    service = ScriptedService()
    for name, title in (("report.pdf", "Report on the accident"), ("lease.pdf", "Lease of the hangar")):
        service.shelf_data.add(state(record(name, title)), text())
    return service


@pytest.fixture(autouse=True)
def patient_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has no time for this process the keys still come in their order."""
    monkeypatch.setattr(key_order, "PATIENCE_S", 60.0)
