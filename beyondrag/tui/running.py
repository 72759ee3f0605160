"""From the first frame to the last thread: running the app so that the terminal is left as it was."""

from __future__ import annotations

from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.idle_collector import IdleCollector, no_full_collections


def run_app(app: BeyondragApp) -> int:
    """Run until the app is left; returns the exit code.

    The terminal is given back first, then the service is closed: what it does ends at the next safe point.

    Raises:
        Exception: whatever made the app fail, for the command line to put into words.
    """
    try:
        with no_full_collections():
            app.collector = IdleCollector()
            app.run()
    finally:
        app.close_service()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
