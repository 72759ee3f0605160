"""Is the configured model calibrated for the archive codec?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from beyondrag.calibration.store import CalibrationStore
from beyondrag.health.check import Check, ok, warn
from beyondrag.quantities import bytes_in_words
from kvfiles.errors import CalibrationError
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts


def check_calibration(facts: Facts) -> Iterator[Check]:
    """One line; a calibration that is damaged or of other bytes is a warning.  Deep: all of it is read."""
    name = "calibration"
    model, sha256 = facts.model_path, facts.model_sha256
    if model is None or sha256 is None:
        return
    store = CalibrationStore(facts.settings.models)
    found = store.describe(model, sha256)
    known_as = one_line(model.stem, 100)
    if found is None:
        yield ok(name, f"none; only the archive codec needs one (beyondrag models calibrate {known_as})")
        return
    if found.status == "damaged":
        again = f"beyondrag models calibrate {known_as} --force"
        yield warn(name, f"{one_line(str(found.path), 200)}: {found.why}", again)
        return
    if found.status == "foreign":
        again = f"beyondrag models calibrate {known_as}"
        yield warn(name, f"{one_line(str(found.path), 200)} was made for another file of this name", again)
        return
    if facts.deep:
        try:
            store.of_model(model, sha256)
        except CalibrationError as error:
            yield warn(name, one_line(error.message, 300), error.remedy)
            return
    about = f"{found.tables_id[:12]}…, {found.n_tokens:,} tokens, {bytes_in_words(found.size_bytes)}"
    yield ok(name, f"{about}{', read whole' if facts.deep else ''}")
