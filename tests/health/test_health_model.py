"""The configured model, from its file alone and (deep) opened."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from headers import N_VOCAB, write_header

from beyondrag.fidelity_verdict import Finding, ModelVerdicts, store_verdicts, verdict_path
from beyondrag.health.facts import Facts
from beyondrag.health.fidelity import check_fidelity
from beyondrag.health.memory import needed
from beyondrag.health.model import check_architecture, check_model_file, check_model_opens
from beyondrag.models import KnownModel, ModelStore
from beyondrag.settings import Settings
from kvfiles.errors import ModelError, ModelFileError, StorageError, UnsupportedModel


def mine(settings: Settings) -> Path:
    return settings.models / "mine.gguf"


def known(path: Path, **changed: object) -> KnownModel:
    raw = path.read_bytes()
    model = KnownModel("mine", len(raw), hashlib.sha256(raw).hexdigest(), "MIT", 4096, "", ())
    return replace(model, **changed)  # type: ignore[arg-type]  # fields of several types


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("changed", "status", "word"),
    [
        ({}, "ok", "as in the catalogue"),
        ({"size_bytes": 5}, "bad", "5 bytes"),
        ({"sha256": "b" * 64}, "bad", "instead of the catalogue's bbbb"),
        ({"sha256": None}, "ok", "nothing to compare with"),
    ],
)
def test_the_file_is_compared_with_the_catalogue(
    settings: Settings, deep: bool, changed: dict[str, object], status: str, word: str
) -> None:
    path = write_header(mine(settings))
    facts = Facts(settings, deep=deep)
    facts.store = ModelStore(settings.models, (known(path, **changed),))
    (found,) = check_model_file(facts)
    assert found.status == status
    assert word in found.line
    assert bool(found.remedy) == (status == "bad")


def test_bytes_that_rotted_are_found_when_deep(settings: Settings) -> None:
    path = write_header(mine(settings))
    os.utime(path, ns=(10**18, 10**18))  # long ago: its sum is remembered
    model = known(path)

    def statuses(*, deep: bool) -> list[str]:
        facts = Facts(settings, deep=deep)
        facts.store = ModelStore(settings.models, (model,))
        return [check.status for check in check_model_file(facts)]

    assert statuses(deep=False) == statuses(deep=True) == ["ok"]
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    with path.open("r+b") as file:  # the same file, the same size; then the same time
        file.write(raw)
    os.utime(path, ns=(10**18, 10**18))
    assert statuses(deep=False) == ["ok"]
    assert statuses(deep=True) == ["bad"]


def test_without_a_model_the_other_checks_are_silent(settings: Settings, facts: Facts) -> None:
    with pytest.raises(ModelError):
        list(check_model_file(facts))
    assert facts.profile is None
    assert needed(facts) is None
    for check in (check_architecture, check_model_opens, check_fidelity):
        assert list(check(facts)) == []


def test_an_architecture_that_works(settings: Settings, facts: Facts) -> None:
    write_header(mine(settings))
    (found,) = check_architecture(facts)
    assert found.status == "ok"
    assert "10 layers, 2 KV heads of 32, 3 kB of f16 cache a token" in found.line


@pytest.mark.parametrize(
    "extra",
    [{"attention.sliding_window": 512}, {"attention.kv_lora_rank": 64}, {"ssm.state_size": 16}],
    ids=str,
)
def test_what_cannot_be_stored_is_refused_by_name(
    settings: Settings, facts: Facts, extra: dict[str, int]
) -> None:
    write_header(mine(settings), arch="odd", **extra)
    with pytest.raises(UnsupportedModel, match="odd"):
        list(check_architecture(facts))


def test_a_damaged_header_is_a_model_error(settings: Settings, facts: Facts) -> None:
    path = write_header(mine(settings))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelFileError):
        list(check_architecture(facts))
    assert facts.model_shape is None


def test_the_need_follows_from_the_header(settings: Settings) -> None:
    path = write_header(mine(settings), context=1024)
    need = needed(Facts(settings))  # 2,048 tokens are configured, the model was trained for 1,024
    assert need is not None
    assert need.weights == path.stat().st_size
    assert (need.n_ctx, need.cache, need.batch) == (1024, 1024 * 1280 * 2, 512 * N_VOCAB * 4)
    smaller = needed(Facts(replace(settings, cache_type="q8_0", context=512)))
    assert smaller is not None
    assert smaller.cache == 512 * 1280 * 34 // 32


@pytest.mark.parametrize(
    ("status", "expected"), [("ok", ["ok"]), ("warn", ["ok"]), ("fail", ["warn"]), (None, ["ok"])]
)
def test_a_codec_that_fails_is_named(
    settings: Settings, facts: Facts, status: str | None, expected: list[str]
) -> None:
    path = write_header(mine(settings))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if status is not None:
        finding = Finding("k4v4", status, "mean divergence 9", "text", 1, 1000, 1.0)  # type: ignore[arg-type]  # a literal
        store_verdicts(verdict_path(settings.models, path), ModelVerdicts("mine", sha256, (finding,)))
    found = list(check_fidelity(facts))
    assert [check.status for check in found] == expected
    assert ("mean divergence 9" in found[0].line) == (status is not None)


@pytest.mark.model
def test_deep_opens_the_model_and_tries_it(settings: Settings, small_model_path: Path) -> None:
    facts = Facts(replace(settings, model=str(small_model_path)), deep=True)
    (found,) = check_model_opens(facts)
    assert found.status == "ok"
    assert "bit for bit" in found.line


def test_deep_tells_what_llama_cpp_says_of_a_file_without_weights(settings: Settings) -> None:
    write_header(mine(settings))
    with pytest.raises((ModelError, Exception), match="cannot load") as caught:
        list(check_model_opens(Facts(settings, deep=True)))
    assert not isinstance(caught.value, StorageError)
