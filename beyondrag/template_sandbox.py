"""Fills in a chat template inside Jinja's sandbox.  The sandbox bounds what a template can reach, not what it
costs: only known templates are filled in by this process, see `beyondrag.templates`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, which lets `10 ** 10 ** 10` and `"a" * 10 ** 12` through: refused here."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or (operator == "**" and right > 64):
            raise SecurityError(f"{operator} is not for these values in a template")
        return super().call_binop(context, operator, left, right)


def fill_in(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The `template` with the `messages` (each a role and a content); raises whatever it does wrong."""

    def refuse(message: str) -> str:
        raise TemplateError(message)

    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        messages=messages,
        add_generation_prompt=True,
        bos_token="",
        eos_token="",
        raise_exception=refuse,
        strftime_now=lambda form: datetime.date(2025, 1, 1).strftime(
            form
        ),  # a fixed date keeps the prefix fixed
    )
