"""Text of any origin in Markdown, against a parser of Markdown: all of it is shown, nothing is active."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from beyondrag.service.markdown import code, inline, paragraph
from beyondrag.terminal_text import escaped

# Everything that GitHub's dialect knows, with bare links (also of bare domains) and HTML switched on.
PARSER = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(
    ["table", "strikethrough", "linkify"]
)
HARMLESS = {"text", "softbreak", "hardbreak", "inline", "paragraph_open", "paragraph_close"}

NASTY = [
    "<script>alert(1)</script>",
    "<!-- comment",
    "&lt; &copy; &#60;",
    "[a](javascript:alert(1)) ![b](http://example.com/x.png)",
    "[a]: http://example.com",
    "<http://example.com> http://example.com https://example.com/a?b=c www.example.com a@b.org example.com",
    "ftp://x mailto:a@b.org",
    "# heading",
    "===",
    "---",
    "- list",
    "+ list",
    "1. list",
    "2) list",
    "> quote",
    "    code",
    "\tcode",
    "```\nfence\n```",
    "~~~\nfence",
    "a | b\n--|--\n1 | 2",
    "*a* **b** _c_ __d__ ~~e~~ `f` $g$ $$h$$",
    "a  \nb\\\nc",
    "back\\slash \\* \\",
    "[^1] [^1]: note",
    ": definition",
    "***",
    "* * *",
    "_ _ _",
    "\\\n---",
    "a\n===",
]
texts = st.text(st.sampled_from("ab1 \n\t.-+=#*_`~<>&[]()!|\\:/@$wm?;'\"{}^\u00e9"), max_size=40)


def words(text: str) -> str:
    return " ".join(text.split())


def rendered(markdown: str) -> str:
    """The text that a reader sees."""
    return words(html.unescape(re.sub("<[^>]*>", " ", PARSER.render(markdown))))


def kinds(markdown: str) -> set[str]:
    found: set[str] = set()
    for token in PARSER.parse(markdown):
        found.add(token.type)
        found |= {child.type for child in token.children or ()}
    return found


@settings(deadline=None, max_examples=400)
@given(texts)
@pytest.mark.parametrize("write", [inline, paragraph])
def test_any_text_is_shown_and_does_nothing(write: object, text: str) -> None:
    check(write, text)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("write", [inline, paragraph])
def test_nasty_text(write: object, text: str) -> None:
    check(write, text)
    check(write, f"before {text}")
    check(write, f"before\n{text}\nafter")


def check(write: object, text: str) -> None:
    assert callable(write)
    markdown = write(text)
    assert kinds(markdown) <= HARMLESS, markdown
    assert rendered(markdown) == words(text)


@settings(deadline=None)
@given(texts)
@example("---")
def test_in_a_list_and_a_quotation(text: str) -> None:
    quoted = paragraph(text, "   > ")
    tokens = kinds(f"1. source\n\n{quoted}\n")
    allowed = HARMLESS | {"ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close"}
    assert tokens <= allowed | {"blockquote_open", "blockquote_close"}, quoted


@settings(deadline=None)
@given(texts)
@example("`")
@example("a``b`")
def test_code_spans(text: str) -> None:
    found = PARSER.parse(code(text))[1].children
    assert found is not None
    assert [child.type for child in found] == ["code_inline"]
    assert found[0].content.strip() == words(text)


def test_what_a_terminal_could_act_on_is_spelt_out() -> None:
    text = "a\x1b[31mb\u202ec\x00"
    assert rendered(inline(text)) == escaped(text)
    assert "\x1b" not in paragraph(text) + code(text)


def test_lines_stay_lines() -> None:
    assert PARSER.render(paragraph("one\ntwo\n\nthree\u2028four")) == (
        "<p>one<br />\ntwo</p>\n<p>three<br />\nfour</p>\n"
    )
