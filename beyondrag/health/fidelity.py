"""Does the configured codec keep the configured model's predictions, as far as it was measured?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from beyondrag.fidelity_verdict import configured_findings, remedy_for
from beyondrag.health.check import Check, ok, warn
from beyondrag.quantities import moment_in_words
from kvfiles.codecs import canonical_name

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts


def check_fidelity(facts: Facts) -> Iterator[Check]:
    """One check for the codec and, unless it is f16, one for the cache type."""
    name = "fidelity"
    settings = facts.settings
    if facts.model_path is None or facts.model_sha256 is None:
        return
    found = configured_findings(settings, facts.model_path, facts.model_sha256)
    for finding in found:
        line = f"{finding.codec}: {finding.reason}, measured {moment_in_words(finding.measured_at)}"
        if finding.status == "fail":
            yield warn(name, line, remedy_for(finding, settings))
        else:
            yield ok(name, line if finding.status == "ok" else f"{line}; not settled either way")
    measured = {canonical_name(finding.codec) for finding in found}
    if canonical_name(settings.codec) not in measured and settings.codec != "exact":
        yield ok(name, f"{settings.codec} was not measured on this model here (beyondrag eval fidelity)")
