"""The configured model: its file, its architecture, and (deep) whether it does what the product needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.health.child import run_probe
from beyondrag.quantities import bytes_in_words
from kvfiles.gguf_file import read_gguf
from kvfiles.runtime.model import refuse_by_header
from library.files import hash_regular_file, storage_errors
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

_DEEP_TIMEOUT_S = 600.0


def check_model_file(facts: Facts) -> Iterator[Check]:
    """Is it there, and is it the file that the catalogue means?  Raises model errors."""
    name = "model file"
    path = facts.store.resolve(facts.settings.model)
    size = path.stat().st_size
    known = next((model for model in facts.store.known if model.file_name == path.name), None)
    about = f"{one_line(str(path), 200)}, {bytes_in_words(size)}"
    if known is not None and size != known.size_bytes:
        yield bad(
            name,
            f"{about}; {known.name} has {bytes_in_words(known.size_bytes)}",
            f"beyondrag models remove {known.name}, then beyondrag models pull {known.name}",
        )
        return
    sha256 = _fresh_sha256(path) if facts.deep else facts.store.sha256(path)
    if known is None or known.sha256 is None:
        yield ok(name, f"{about}, SHA-256 {sha256[:12]}…; not in the catalogue, so nothing to compare with")
    elif sha256 == known.sha256:
        read = "read again just now" if facts.deep else "as remembered or read now"
        yield ok(name, f"{about}, SHA-256 as in the catalogue ({read})")
    else:
        yield bad(
            name,
            f"{about}, SHA-256 {sha256[:12]}… instead of the catalogue's {known.sha256[:12]}…",
            f"beyondrag models remove {known.name}, then beyondrag models pull {known.name}; "
            "a model of your own needs another file name",
        )


def _fresh_sha256(path: Path) -> str:
    """Hashed anew: a failing disk changes bytes without changing the file's time.  Raises StorageError."""
    with storage_errors(path):
        return hash_regular_file(path.resolve())[0]


def check_architecture(facts: Facts) -> Iterator[Check]:
    """Can its cache be stored and moved, as far as the GGUF header tells?  Raises model errors."""
    name = "architecture"
    if facts.model_path is None:
        return
    header = read_gguf(facts.model_path)
    refuse_by_header(header)
    shape = facts.model_shape
    if shape is None:
        yield bad(
            name,
            f"{one_line(header.architecture, 40)}: the header lacks the sizes of its cache",
            "use another GGUF of this model",
        )
        return
    trained = header.arch("context_length")
    about = (
        f"{one_line(header.architecture, 40)}, {shape.n_layer} layers, {shape.n_kv_head} KV heads of "
        f"{shape.k_head_dim}, {2 * shape.values_per_token / 1000:.0f} kB of f16 cache a token"
    )
    if "tokenizer.chat_template" not in header.metadata:
        yield warn(
            name, f"{about}; without a chat template a plain prompt is used", "use an instruction-tuned model"
        )
        return
    if isinstance(trained, int) and facts.settings.context > trained:
        about += f"; trained for {trained:,} tokens, so the context is cut to that"
    yield ok(name, f"{about}; its header names nothing unsupported")


def check_model_opens(facts: Facts) -> Iterator[Check]:
    """Open it in a child process and try state and relocation.  Only when deep.  Raises ProbeFailed."""
    name = "model"
    if not facts.deep or facts.model_path is None:
        return
    settings = facts.settings
    found = run_probe(
        "model",
        str(facts.model_path),
        str(settings.threads),
        str(settings.gpu_layers),
        timeout_s=_DEEP_TIMEOUT_S,
    )
    about = f"opens in {found['open_s']:.1f} s, reads {found['tokens_per_s']:.0f} tokens/s"
    if found["state"] is not None:
        yield bad(
            name, f"{about}; its state: {one_line(str(found['state']), 200)}", "use a model of the catalogue"
        )
    elif found["moved"] is not None:
        yield warn(
            name,
            f"{about}; its snapshots work only as the first document: {one_line(str(found['moved']), 200)}",
            "use a model of the catalogue: with this one other documents are read again for each question",
        )
    else:
        yield ok(name, f"{about}; its state comes back bit for bit and can be moved")
