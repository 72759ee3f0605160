"""The language that a file states for itself: a hint, checked and bounded, never guessed from the text."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"([a-z]{2,3})(-[a-z]{4})?(-(?:[a-z]{2}|[0-9]{3}))?((?:-(?:[0-9a-z]{5,8}|[0-9][0-9a-z]{3})){0,2})",
    re.IGNORECASE,
)
_NO_LANGUAGE = frozenset({"und", "zxx", "mul", "mis"})
_NAME = re.compile(r"[a-z][a-z0-9+#.-]{0,23}")
_MAX_STATED_CHARS = 100


def language_tag(stated: str) -> str | None:
    """`stated` as a BCP 47 tag of language, script, region and variants, in its usual case ("de-AT",
    "sr-Latn-RS"); None when it is none, or says that the language is unknown, none, or several.

    At most 30 characters.  ``de_DE`` and what follows a comma or a semicolon ("en, fr") are forgiven.
    """
    if len(stated) > _MAX_STATED_CHARS:
        return None
    first = re.split(r"[,;]", stated, maxsplit=1)[0].strip().replace("_", "-")
    found = _TAG.fullmatch(first)
    if found is None or found[1].lower() in _NO_LANGUAGE:
        return None
    parts = (found[1].lower(), (found[2] or "").title(), (found[3] or "").upper(), found[4].lower())
    return "".join(parts)


def programming_language(stated: str) -> str | None:
    """The name of a programming language as notebooks state it ("python", "c++"), in small letters."""
    name = stated.strip().lower() if len(stated) <= _MAX_STATED_CHARS else ""
    return name if _NAME.fullmatch(name) else None


def language_of_suffix(suffix: str) -> str | None:
    """The programming language of source code with this suffix (".py"); None for data and settings."""
    return _BY_SUFFIX.get(suffix.lower())


_SUFFIXES = {
    "bash": ".bash",
    "bat": ".bat",
    "c": ".c",
    "c#": ".cs",
    "c++": ".cc .cpp .cxx .hpp .hxx",
    "clojure": ".clj",
    "cmake": ".cmake",
    "css": ".css .less .scss",
    "cuda": ".cu",
    "dart": ".dart",
    "elixir": ".ex .exs",
    "emacs-lisp": ".el",
    "erlang": ".erl",
    "fish": ".fish",
    "fortran": ".f90",
    "f#": ".fs",
    "go": ".go",
    "graphql": ".graphql",
    "groovy": ".gradle .groovy",
    "haskell": ".hs",
    "java": ".java",
    "javascript": ".js .jsx .mjs",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "lisp": ".lisp",
    "lua": ".lua",
    "nim": ".nim",
    "nix": ".nix",
    "objective-c++": ".mm",
    "ocaml": ".ml",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1",
    "protobuf": ".proto",
    "python": ".py .pyi",
    "cython": ".pyx",
    "r": ".r",
    "ruby": ".rb",
    "rust": ".rs",
    "scala": ".scala",
    "scheme": ".scm",
    "shell": ".sh",
    "solidity": ".sol",
    "sql": ".sql",
    "swift": ".swift",
    "tcl": ".tcl",
    "terraform": ".tf",
    "tex": ".sty .tex",
    "typescript": ".ts .tsx",
    "vhdl": ".vhd",
    "vim-script": ".vim",
    "visual-basic": ".vb",
    "vue": ".vue",
    "zig": ".zig",
    "zsh": ".zsh",
}
_BY_SUFFIX = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
