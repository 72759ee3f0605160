"""What has come to rest: pure bookkeeping, on a clock of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beyondrag.watching.settling import Settled, Settling, Stamp

WALL = 1_000_000.0


def stamp(size: int, age_s: float = 0.0) -> Stamp:
    return Stamp(size, round((WALL - age_s) * 1e9))


def look(settling: Settling, present: dict[str, Stamp], now: float) -> Settled:
    return settling.look(present, now, WALL + now)


def test_at_first_old_files_are_taken_at_once_and_young_ones_wait() -> None:
    settling = Settling(2.0)
    present = {"old": stamp(1, 60), "young": stamp(1, 0.5), "from the future": stamp(1, -3600)}
    first = look(settling, present, 0.0)
    assert first == Settled(("old",), (), 2, 0.0)
    settling.took(first.changed)
    assert look(settling, present, 1.4) == Settled((), (), 2, 0.0)
    assert look(settling, present, 1.6).changed == ("young",)
    assert look(settling, present, 2.0).changed == ("young", "from the future")


def test_later_even_an_old_time_must_rest() -> None:
    settling = Settling(2.0)
    assert look(settling, {}, 0.0) == Settled((), (), 0, 0.0)
    present = {"moved here": stamp(1, 3600)}
    assert look(settling, present, 10.0) == Settled((), (), 1, 0.0)
    assert look(settling, present, 12.0).changed == ("moved here",)


def test_a_file_that_grows_waits_until_it_has_grown() -> None:
    settling = Settling(2.0)
    look(settling, {}, 0.0)
    for second in range(10):
        found = look(settling, {"growing": stamp(second)}, float(second))
        assert (found.changed, found.n_waiting) == ((), 1)
    assert look(settling, {"growing": stamp(9)}, 11.0).changed == ("growing",)


def test_what_was_taken_is_quiet_until_it_changes() -> None:
    settling = Settling(2.0)
    settling.took(look(settling, {"a": stamp(1, 60)}, 0.0).changed)
    assert look(settling, {"a": stamp(1, 60)}, 100.0) == Settled((), (), 0, 0.0)
    assert look(settling, {"a": stamp(2, 60)}, 101.0).n_waiting == 1
    assert look(settling, {"a": stamp(1, 60)}, 102.0) == Settled((), (), 0, 0.0), "it changed back"


def test_what_is_not_taken_is_offered_again() -> None:
    settling = Settling(2.0)
    assert look(settling, {"a": stamp(1, 60)}, 0.0).changed == ("a",)
    assert look(settling, {"a": stamp(1, 60)}, 0.1).changed == ("a",)


def test_a_file_that_is_replaced_by_a_rename_was_never_gone() -> None:
    settling = Settling(2.0)
    settling.took(look(settling, {"a": stamp(1, 60)}, 0.0).changed)
    assert look(settling, {}, 5.0) == Settled((), (), 1, 0.0)
    assert look(settling, {"a": stamp(2)}, 6.0) == Settled((), (), 1, 0.0)
    assert look(settling, {"a": stamp(2)}, 8.0) == Settled(("a",), (), 0, 0.0)


def test_what_is_gone_says_for_how_long() -> None:
    settling = Settling(2.0)
    settling.took(look(settling, {"a": stamp(1, 60), "b": stamp(1, 60)}, 0.0).changed)
    look(settling, {"b": stamp(1, 60)}, 1.0)
    found = look(settling, {}, 4.0)
    assert found == Settled((), ("a",), 1, 3.0)
    settling.took(found.gone)
    assert look(settling, {}, 6.0) == Settled((), ("b",), 0, 2.0)


def test_what_comes_and_goes_before_it_rests_leaves_nothing() -> None:
    settling = Settling(2.0)
    look(settling, {}, 0.0)
    look(settling, {"brief": stamp(1)}, 1.0)
    assert look(settling, {}, 2.0) == Settled((), (), 0, 0.0)
    assert look(settling, {}, 9.0) == Settled((), (), 0, 0.0)


folders = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3)


@given(st.lists(st.tuples(folders, st.floats(0.1, 5.0)), max_size=20))
def test_in_the_end_exactly_what_is_there_was_taken(history: list[tuple[dict[str, int], float]]) -> None:
    settling, now, taken = Settling(2.0), 0.0, {}
    last: dict[str, Stamp] = {}
    for sizes, seconds in [*history, ({}, 0.1)]:
        if sizes or not history:
            last = {name: stamp(size) for name, size in sizes.items()}
        now += seconds
        found = look(settling, last, now)
        assert not set(found.changed) & set(found.gone)
        settling.took((*found.changed, *found.gone))
        taken |= {name: last[name] for name in found.changed}
        for name in found.gone:
            del taken[name]
    for later in (3.0, 6.0):
        found = look(settling, last, now + later)
        settling.took((*found.changed, *found.gone))
        taken |= {name: last[name] for name in found.changed}
        for name in found.gone:
            del taken[name]
    assert taken == last
    assert look(settling, last, now + 9.0) == Settled((), (), 0, 0.0)
