"""Chat templates are programs of strangers: whatever they do costs little; the known ones say the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, Template

from beyondrag import templates
from beyondrag.errors import AppError
from beyondrag.prompt import make_frame
from beyondrag.template_sandbox import fill_in
from beyondrag.templates import TemplateExhausted, TemplateLimits, TemplateProblem, filled_in
from ingest.child_process import ChildProcess
from kvfiles.gguf_file import read_gguf

MESSAGES = (("system", "Be good."), ("user", "Why? é \U0001f600 <&>"))
LIMITS = TemplateLimits(memory_bytes=200_000_000, cpu_s=60, wall_s=600, max_chars=5_000)
"""The times only bound what fails: the other limits are met long before, on any machine."""

CHAT = (
    "{%- if messages[0].role == 'system' -%}\n  <s>{{ messages[0].content | trim }}</s>\n{% endif %}"
    "{% for m in messages %}"
    "{% if not loop.first %}[{{ m['role'] }}] {{ m['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {{ strftime_now('%d %b %Y') }}{% endif %}"
)

DOUBLING = "{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"


def test_the_child_fills_in_what_the_sandbox_fills_in() -> None:
    dicts = [{"role": role, "content": content} for role, content in MESSAGES]
    text = filled_in(CHAT, MESSAGES)
    assert text == fill_in(CHAT, dicts)
    assert text == "<s>Be good.</s>\n[user] Why? é \U0001f600 <&>\n[assistant] 01 Jan 2025"


def test_what_was_filled_in_is_not_filled_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    template = CHAT + "{# once #}"
    text = filled_in(template, MESSAGES)

    def no_child(*_: object) -> None:
        raise AssertionError("a process was started again")

    monkeypatch.setattr(templates, "ChildProcess", no_child)
    assert filled_in(template, MESSAGES) == text
    with pytest.raises(AssertionError):
        filled_in(template, (("user", "other"),))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
            "{% endfor %}{% endfor %}{% endfor %}",
            "processor time",
        ),
        (DOUBLING, "memory"),
        ("{% set ns = namespace(x=[1]) %}" + "{% set ns.x = ns.x + ns.x %}" * 64, "memory"),
        ("{% for a in range(99999) %}xxxxxxxx{% endfor %}", "5,000 characters"),
        ("{{ 'x'.center(4999999999) }}", "memory"),
        ("{{ range(99999) | map('string') | join('x' * 0 if false else 'y') }}", "5,000 characters"),
        ("x" * 70_000, "60,000 bytes"),
    ],
    ids=["loops", "doubled text", "doubled list", "output", "padding", "join", "length"],
)
def test_a_template_that_takes_too_much_is_stopped(
    template: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: object, **_options: object) -> None:
        raise AssertionError("a template of strangers is filled in by this process")

    monkeypatch.setattr(Environment, "compile", here)
    monkeypatch.setattr(Template, "render", here)
    limits = replace(LIMITS, cpu_s=1) if "time" in words else LIMITS
    with pytest.raises(TemplateExhausted, match=words):
        filled_in(template, MESSAGES, limits)


@pytest.mark.parametrize(
    "template",
    [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro a(f) %}{{ f(f) }}{% endmacro %}{{ a(a) }}",
        "(" * 2 + "{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}",
        "{% if 1 %}" * 3_000 + "{% endif %}" * 3_000,
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages | attr('__class__') | attr('__base__') | attr('__subclasses__') }}{{ none() }}",
        "{{ raise_exception.__globals__ }}{{ strftime_now.__code__.co_consts[0]() }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
        "{{ messages.append(1) }}",
        "{% include '/etc/passwd' %}",
        "{{ raise_exception('\x1b[31m no system role') }}",
        "{{ undefined_thing.x }}",
        "{% for",
    ],
)
def test_a_template_that_does_wrong_is_a_problem_or_stopped(template: str) -> None:
    with pytest.raises((TemplateProblem, TemplateExhausted)) as caught:
        filled_in(template, MESSAGES, LIMITS)
    assert str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_clock_on_the_wall_counts_too() -> None:
    slow = TemplateLimits(wall_s=0.01)
    with pytest.raises(TemplateExhausted, match=r"longer than 0\.01 s"):
        filled_in(CHAT, MESSAGES, slow)


def test_the_model_and_a_remedy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beyondrag.prompt.filled_in", _limited(filled_in))
    model: Any = SimpleNamespace(chat_template=DOUBLING, path=Path("folder/greedy.gguf"))
    with pytest.raises(AppError, match="memory") as caught:
        make_frame(model)
    assert "greedy.gguf" in caught.value.subject
    assert "chat template" in caught.value.message
    assert caught.value.remedy


def test_a_template_that_turns_the_message_round_is_refused() -> None:
    template = "{% for m in messages %}{{ m.content.split('Question') | reverse | join }}{% endfor %}"
    model: Any = SimpleNamespace(chat_template=template, path=Path("a.gguf"))
    with pytest.raises(AppError, match="chat template"):
        make_frame(model)


def _limited(fill: Callable[..., str]) -> Callable[..., str]:
    return lambda template, messages: fill(template, messages, LIMITS)


# What the known models read, taken when their snapshots could first be shared: it must never change.

FRAMES = {
    "": "58d8414d0f8742c1567906d814d92876",
    "\nBe brief.": "5b71c054339417b4ba1bf81cfa4e488d",
    " x \n": "4d23763c7f71e33ae8555f66266dc28c",
}


@pytest.mark.model
@pytest.mark.parametrize("model", ["small_model_path", "default_model_path"])
def test_known_templates_give_the_same_prompts_with_and_without_a_child(
    model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = request.getfixturevalue(model)
    template = str(read_gguf(path).metadata["tokenizer.chat_template"])
    assert hashlib.sha256(template.encode()).hexdigest() in templates.KNOWN
    stand_in: Any = SimpleNamespace(chat_template=template, path=path)
    for known in (templates.KNOWN, frozenset[str]()):
        monkeypatch.setattr(templates, "KNOWN", known)
        for closing, expected in FRAMES.items():
            frame = make_frame(stand_in, closing=closing)
            text = repr((frame.before, frame.between, frame.after))
            assert hashlib.sha256(text.encode()).hexdigest()[:32] == expected


def test_no_process_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[ChildProcess] = []

    def start(command: Sequence[str]) -> ChildProcess:
        started.append(ChildProcess(command))
        return started[-1]

    monkeypatch.setattr(templates, "ChildProcess", start)
    for template in (CHAT, DOUBLING, "{% for"):
        with contextlib.suppress(TemplateProblem, TemplateExhausted):
            filled_in(template + "{# left #}", MESSAGES, LIMITS)
    assert len(started) == 3
    for child in started:
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)
