"""The files that a question set means by a name."""

from __future__ import annotations

from collections.abc import Iterable

from eval.sets import SetError


class FileNames:
    """Finds files by name: with or without suffix, and with as many folders before it as tell it apart.

    Args:
        paths: of all files, absolute.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        self._named: dict[str, list[str]] = {}
        for path in self.paths:
            for name in _names(path):
                self._named.setdefault(name, []).append(path)

    def find(self, name: str, *, subject: str) -> tuple[str, ...]:
        """All files of this name.  Raises SetError, about `subject`, when there is none."""
        found = self._named.get(name.replace("\\", "/"))
        if found is None:
            raise SetError(
                f"the document {name!r} is not in the set's library",
                subject=subject,
                remedy="check the name, and whether the file could be read or is hidden by another question",
            )
        return tuple(found)

    def shortest(self, path: str) -> str:
        """The fewest last parts of `path`, its suffix included, that no other file's name ends with."""
        parts = path.replace("\\", "/").split("/")
        for n in range(1, len(parts)):
            name = "/".join(parts[-n:])
            if self._named.get(name) == [path]:
                return name
        return path


def _names(path: str) -> Iterable[str]:
    parts = path.replace("\\", "/").split("/")
    for n in range(1, len(parts)):
        folders, name = parts[-n:-1], parts[-1]
        while name:
            yield "/".join([*folders, name])
            name = name.rpartition(".")[0]
