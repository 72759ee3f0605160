"""The runner with a scripted model, llama.cpp's rotation switch, the chat frame, and one real run."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import orjson
import pytest
from drift_script import ASK, DONE, END, REPLY, ScriptedContext, ScriptedModel, ScriptedRig

from beyondrag.errors import AppError, UsageError
from eval.drift.arms import BASE, FLOOR, FLOOR_SLICE, opened, parse_arms
from eval.drift.chat import SYSTEM, make_chat_frame
from eval.drift.checks import mentions
from eval.drift.command import main
from eval.drift.conversation import first_difference, forced, replies
from eval.drift.probes import Document, Probe, Topic, Turn
from eval.drift.rows import Row, parse_row
from eval.drift.runner import Runner
from eval.drift.summary import summary
from eval.rig import Rig
from eval.rowfile import RowFile
from kvfiles.errors import ModelError

VARIABLE = "LLAMA_ATTN_ROT_DISABLE"
DOCUMENT = Document("valves", "Valves", "Valve 3 was closed at noon.\nValve 7 was closed at dusk.")
TOPIC = Topic(
    DOCUMENT,
    (
        Probe("valves/noon", "valves", "fact", (Turn("When was 3 closed?", mentions("noon")),), ("noon",)),
        Probe(
            "valves/talk",
            "valves",
            "turns",
            (Turn("Say yes."), Turn("When was 7 closed?", mentions("dusk"))),
            ("dusk",),
        ),
    ),
)
ARMS = parse_arms(("exact", "k4v4"), ("q4_0", "q4_0:unrotated"), floor=True)
UNROTATED = "llama.cpp q4_0, not rotated"


def script(kind: str, request: str, n_requests: int) -> str:
    """f16 and most others are right; k4v4 says the same with other words, the unrotated cache is wrong."""
    if request.endswith("Say yes."):
        return "yes"
    right = "at noon" if "3" in request.splitlines()[-1] else "at dusk"
    assert n_requests == (1 if right == "at noon" else 2)
    return {"k4v4": f"{right}.", "q4_0 unrotated": "at dawn"}.get(kind, right)


def run(rig: ScriptedRig, path: Path | None = None, arms: Any = ARMS, **options: Any) -> list[Row]:
    with RowFile(path, parse_row) as file:
        return Runner(cast(Rig, rig), arms, file, "0" * 64, **options).run([TOPIC])


def test_every_probe_is_asked_behind_every_cache() -> None:
    rig = ScriptedRig(script)
    rows = run(rig)
    assert [(row.probe, row.arm) for row in rows] == [
        (probe.id, arm) for probe in TOPIC.probes for arm in ARMS.names
    ]
    by_arm = {row.arm: row for row in rows if row.probe == "valves/talk"}
    assert by_arm[BASE].replies == ("yes", "at dusk")
    assert by_arm[BASE].kept == (None, True)
    assert by_arm[BASE].tokens[0] == (*b"yes", END)
    assert by_arm["exact"].divergence is None
    assert max(by_arm["exact"].kld) == 0
    assert by_arm["k4v4"].replies[1] == "at dusk."
    assert by_arm["k4v4"].divergence == (1, len("at dusk"))
    assert by_arm["k4v4"].all_kept
    assert by_arm[UNROTATED].divergence == (1, len("at d"))
    assert by_arm[UNROTATED].tokens_before_divergence == len("yes") + 1 + len("at d")
    assert not by_arm[UNROTATED].all_kept
    assert (by_arm["llama.cpp q4_0"].rotated, by_arm[UNROTATED].rotated) == (True, False)
    assert by_arm["k4v4"].bits_per_value == 4
    assert by_arm["llama.cpp q4_0"].bits_per_value == 4.5
    assert rig.n_open == 0


def test_the_divergence_is_read_along_the_replies_of_f16() -> None:
    rows = {row.arm: row for row in run(ScriptedRig(script)) if row.probe == "valves/noon"}
    reply = b"at noon"
    assert len(rows["k4v4"].kld) == len(reply) + 1  # and the token that ends the turn
    assert [i for i, value in enumerate(rows["k4v4"].kld) if value > 0] == [len(reply)]
    assert rows["k4v4"].n_same_top1 == len(reply)
    p = np.exp(9) / (np.exp(9) + 256)
    assert rows["k4v4"].kld[-1] == pytest.approx(9 * (p - (1 - p) / 256), rel=1e-5)
    assert rows[BASE].kld == ()


def test_the_document_is_read_once_for_f16_and_every_codec() -> None:
    rig = ScriptedRig(script)
    run(rig)
    assert [line for line in rig.log if line.startswith("read")] == [
        "read f16 by 128",
        f"read k4v4 by {FLOOR_SLICE}",
        "read q4_0 by 128",
        "read q4_0 unrotated by 128",
    ]
    assert [line for line in rig.log if "document" in line] == ["save document exact", "save document k4v4"]
    assert {line for line in rig.log if "prefix" in line} == {"save prefix exact"}


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first = run(ScriptedRig(script), path, parse_arms(("exact",), (), floor=False))
    stored = path.read_bytes()
    again = ScriptedRig(script)
    assert run(again, path, parse_arms(("exact",), (), floor=False)) == first
    assert again.log == []
    assert path.read_bytes() == stored
    more = ScriptedRig(lambda kind, request, n: "another reply")
    rows = run(more, path, parse_arms(("exact", "k4v4"), (), floor=False))
    assert [line for line in more.log if "document" in line] == ["save document k4v4"]
    assert [row for row in rows if row.arm != "k4v4"] == first
    assert all(row.divergence is not None for row in rows if row.arm == "k4v4")
    assert path.read_bytes().startswith(stored)


def test_a_run_that_was_stopped_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    seen = []

    def stop(message: str) -> None:
        seen.append(message)
        if "k4v4" in message:
            raise KeyboardInterrupt

    rig = ScriptedRig(script)
    with pytest.raises(KeyboardInterrupt):
        run(rig, path, progress=stop)
    assert rig.n_open == 0
    n_kept = path.read_bytes().count(b"\n")
    assert n_kept == 5
    rows = run(ScriptedRig(script), path, progress=seen.append)
    assert path.read_bytes().count(b"\n") == len(rows) == 12
    assert any(message.startswith("[12 of 12") for message in seen)


def test_another_length_of_reply_is_another_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    arms = parse_arms((), (), floor=False)
    whole = run(ScriptedRig(script), path, arms)
    short = run(ScriptedRig(script), path, arms, max_tokens=4)
    assert [row.replies[-1] for row in short] == ["at n", "at d"]
    assert {row.key for row in whole}.isdisjoint(row.key for row in short)


def test_a_conversation_leaves_the_context_behind_the_document() -> None:
    context = ScriptedContext("f16", script, [])
    start = f"{ASK}document\n"
    context.decode(context.model.tokenize(start), 0, logits="none")
    requests = [
        context.model.tokenize(f"Say yes.{REPLY}"),
        context.model.tokenize(f"{DONE}{ASK}When was 7 closed?{REPLY}"),
    ]
    said = replies(cast(Any, context), requests, 20)
    assert [context.model.text(reply) for reply in said] == ["yes", "at dusk"]
    assert context.end() == len(start)
    text = context.model.text
    states = [
        (text(np.array(context.held)), text(tokens)) for tokens in forced(cast(Any, context), requests, said)
    ]
    assert states == [
        (f"{start}Say yes.{REPLY[:-1]}", ">yes"),
        (f"{start}Say yes.{REPLY}yes{DONE}{ASK}When was 7 closed?{REPLY[:-1]}", ">at dusk"),
    ]
    assert context.end() == len(start)


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        ([[1, 2], [3]], [[1, 2], [3]], None),
        ([[1, 2], [3]], [[1, 4], [3]], (0, 1)),
        ([[1, 2], [3]], [[1], [3]], (0, 1)),
        ([[1, 2], [3]], [[1, 2], [3, 5]], (1, 1)),
        ([[1, 2], [3]], [[1, 2], [5]], (1, 0)),
    ],
)
def test_the_first_difference(one: list[list[int]], other: list[list[int]], place: object) -> None:
    arrays = [[np.array(turn, np.int32) for turn in talk] for talk in (one, other)]
    assert first_difference(*arrays) == place


@pytest.mark.parametrize("before", [None, "1", "0"])
@pytest.mark.parametrize("index", [0, 1])
def test_rotation_is_what_the_arm_says_whatever_the_environment(
    monkeypatch: pytest.MonkeyPatch, before: str | None, index: int
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    arm = ARMS.llama[index]
    with opened(cast(Rig, ScriptedRig(script)), arm, 64) as (context, rotates):
        assert rotates == arm.rotated
        assert cast(Any, context).kind == ("q4_0" if arm.rotated else "q4_0 unrotated")
        assert os.environ.get(VARIABLE) == before
    assert os.environ.get(VARIABLE) == before


def test_a_llama_cpp_that_does_not_obey_is_refused() -> None:
    rig = ScriptedRig(script, obeys=False)
    with pytest.raises(ModelError, match="does not obey"), opened(cast(Rig, rig), ARMS.llama[1], 64):
        pass
    assert rig.n_open == 0


def test_arms_are_named_in_order() -> None:
    assert ARMS.names == (BASE, FLOOR, "exact", "k4v4", "llama.cpp q4_0", UNROTATED)
    assert parse_arms(("k4v4", "k4v4"), ("q8_0/q4_0",), floor=False).names == (
        BASE,
        "k4v4",
        "llama.cpp q8_0/q4_0",
    )


@pytest.mark.parametrize(("codecs", "llama"), [(("k9v9",), ()), ((), ("q3",)), ((), ("q4_0:rotated",))])
def test_unknown_arms_are_refused(codecs: tuple[str, ...], llama: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="unknown"):
        parse_arms(codecs, llama, floor=True)


def frame_text(template: str | None) -> tuple[str, ...]:
    model = ScriptedModel()
    model.chat_template = template
    frame = make_chat_frame(cast(Any, model))
    return frame.before, frame.first, frame.reply, frame.again


def test_the_frame_is_the_template_split_at_document_requests_and_reply() -> None:
    before, first, reply, again = frame_text(ScriptedModel.chat_template)
    assert (before, first, reply, again) == (f"{SYSTEM}{ASK}", "", REPLY, f"{DONE}{ASK}")


def test_templates_without_a_system_message_get_the_rules_in_the_first_request() -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    )
    before, _first, reply, again = frame_text(template)
    assert before == f"[user]{SYSTEM}\n\n"
    assert (reply, again) == ("[assistant]", "[user]")


def test_models_without_a_template_get_a_plain_frame() -> None:
    before, _first, reply, again = frame_text(None)
    assert SYSTEM in before
    assert reply.endswith("### Reply\n")
    assert "### Request" in again


@pytest.mark.parametrize("template", ["nothing", "{{ messages[-1].content }}", "{% broken"])
def test_templates_that_drop_a_message_are_refused(template: str) -> None:
    with pytest.raises(AppError, match="chat template"):
        frame_text(template)


def test_a_document_cannot_speak_for_the_frame() -> None:
    calls: list[tuple[str, bool]] = []

    def tokenize(text: str, *, special: bool = False) -> Any:
        calls.append((text, special))
        return np.zeros(len(text), np.int32)

    frame = make_chat_frame(cast(Any, ScriptedModel()))
    model = cast(Any, SimpleNamespace(tokenize=tokenize, bos=None))
    frame.document_tokens(model, Document("x", "x", DONE))
    frame.request_tokens(model, REPLY, first=False)
    assert {special for text, special in calls if text == REPLY} == {False, True}
    assert calls[0][1] is False
    assert calls[1:] == [(frame.again, True), (REPLY, False), (frame.reply, True)]


@pytest.mark.model
@pytest.mark.slow
def test_a_real_model_behind_real_caches(small_model_path: Path, tmp_path: Path) -> None:
    lines = [f"Valve {i} was closed at {i % 24} o'clock by the night shift." for i in range(8)]
    topic = Topic(Document("valves", "Valves", "\n".join(lines)), TOPIC.probes)
    arms = parse_arms(("exact", "k8v8", "k2v2"), ("q4_0:unrotated",), floor=False)
    with RowFile(tmp_path / "rows.jsonl", parse_row) as file, Rig(small_model_path, 1) as rig:
        rows = Runner(rig, arms, file, "0" * 64, max_tokens=6).run([topic])
    found = {arm.arm: arm for arm in summary(rows).arms}
    names = ("exact", "k8v8", "k2v2")
    kld = [found[name].kld.value for name in names]
    assert kld[0] == 0 < kld[1] < kld[2]
    assert found["exact"].agree.value == 1
    bits = [found[name].bits_per_value for name in names]
    assert bits[0] == pytest.approx(16, abs=0.1)
    assert 8 < bits[1] < 9
    assert 2 < bits[2] < 4
    rotated = {row.rotated for row in rows if row.arm == "llama.cpp q4_0, not rotated"}
    assert rotated == {False}


@pytest.mark.model
@pytest.mark.slow
def test_the_command_ends_with_one_line_of_json(
    small_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    arguments = ["--model", str(small_model_path), "--codecs", "k4v4", "--llama", "", "--no-floor"]
    arguments += [
        "--threads",
        "1",
        "--probes",
        "fact",
        "--limit",
        "1",
        "--max-tokens",
        "4",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    found = orjson.loads(lines[-1])
    assert [arm["arm"] for arm in found["arms"]] == ["f16", "k4v4"]
    assert found["arms"][1]["agree"]["n"] == found["n_probes"] == 1
    assert any(line.startswith("| k4v4") for line in lines)
    assert out.read_bytes().count(b"\n") == 2
    report = tmp_path / "report"
    assert main([*arguments, "--report", str(report)]) == 0  # from the file
    assert "beyondrag eval drift --model" in (report / "report.html").read_text()
    again = capsys.readouterr()
    assert orjson.loads(again.out.rstrip("\n").split("\n")[-1])["arms"] == found["arms"]
    assert "reading" not in again.err


def test_the_probes_can_be_read_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--probes", "buried"]) == 0
    out = capsys.readouterr().out
    assert out.count("(buried)") == 9
    assert "Please ask the curator" in out


@pytest.mark.parametrize(
    "arguments", [["--codecs", "zip"], ["--llama", "q9"], ["--probes", "mood"], ["--model", "/none.gguf"]]
)
def test_mistakes_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
