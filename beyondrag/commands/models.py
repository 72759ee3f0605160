"""`beyondrag models`: what there is, fetch one, calibrate one, say where it is, remove one."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from beyondrag.commands import models_calibrate
from beyondrag.console import Console
from beyondrag.interrupts import interruptible
from beyondrag.quantities import bytes_in_words
from beyondrag.settings import settings_from
from beyondrag.tables import columns

if TYPE_CHECKING:
    from beyondrag.models import InstalledModel, ModelStore, PullProgress

_EXAMPLES = """\
examples:
  beyondrag models list
  beyondrag models pull                      the default model
  beyondrag models pull smollm2-135m
  beyondrag models pull https://host/folder/model.gguf --name mine
  beyondrag models calibrate                 for the archive codec
  beyondrag models path qwen2.5-coder-1.5b
  beyondrag models remove smollm2-135m --yes
"""
_LIST_EXAMPLES = """\
examples:
  beyondrag models list
  beyondrag models list --json
"""
_PULL_EXAMPLES = """\
A pull that was stopped goes on where it stopped; the file is checked before it can be used.

examples:
  beyondrag models pull                      the default model
  beyondrag models pull qwen2.5-coder-0.5b
  beyondrag models pull https://host/folder/model.gguf --name mine
"""
_PATH_EXAMPLES = """\
examples:
  beyondrag models path qwen2.5-coder-1.5b
  ls -l "$(beyondrag models path smollm2-135m)"
"""
_REMOVE_EXAMPLES = """\
examples:
  beyondrag models remove smollm2-135m
  beyondrag models remove smollm2-135m --yes
