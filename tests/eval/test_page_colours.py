"""The page's colours: enough contrast on light and dark (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re

import pytest

from eval.page.drawing.canvas import N_SLOTS
from eval.page.drawing.heat import N_STEPS
from eval.page.html import asset


def palettes() -> dict[str, dict[str, str]]:
    light, dark = asset("style.css").split("@media screen and (prefers-color-scheme: dark)")
    found = {}
    for name, text in (("light", light), ("dark", dark.split("* { box-sizing")[0])):
        found[name] = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6}|var\(--[\w-]+\))", text))
    return {"light": found["light"], "dark": {**found["light"], **found["dark"]}}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("screen", ["light", "dark"])
def test_text_and_marks_stand_out(screen: str) -> None:
    colours = palettes()[screen]
    for name in ("ink", "muted", "accent", "good", "bad"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
        assert contrast(colours[name], colours["panel"]) >= 4.5, name
    assert contrast(colours["ink"], colours["mark"]) >= 4.5
    for slot in range(N_SLOTS + 1):
        assert contrast(colours[f"s{slot}"], colours["page"]) >= 3, slot


@pytest.mark.parametrize("screen", ["light", "dark"])
def test_numbers_on_a_heat_map_can_be_read_and_its_colours_rise(screen: str) -> None:
    colours = palettes()[screen]
    levels = []
    for step in range(N_STEPS):
        upon = colours[colours[f"on{step}"].removeprefix("var(--").removesuffix(")")]
        assert contrast(colours[f"h{step}"], upon) >= 4.5, step
        levels.append(luminance(colours[f"h{step}"]))
    assert levels == sorted(levels, reverse=screen == "light")
