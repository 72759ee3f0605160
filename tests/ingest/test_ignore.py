"""Ignore rules: Git itself is the oracle where it is installed; the rest is stated in ingest.ignore."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from guards import hang_guard
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import ignore
from ingest.errors import NothingToIngest
from ingest.ignore import FolderRules
from ingest.scan import ScanResult, scan

CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a test\n"


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def rules(folder: Path, *lines: str, name: str = ".gitignore") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def taken(result: ScanResult, root: Path) -> set[str]:
    return {file.path.relative_to(root).as_posix() for file in result.files}


def left_out(result: ScanResult, root: Path) -> dict[str, str]:
    return {Path(path).relative_to(root).as_posix(): kind for path, kind in result.ignored.items()}


def test_each_kind_of_rule_is_counted(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.txt",
        ".secret.txt",
        ".git/x.txt",
        "node_modules/p/readme.md",
        "b.log",
        "out/c.txt",
        "d.md",
    )
    put(tmp_path, "~$report.docx", "env/pyvenv.cfg", "env/e.txt", "old/f.txt")
    rules(tmp_path, "*.log", "out/")
    rules(tmp_path, "d.md", name=".beyondragignore")
    (tmp_path / "old/CACHEDIR.TAG").write_text(CACHE_TAG)
    result = scan([tmp_path])
    assert taken(result, tmp_path) == {"a.txt"}
    assert left_out(result, tmp_path) == {
        ".secret.txt": "hidden",
        ".gitignore": "hidden",
        ".beyondragignore": "hidden",
        ".git": "default",
        "node_modules": "default",
        "~$report.docx": "default",
        "env": "default",
        "old": "default",
        "b.log": ".gitignore",
        "out": ".gitignore",
        "d.md": ".beyondragignore",
    }
    assert result.n_ignored() == {".beyondragignore": 1, ".gitignore": 2, "default": 5, "hidden": 3}
    everything = scan([tmp_path], no_ignore=True)
    assert everything.ignored == {}
    assert {"b.log", ".secret.txt", "node_modules/p/readme.md", "old/f.txt"} <= taken(everything, tmp_path)


def test_a_tag_without_the_signature_is_just_a_file(tmp_path: Path) -> None:
    put(tmp_path, "a/CACHEDIR.TAG", "a/x.txt")
    assert taken(scan([tmp_path]), tmp_path) == {"a/x.txt"}


def test_own_rules_win_over_everything(tmp_path: Path) -> None:
    put(tmp_path, "a.log", "b.log", ".notes.txt", "node_modules/x.txt", "deep/er/a.log", "cache/y.txt")
    (tmp_path / "cache/CACHEDIR.TAG").write_text(CACHE_TAG)
    rules(tmp_path, "*.log")
    rules(tmp_path, "!a.log", "!.notes.txt", "!node_modules/", "!cache", name=".beyondragignore")
    result = scan([tmp_path])
    assert taken(result, tmp_path) == {
        "a.log",
        ".notes.txt",
        "node_modules/x.txt",
        "deep/er/a.log",
        "cache/y.txt",
    }


def test_rules_nearer_to_the_file_win(tmp_path: Path) -> None:
    put(tmp_path, "a.log", "in/a.log", "in/b.txt", "in/ner/a.log", "in/ner/b.txt")
    rules(tmp_path, "*.log")
    rules(tmp_path / "in", "!*.log", "/b.txt")
    rules(tmp_path / "in/ner", "a.log")
    assert taken(scan([tmp_path]), tmp_path) == {"in/a.log", "in/ner/b.txt"}


def test_nothing_below_a_folder_that_is_left_out_comes_back(tmp_path: Path) -> None:
    put(tmp_path, "out/a.txt", "out/b.txt")
    rules(tmp_path, "out/", "!out/a.txt")
    assert taken(scan([tmp_path]), tmp_path) == set()


def test_named_paths_are_taken_whatever_the_rules(tmp_path: Path) -> None:
    put(tmp_path, "a.log", ".hidden/b.txt", "node_modules/c.txt")
    rules(tmp_path, "*.log")
    named = [tmp_path / "a.log", tmp_path / ".hidden", tmp_path / "node_modules"]
    assert taken(scan(named), tmp_path) == {"a.log", ".hidden/b.txt", "node_modules/c.txt"}
    both = scan([tmp_path, tmp_path / "a.log"])
    assert taken(both, tmp_path) == {"a.log"}
    assert str(tmp_path / "a.log") not in both.ignored
    assert not both.is_ignored(str(tmp_path / "a.log"))
    assert both.is_ignored(str(tmp_path / "node_modules/deep/er/x.txt"))


def test_rules_above_the_named_folder_do_not_count(tmp_path: Path) -> None:
    put(tmp_path, "in/a.txt")
    rules(tmp_path, "in/", "*.txt")
    assert taken(scan([tmp_path / "in"]), tmp_path) == {"in/a.txt"}


def test_when_rules_leave_everything_out(tmp_path: Path) -> None:
    put(tmp_path, ".a.txt", ".b.txt")
    with pytest.raises(NothingToIngest, match="2 hidden") as caught:
        scan([tmp_path]).require_files()
    assert "--no-ignore" in caught.value.remedy


def test_odd_ignore_files(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "b.txt", "[x].txt", "ü.txt", "sp .txt")
    raw = (
        b"\xef\xbb\xbfa.txt\r\n[z-a]\n[\n!\n\\\n//\n\\[x\\].txt\r\n\xff\n" + "ü.txt\n".encode() + b"# no\n\n"
    )
    (tmp_path / ".gitignore").write_bytes(raw)
    assert taken(scan([tmp_path]), tmp_path) == {"b.txt", "sp .txt"}


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    for name in (b"\xff1.txt", b"\xff2.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    (tmp_path / ".gitignore").write_bytes(b"\xff1.txt\n")
    assert [os.fsencode(file.path.name) for file in scan([tmp_path]).files] == [b"\xff2.txt"]


@pytest.mark.parametrize("what", ["pipe", "folder", "link", "huge", "binary"])
def test_ignore_files_that_are_none(tmp_path: Path, what: str) -> None:
    put(tmp_path, "a.txt")
    path = tmp_path / ".gitignore"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to("a.txt")
    elif what == "huge":
        path.write_text("a.txt\n" * ignore.MAX_FILE_BYTES)
    else:
        path.write_bytes(bytes(range(256)) * 100)
    result = scan([tmp_path])
    assert taken(result, tmp_path) == {"a.txt"}
    assert len(result.warnings) == (what != "binary")


def test_rules_that_would_take_for_ever_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a" * 250 + ".txt", "b.log")
    rules(tmp_path, "*a" * 12 + "b", "**/a/**/a/**/a/**/b", "x" * 2000, "*a*a*b", "*.log")
    with hang_guard():  # twelve stars are 10^20 ways to read the name
        result = scan([tmp_path])
    assert taken(result, tmp_path) == {"a" * 250 + ".txt"}
    assert "3 rules" in result.warnings[0]


PATTERN_PARTS = [
    *("a", "b", "ab", "*", "?", "**", "***", "/", "[ab]", "[!a]", "a*", "*b", "\\a", "!", " ", "c.txt"),
]
NAMES = ["a", "b", "ab", "ba", "c.txt", "abc"]


def test_a_run_of_stars_is_one_or_two(tmp_path: Path) -> None:
    """Found by damaging ignore files: a name of 200 letters was compared with forty stars for ever."""
    put(tmp_path, "x" * 200 + ".txt", "cache/one.txt", "below/cache/two.txt", "axb.txt")
    rules(tmp_path, "*" * 40 + "y", "*" * 30 + "/cache/", "a***b.*", r"x\**")
    with hang_guard():
        assert taken(scan([tmp_path]), tmp_path) == {"x" * 200 + ".txt"}


@pytest.mark.skipif(shutil.which("git") is None, reason="Git is the oracle")
@settings(max_examples=40)
@given(
    patterns=st.lists(
        st.lists(st.sampled_from(PATTERN_PARTS), min_size=1, max_size=4).map("".join), max_size=4
    ),
    inner=st.lists(st.lists(st.sampled_from(PATTERN_PARTS), min_size=1, max_size=3).map("".join), max_size=2),
)
def test_git_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], inner: list[str]
) -> None:
    root = tmp_path_factory.mktemp("oracle")
    for first in NAMES[:3]:
        put(root, *(f"{first}/{name}.txt" for name in NAMES), f"{first}/a/b/c.txt")
    put(root, *(f"f{name}" for name in NAMES), "c.txt")
    rules(root, *patterns)
    rules(root / "a", *inner)
    # An empty template: no rules of this machine's own.
    environment = {"HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    command = [
        "git",
        "-c",
        "core.excludesFile=",
        "ls-files",
        "-z",
        "--others",
        "--exclude-per-directory=.gitignore",
    ]
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True, env=environment)
    output = subprocess.run(command, cwd=root, check=True, env=environment, capture_output=True).stdout
    expected = {name for name in output.decode().split("\0") if name and not name.endswith(".gitignore")}
    found = scan([root])
    mine = taken(found, root) | {file.path.relative_to(root).as_posix() for file in found.skipped}
    shutil.rmtree(root)
    assert mine == expected


def test_rules_are_shared_by_folders_without_ignore_files(tmp_path: Path) -> None:
    outer = FolderRules().inside(str(tmp_path), {"a.txt"})
    assert outer.inside(str(tmp_path / "in"), {"b.txt"}) is outer
