"""Which hot copies go: pure rules, without files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from library.hot_policy import MAX_STAMP, HotCopy, next_stamp, to_evict

SIZES = st.integers(0, 50)
COPIES = st.lists(
    st.builds(HotCopy, st.sampled_from("abcdefgh"), SIZES, st.integers(-5, 20)),
    unique_by=lambda copy: copy.content,
    max_size=8,
)


def copies(**sizes: int) -> list[HotCopy]:
    """In the order in which they were read."""
    return [HotCopy(name, size, stamp) for stamp, (name, size) in enumerate(sizes.items(), start=1)]


def names(going: list[HotCopy] | None) -> str:
    return "nothing fits" if going is None else "".join(copy.content for copy in going)


def test_the_least_recently_read_goes_first_and_no_more_than_must() -> None:
    held = copies(a=10, b=10, c=10)
    assert names(to_evict(held[::-1], 30)) == ""
    assert names(to_evict(held, 40, 10)) == ""
    assert names(to_evict(held, 30, 1)) == "a"
    assert names(to_evict(held, 30, 11)) == "ab"
    assert names(to_evict(held, 30, 30)) == "abc"
    assert names(to_evict(held, 0)) == "abc"


def test_what_cannot_fit_evicts_nothing() -> None:
    assert to_evict(copies(a=10, b=10), 30, 31) is None


def test_an_answer_does_not_push_out_its_own_documents() -> None:
    held = copies(a=10, b=10, c=10)
    assert names(to_evict(held, 30, 10, spared={"a"})) == "b"
    assert to_evict(held, 30, 10, spared={"a", "b", "c"}) is None
    assert names(to_evict(held, 30, 0, spared={"a", "b", "c"})) == ""


@given(COPIES, st.integers(0, 200), SIZES, st.sets(st.sampled_from("abcdefgh")))
def test_the_bound_holds_with_the_fewest_of_the_oldest(
    held: list[HotCopy], bound: int, incoming: int, spared: set[str]
) -> None:
    def fits(going: list[HotCopy]) -> bool:
        return sum(c.size_bytes for c in held) - sum(c.size_bytes for c in going) + incoming <= bound

    movable = sorted((c for c in held if c.content not in spared), key=lambda c: (c.stamp, c.content))
    going = to_evict(held, bound, incoming, spared)
    if going is None:
        assert not fits(movable)
    else:
        assert going == movable[: len(going)]
        assert fits(going)
        assert not going or not fits(going[:-1])


@given(COPIES, st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1 << 61)), max_size=20))
def test_the_order_of_reads_survives_any_clock(held: list[HotCopy], reads: list[tuple[str, int]]) -> None:
    """Each read gets the stamp that the clock and the copies of that moment give."""
    state = {copy.content: copy for copy in held}
    order: list[str] = []
    for name, now in reads:
        if name in state:
            state[name] = HotCopy(name, 1, next_stamp(now, state.values()))
            order = [other for other in order if other != name] + [name]
    going = to_evict(state.values(), 0) or []
    read = [copy.content for copy in going if copy.content in order and copy.size_bytes]
    assert read == order


def test_a_time_from_the_far_future_was_not_set_by_us() -> None:
    strange, ours = HotCopy("a", 1, 1 << 63), HotCopy("b", 1, 5)
    assert next_stamp(7, [strange, ours]) == 7
    assert next_stamp(3, [strange, ours]) == 6
    assert names(to_evict([strange, ours], 1)) == "a"
    assert next_stamp(1 << 80, []) == MAX_STAMP
    assert next_stamp(0, [HotCopy("a", 1, MAX_STAMP - 1)]) == MAX_STAMP
