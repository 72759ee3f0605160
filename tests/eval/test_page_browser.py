"""The report opened in a real browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import page_demo
import pytest
import report_rows as made

if sys.platform == "win32":
    pytest.skip("the browser's pipe is opened the Unix way", allow_module_level=True)

from page_browser import NAMES, Tab, browser_tab, find_browser

from eval.page import write_report
from eval.report_command import main

_SHOWN = """Array.from(document.querySelectorAll('figure'))
    .map(f => Array.from(f.querySelectorAll('svg')).filter(s => s.getClientRects().length).length).join()"""
_OUTSIDE = """JSON.stringify(Array.from(document.querySelectorAll('figure svg'))
    .filter(svg => svg.getClientRects().length).flatMap(svg => {
        const box = svg.getBoundingClientRect();
        return Array.from(svg.querySelectorAll('text')).filter(text => {
            const own = text.getBoundingClientRect();
            return own.left < box.left - 2 || own.right > box.right + 2 || own.bottom > box.bottom + 2;
        }).map(text => text.textContent);
    }))"""
"""The texts of figures that reach out of them."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find_browser()
    if program is None:
        pytest.skip(f"no browser on PATH; looked for {', '.join(NAMES)}")
    folder = tmp_path_factory.mktemp("browser")
    path = write_report(folder / "report", page_demo.page(), {})
    with browser_tab(program, folder / "profile") as found:
        found.show(1400)
        found.open(path)
        yield found


def column(tab: Tab, index: int) -> list[str]:
    script = (
        "JSON.stringify(Array.from(document.querySelector('table').tBodies[0].rows)"
        f".map(row => row.cells[{index}].firstChild.textContent))"
    )
    return [str(text) for text in json.loads(tab.run(script))]


def test_nothing_is_refused_fetched_or_run_but_the_page_itself(tab: Tab) -> None:
    assert tab.problems == []
    assert [url for url in tab.requests if not url.endswith("/report.html")] == []
    assert tab.run("document.querySelectorAll('img, iframe').length") == 0


def test_the_policy_holds_against_a_script_that_got_in(tab: Tab) -> None:
    tab.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        " document.body.append(s); s.remove(); })()"
    )
    assert tab.run("window.broken === undefined") is True
    tab.problems.clear()  # the refusal itself


def test_a_click_on_a_head_sorts_and_missing_values_stay_last(tab: Tab) -> None:
    click = "document.querySelectorAll('table thead')[0].rows[0].cells[{}].querySelector('button').click()"
    tab.run(click.format(2))
    assert column(tab, 2) == ["26.90", "26.20", "0.43", "0.41", "–"]
    tab.run(click.format(2))
    assert column(tab, 2) == ["0.41", "0.43", "26.20", "26.90", "–"]
    assert tab.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    tab.run(click.format(0))
    assert column(tab, 0) == sorted(page_demo.SYSTEMS)


@pytest.mark.parametrize("width", [360, 400, 703, 760, 1400])
def test_the_page_fits_the_window_and_shows_each_figure_once(tab: Tab, width: int) -> None:
    tab.show(width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(_SHOWN) == "1,1,1,1"
    size = (
        "Math.min(...Array.from(document.querySelectorAll('figure svg'))"
        ".filter(s => s.getClientRects().length)"
        ".map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width))"
    )
    assert tab.run(size) > 0.85  # text of 12 px stays readable


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The report of all suites, from rows."""
    program = find_browser()
    if program is None:
        pytest.skip(f"no browser on PATH; looked for {', '.join(NAMES)}")
    folder = tmp_path_factory.mktemp("whole")
    rows = {
        "--qa": [*made.qa_rows(), *made.qa_rows("ports")],
        "--fidelity": made.fidelity_rows(),
        "--recall": made.recall_rows(("keys", "values")),
        "--drift": made.drift_rows(),
    }
    arguments = ["--out", str(folder / "report")]
    for option, own in rows.items():
        arguments += [option, str(made.write_rows(folder / f"{option[2:]}.jsonl", own))]
    assert main(arguments) == 0
    with browser_tab(program, folder / "profile") as found:
        found.show(1400)
        found.open(folder / "report" / "report.html")
        yield found


@pytest.mark.parametrize("width", [360, 1400])
def test_the_report_of_all_suites_fits_and_shows_every_figure(whole: Tab, width: int) -> None:
    whole.show(width)
    assert whole.problems == []
    assert whole.run("document.documentElement.scrollWidth") <= width
    assert whole.run(_SHOWN) == "1,1,1,1,1,1,1,1,1"
    assert json.loads(whole.run(_OUTSIDE)) == []
    cut = "Array.from(document.querySelectorAll('h2')).filter(h => h.scrollWidth > h.clientWidth + 1).length"
    assert whole.run(cut) == 0


@pytest.mark.parametrize("width", [400, 1400])
def test_no_text_of_a_figure_is_wider_than_was_planned(tab: Tab, width: int) -> None:
    tab.show(width)
    assert json.loads(tab.run(_OUTSIDE)) == []


def test_light_dark_and_paper(tab: Tab) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    tab.show(1400)
    assert tab.run(colour) == "rgb(255, 255, 255)"
    tab.show(1400, dark=True)
    assert tab.run(colour) == "rgb(20, 24, 28)"
    tab.show(1400, dark=True, media="print")
    assert tab.run(colour) == "rgb(255, 255, 255)"
    tab.show(1400)
