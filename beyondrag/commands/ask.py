"""`beyondrag ask`: answer a question from the library's documents."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from beyondrag.console import Console
from beyondrag.quantities import counted

if TYPE_CHECKING:
    from beyondrag.engine import Engine
    from beyondrag.events import Answer, Event, Source

EXIT_ABSTAINED = 3

_EPILOG = """examples:
  beyondrag ask "How old was the pilot in the accident at Belen, NM?"
  beyondrag ask "What is the notice period?" --doc lease.pdf
  beyondrag ask "Who signed first?" --top-k 2 --json

exit codes: 0 answered, 3 the documents do not answer (see beyondrag --help for the others)"""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "ask",
        help="answer a question from the documents, with sources",
        description="Find the documents that matter, attach their snapshots, answer with checked sources.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.add_argument("question", help="the question, in quotes")
    parser.add_argument(
        "--top-k", type=_count(1, 8), default=3, metavar="N", help="read at most N documents (default 3)"
    )
    parser.add_argument(
        "--doc",
        action="append",
        default=[],
        metavar="NAME",
        help="read this document and no other; may be repeated",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="prefill the documents instead of attaching snapshots: slow, the reference",
    )
    parser.add_argument(
        "--repair",
        type=_count(0, 4096),
        default=0,
        metavar="TOKENS",
        help="recompute the first TOKENS of the second and later documents (default 0)",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="show the answer even when no evidence was found for it, marked as unchecked",
    )
    parser.add_argument(
        "--max-tokens",
        type=_count(1, 4096),
        default=256,
        metavar="N",
        help="longest answer in tokens (default 256)",
    )
    parser.set_defaults(run=run)


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else -1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high:,}")
        return value

    return parse


def run(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.engine import Engine
    from beyondrag.events import Done
    from beyondrag.interrupts import interruptible
    from beyondrag.settings import settings_from
    from beyondrag.turn import AskOptions, check_question
    from library.store import Library

    question = check_question(args.question)
    settings = settings_from(args)
    options = AskOptions(
        top_k=args.top_k,
        documents=tuple(args.doc),
        exact=args.exact,
        repair_tokens=args.repair,
        check=not args.no_check,
        max_tokens=args.max_tokens,
    )
    with (
        Library.open(settings.library) as library,
        Engine(settings, library) as engine,
        interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled,
    ):
        for warning in engine.warnings:
            console.warn(warning)
        printer = _Printer(console)
        answer: Answer | None = None
        for event in engine.ask(question, options, cancelled):
            if isinstance(event, Done):
                answer = event.answer
            else:
                printer.show(event)
        assert answer is not None
        if console.wants_json:
            console.json(answer.to_json())
        else:
            _print_answer(console, answer)
        console.flush()
        _make_hot_copies(engine, console, cancelled)
    return EXIT_ABSTAINED if answer.abstained else 0


def _make_hot_copies(engine: Engine, console: Console, cancelled: Callable[[], bool]) -> None:
    """What this answer read from archives attaches faster next time; the answer is out already."""
    n_wanted = engine.n_hot_copies_wanted
    if not n_wanted:
        return
    if not console.wants_json:
        of = counted(n_wanted, "document")
        console.note(f"making hot copies of {of}, which attach faster next time; Ctrl-C leaves it")
    if problem := engine.make_hot_copies(cancelled):
        console.warn(problem)


class _Printer:
    """Shows events as they happen: what is read on stderr, evidence and answer on stdout."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line_open = False

    def show(self, event: Event) -> None:
        from beyondrag.events import (
            AnswerDelta,
            Attached,
            Chosen,
            EvidenceChecked,
            EvidenceDelta,
            ReadingDocument,
        )

        console = self._console
        _warn_of(event, console)
        if console.wants_json:
            return
        match event:
            case Chosen(documents, left_out):
                for document in documents:
                    part = "" if document.label in ("", "whole document") else f" ({document.label})"
                    console.note(
                        f"reading  {_name(document.path)}{part}: {document.title}  "
                        f"{document.n_tokens:,} tokens"
                    )
                for reason in left_out:
                    console.note(f"left out {reason}")
            case ReadingDocument(title, done, total) if done == 0:
                console.note(f"no snapshot yet: reading {total:,} tokens of {title}; this is done once")
            case Attached(n_tokens, seconds, parts):
                n_hot = sum(part.hot for part in parts)
                hot = f", {counted(n_hot, 'document')} from hot copies" if n_hot else ""
                console.note(f"attached {n_tokens:,} tokens in {seconds * 1000:.0f} ms{hot}")
            case EvidenceDelta(text):
                if console.interactive:
                    console.stream(text if self._line_open else f"evidence: {text}")
                    self._line_open = True
            case EvidenceChecked(_, source):
                if console.interactive and self._line_open:
                    console.stream("  [found]\n" if source else "  [stands in no document]\n")
                self._line_open = False
            case AnswerDelta():
                pass  # the answer is shown once it is known to be supported
            case _:
                pass


def _warn_of(event: Event, console: Console) -> None:
    """Why a document is read again that was read before."""
    from beyondrag.events import ReadingDocument

    if isinstance(event, ReadingDocument) and event.why and event.done == 0:
        console.warn(f"the snapshot of {event.title} cannot be used: {event.why}")


def _print_answer(console: Console, answer: Answer) -> None:
    if answer.abstained:
        console.out(
            "The documents do not answer this." if answer.documents else "No document fits this question."
        )
        if answer.nearest:
            console.out()
            console.out("Nearest passages:")
            for source in answer.nearest:
                _print_source(console, source)
    else:
        mark = "" if answer.checked else "  [unchecked: no evidence was found for this]"
        console.out(f"{answer.answer}{mark}")
        if answer.sources:
            console.out()
            for source in answer.sources:
                _print_source(console, source)
    for reason in answer.left_out:
        console.out(f"not read: {reason}")
    timings = answer.timings
    console.note(
        f"first token {timings.ttft_s:.2f} s, answer {timings.total_s:.2f} s, "
        f"{timings.decode_tokens_per_s:.1f} tokens/s, "
        f"{answer.prefilled_tokens:,} tokens of documents prefilled"
    )


def _print_source(console: Console, source: Source) -> None:
    page = f", {_page(source.page)}" if source.page else ""
    console.out(f"  {_name(source.path)}{page}")
    quote = " ".join(source.quote.split())
    console.out(f'    "{quote if len(quote) <= 300 else quote[:297] + "..."}"')


def _page(label: str) -> str:
    return f"page {label}" if label.isdigit() else label


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
