from hypothesis import given
from hypothesis import strategies as st

from chipwise.serving.heap import heap, pop, push


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([0.0, 0.5]))))
def test_entries_come_out_in_order(entries):
    h = heap(len(entries))
    for i, (rank, order) in enumerate(entries):
        push(h, rank, order, i)
    out = [pop(h) for _ in entries]
    assert out == sorted(range(len(entries)), key=lambda i: (*entries[i], i))
