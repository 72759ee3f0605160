"""What the app remembers about how a person likes it: a small file in the user's config folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import platformdirs

from library.files import replace_file

DEFAULT_THEME = "textual-dark"
_MAX_BYTES = 64 * 1024
_MAX_THEME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class TuiConfig:
    """The choices.  `path` is the file they are kept in; None: they are forgotten at the end."""

    theme: str = DEFAULT_THEME
    path: Path | None = None


def config_path() -> Path:
    """The file in the user's config folder (`$XDG_CONFIG_HOME/beyondrag/app.json` on Linux)."""
    return platformdirs.user_config_path("beyondrag", appauthor=False) / "app.json"


def load_config(path: Path) -> TuiConfig:
    """What is kept in `path`; whatever is missing, unreadable or makes no sense is the default."""
    kept: object = None
    with suppress(OSError, ValueError), path.open("rb") as file:
        kept = orjson.loads(file.read(_MAX_BYTES))
    theme = kept.get("theme") if isinstance(kept, dict) else None
    if not isinstance(theme, str) or not 0 < len(theme) <= _MAX_THEME_LENGTH:
        theme = DEFAULT_THEME
    return TuiConfig(theme, path)


def save_config(config: TuiConfig) -> None:
    """Replace the file as a whole.  Raises OSError; does nothing without a path."""
    if config.path is None:
        return
    config.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(config.path, orjson.dumps({"theme": config.theme}, option=orjson.OPT_INDENT_2))
