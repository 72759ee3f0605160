"""Is the configured model calibrated for the archive codec?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from beyondrag.calibration.store import CalibrationStore
from beyondrag.health.check import Check, ok, warn
from beyondrag.quantities import bytes_in_words
from kvfiles.codecs import archive_quality
from kvfiles.codecs.archive.tables import group_heads
from kvfiles.errors import CalibrationError
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts


def _none(remedy: str, codec: str | None) -> Check:
    """There is no calibration; `codec` needs one, or none does."""
    if codec is None:
        return ok("calibration", f"none; only the archive codec needs one ({remedy})")
    return warn("calibration", f"none, which {codec} needs; the next ingest makes it in some minutes", remedy)


def _too_wide(facts: Facts) -> str:
    """What of the model's cache the archive codec cannot store; "" when it can, or nothing is known."""
    try:
        if facts.model_shape is not None:
            group_heads(facts.model_shape)
    except ValueError as error:
        return str(error)
    return ""


def check_calibration(facts: Facts) -> Iterator[Check]:
    """One line; a calibration that is damaged or of other bytes is a warning.  Deep: all of it is read."""
    name = "calibration"
    model, sha256 = facts.model_path, facts.model_sha256
    if model is None or sha256 is None:
        return
    store = CalibrationStore(facts.settings.models)
    found = store.describe(model, sha256)
    known_as = one_line(model.stem, 100)
    wanted = archive_quality(facts.settings.codec) is not None
    if wanted and (wide := _too_wide(facts)):
        yield warn(name, f"{facts.settings.codec} cannot store {wide}", "choose another codec, such as k4v4")
        return
    if found is None:
        yield _none(f"beyondrag models calibrate {known_as}", facts.settings.codec if wanted else None)
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
