"""`beyondrag inspect FILE.kv`: what a snapshot says about itself, and whether it is whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words
from beyondrag.tables import columns
from library.wording import one_line

if TYPE_CHECKING:
    from kvfiles.container import Container
    from kvfiles.snapshot import SnapshotHeader

_EXAMPLES = """\
Exit code 6 when the file or a section is damaged.

examples:
  beyondrag inspect snapshot.kv
  beyondrag inspect snapshot.kv --json
"""
_DAMAGED = 6


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "inspect",
        parents=parents,
        help="look into a .kv file",
        epilog=_EXAMPLES,
        description="Show header and sections of a .kv file and check every section.",
    )
    parser.add_argument("file", metavar="FILE.kv", help="a snapshot")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print header and section table; 6 when a section is damaged."""
    from kvfiles.container import Container
    from kvfiles.snapshot import read_header

    with Container(Path(args.file)) as container:
        header = _header(container, read_header(container))
        calibration = _calibration(Path(args.file), args)
        sections = _sections(container)
    if calibration is not None:
        header["calibration"] = calibration
    if console.wants_json:
        console.json({"file": args.file, "header": header, "sections": sections})
    else:
        _print(args.file, header, sections, console)
    return 0 if all(section["checksum"] == "ok" for section in sections) else _DAMAGED


def _calibration(file: Path, args: argparse.Namespace) -> str | None:
    """Whether the calibration that the file names is here; None when it names none.

    Raises SnapshotCorrupt, SnapshotVersion: nothing can be decoded with what the header says.
    """
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.settings import settings_from
    from kvfiles.errors import CalibrationError
    from kvfiles.kernels import best
    from kvfiles.snapshot import Snapshot

    try:
        with Snapshot(file, best(), CalibrationStore(settings_from(args).models)) as snapshot:
            return "here" if snapshot.header.tables_id is not None else None
    except CalibrationError as error:
        return error.message


def _header(container: Container, header: SnapshotHeader) -> dict[str, Any]:
    from kvfiles.snapshot import stored_bits

    shape = header.shape
    return {
        "profile": header.profile,
        "shape": {
            "layers": shape.n_layer,
            "kv_heads": shape.n_kv_head,
            "k_head_dim": shape.k_head_dim,
            "v_head_dim": shape.v_head_dim,
        },
        "rope": header.rope,
        "codec": header.codec,
        "codec_params": header.codec_params,
        "bits_per_value": round(stored_bits(container, header), 4),
        "tokens": header.n_tokens,
        "position": header.position,
        "about": header.about,
        "size_bytes": container.size_bytes,
    }


def _sections(container: Container) -> list[dict[str, Any]]:
    from kvfiles.errors import SnapshotCorrupt

    rows = []
    for section in container.sections.values():
        try:
            container.array(section.name)
            checksum = "ok"
        except SnapshotCorrupt:
            checksum = "damaged"
        rows.append(
            {
                "name": section.name,
                "dtype": section.dtype,
                "shape": list(section.shape),
                "offset": section.offset,
                "bytes": section.n_bytes,
                "checksum": checksum,
            }
        )
    return rows


def _print(file: str, header: dict[str, Any], sections: list[dict[str, Any]], console: Console) -> None:
    shape = header["shape"]
    facts = {
        "profile": header["profile"],
        "model": f"{shape['layers']} layers, {shape['kv_heads']} KV heads, "
        f"head sizes {shape['k_head_dim']} (K) and {shape['v_head_dim']} (V)",
        "rope": _pairs(header["rope"]),
        "codec": " ".join(filter(None, (header["codec"], _pairs(header["codec_params"])))),
        "tables": header.get("calibration", ""),
        "bits/value": f"{header['bits_per_value']:.2f}",
        "tokens": f"{header['tokens']:,} from position {header['position']:,}",
        "about": _pairs(header["about"]),
        "size": f"{bytes_in_words(header['size_bytes'])} ({header['size_bytes']:,} bytes)",
    }
    console.out(file)
    for label, fact in facts.items():
        if fact:
            console.out(f"  {label:<10}  {fact}")
    console.out()
    headers = ("section", "dtype", "shape", "offset", "bytes", "checksum")
    rows = [
        [
            section["name"],
            section["dtype"],
            " x ".join(str(n) for n in section["shape"]) or "scalar",
            f"{section['offset']:,}",
            f"{section['bytes']:,}",
            section["checksum"],
        ]
        for section in sections
    ]
    for line in columns(headers, rows, right={3, 4}):
        console.out(line)


def _pairs(values: dict[str, Any]) -> str:
    shown = {key: one_line(str(value))[:12] if key == "tables" else value for key, value in values.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())
