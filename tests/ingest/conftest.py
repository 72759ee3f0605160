"""Shared set-up of the ingest tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure of the code: time limits are tested where they matter.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
