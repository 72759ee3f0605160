"""Source code and settings: plain text, cited by lines, titled by the file's name.

JSON lines are left out: they hold records (exports, logs, question sets with their answers), not documents.
"""

from __future__ import annotations

from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.text import line_pages, readable_text
from ingest.parsers.titles import choose_title

_SUFFIXES = """
    .bash .bat .bib .c .cc .cfg .clj .cmake .conf .cpp .cs .css .cu .cxx .dart .diff .el .erl .ex .exs
    .f90 .fish .fs .go .gradle .graphql .groovy .h .hpp .hs .hxx .ini .java .jl .js .json .jsx
    .kt .kts .less .lisp .lua .m .mjs .ml .mm .nim .nix .patch .php .pl .pm .properties .proto .ps1 .py
    .pyi .pyx .r .rb .rs .scala .scm .scss .sh .sol .sql .sty .swift .tcl .tex .tf .toml .ts .tsx .v .vb
    .vhd .vim .vue .xml .xsd .yaml .yml .zig .zsh
"""


class CodeParser:
    """Files of programming languages, data and settings that are text."""

    name = "code"
    media_type = "text/x-source"
    suffixes = frozenset(_SUFFIXES.split())

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode, clean and cut into pages of lines; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        text, warnings = readable_text(data)
        return ParsedDocument(choose_title(stem, stem=stem), tuple(line_pages(text)), warnings)