"""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    text = "Fetch, list, calibrate and remove models."
    parser = subparsers.add_parser(
        "models", help="fetch, list, calibrate and remove models", description=text, epilog=_EXAMPLES
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser(
        "list",
        parents=parents,
        help="known and installed models",
        epilog=_LIST_EXAMPLES,
        description="Show the models that are installed and those that can be pulled by name.",
    )
    listing.set_defaults(run=_list)

    pulling = actions.add_parser(
        "pull",
        parents=parents,
        help="fetch a model",
        epilog=_PULL_EXAMPLES,
        description="Fetch a model by its name, or the GGUF file behind an https address.",
    )
    pulling.add_argument("name", metavar="NAME_OR_URL", nargs="?", help="default: the default model")
    pulling.add_argument(
        "--name", metavar="NAME", dest="call_it", default=None, help="name for the file of an address"
    )
    pulling.set_defaults(run=_pull)

    models_calibrate.add_parser(actions, parents)

    path = actions.add_parser(
        "path",
        parents=parents,
        help="where a model is",
        epilog=_PATH_EXAMPLES,
        description="Print the path of an installed model and nothing else.",
    )
    path.add_argument("name", metavar="NAME", help="an installed model")
    path.set_defaults(run=_path)

    removing = actions.add_parser(
        "remove",
        parents=parents,
        help="delete a model",
        epilog=_REMOVE_EXAMPLES,
        description="Delete a model's file, its calibrations and what unfinished pulls of it have left.",
    )
    removing.add_argument("name", metavar="NAME", help="an installed or partly pulled model")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    removing.set_defaults(run=_remove)


def _store(args: argparse.Namespace) -> ModelStore:
    from beyondrag.models import ModelStore

    return ModelStore(settings_from(args).models)


def _list(args: argparse.Namespace, console: Console) -> int:
    store = _store(args)
    models = _entries(store)
    if console.wants_json:
        console.json({"models": models, "folder": str(store.root)})
        return 0
    rows = [
        [
            f"{model['name']}{' (default)' if model['default'] else ''}",
            bytes_in_words(model["size_bytes"]),
            model["licence"] or "unknown",
            _state_in_words(model),
            model["note"],
        ]
        for model in models
    ]
    headers = ("name", "size", "licence", "state", "")
    for line in columns(headers, rows, right={1}, flexible=4, width=console.width):
        console.out(line)
    return 0


def _entries(store: ModelStore) -> list[dict[str, Any]]:
    """The catalogue first, in its order, then files that are in the folder besides."""
    from beyondrag.models import DEFAULT_MODEL
    from beyondrag.models.partial import partial_files

    installed = {model.path: model for model in store.list()}
    calibrated = {path for path, model in installed.items() if _is_calibrated(store, model)}
    entries: list[dict[str, Any]] = []
    for known in store.known:
        path = store.root / known.file_name
        here = installed.pop(path, None)
        left = [] if here or not store.root.is_dir() else partial_files(path)
        partial_bytes = sum(file.stat().st_size for file in left if file.suffix == ".part")
        entries.append(
            {
                "name": known.name,
                "state": "installed" if here else "partial" if left else "known",
                "default": known.name == DEFAULT_MODEL,
                "size_bytes": here.size_bytes if here else known.size_bytes,
                "partial_bytes": partial_bytes,
                "licence": known.licence,
                "context_tokens": known.context_tokens,
                "note": known.note if not here or here.known else "another file than the catalogue's",
                "path": str(path) if here else None,
                "calibrated": path in calibrated,
                "sha256": here.sha256 if here else known.sha256,
            }
        )
    entries.extend(
        {
            "name": model.name,
            "state": "installed",
            "default": False,
            "size_bytes": model.size_bytes,
            "partial_bytes": 0,
            "licence": None,
            "context_tokens": None,
            "note": "",
            "path": str(model.path),
            "calibrated": model.path in calibrated,
            "sha256": model.sha256,
        }
        for model in installed.values()
    )
    return entries


def _is_calibrated(store: ModelStore, model: InstalledModel) -> bool:
    """Whether its calibration can be used, as far as headers and remembered hashes tell."""
    from beyondrag.calibration.store import CalibrationStore

    found = CalibrationStore(store.root).describe(model.path, model.sha256)
    return found is not None and found.status == "ok"


def _state_in_words(model: dict[str, Any]) -> str:
    if model["state"] != "partial":
        return f"{model['state']}, calibrated" if model["calibrated"] else str(model["state"])
    return f"partial, {100 * model['partial_bytes'] // model['size_bytes']} %"


def _pull(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.models import DEFAULT_MODEL, pull

    store = _store(args)
    name = args.name or DEFAULT_MODEL
    with (
        interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled,
        console.progress(None, "bytes") as progress,
    ):

        def report(event: PullProgress) -> None:
            if event.stage in {"retry", "next source"}:
                progress.note(f"{event.stage}: {event.detail}")
                return
            part = f" {event.part} of {event.n_parts}" if event.n_parts > 1 else ""
            detail = f"part{part}" if part else event.stage
            progress.update(event.done_bytes, total=event.total_bytes, detail=detail)

        model = pull(store, name, name=args.call_it, progress=report, cancelled=cancelled)
    if console.wants_json:
        console.json(
            {
                "name": model.name,
                "path": str(model.path),
                "size_bytes": model.size_bytes,
                "sha256": model.sha256,
            }
        )
    else:
        console.out(f"{model.name} is ready: {model.path} ({bytes_in_words(model.size_bytes)})")
    return 0


def _path(args: argparse.Namespace, console: Console) -> int:
    path = str(_store(args).path(args.name))
    if console.wants_json:
        console.json({"path": path})
    else:
        console.out(path)
    return 0


def _remove(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.errors import ModelNotFound

    store = _store(args)
    if not args.yes and not console.confirm(f"Remove the model {args.name}?"):
        console.note("nothing was removed")
        return 1
    path = None
    with suppress(ModelNotFound):  # partly pulled
        path = store.path(args.name)
    store.remove(args.name)
    if path is not None:
        CalibrationStore(store.root).remove(path)
    if console.wants_json:
        console.json({"removed": args.name})
    else:
        console.out(f"removed {args.name}")
    return 0
