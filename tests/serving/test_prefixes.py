from itertools import pairwise

import numpy as np

from chipwise.serving.prefixes import number


def nodes(prompts, osl, size=16, output=None):
    """Nodes of each request, whose prompt is told as (ident, tokens) runs."""
    runs = [run for prompt in prompts for run in prompt]
    start, node, count = number(
        np.array([sum(n for _, n in prompt) for prompt in prompts]),
        np.array(osl),
        np.cumsum([0, *map(len, prompts)]),
        np.array([ident for ident, _ in runs]),
        np.array([n for _, n in runs]),
        np.array(output if output is not None else [-1] * len(osl)),
        size,
    )
    assert count == len(set(node))
    return [list(node[a:b]) for a, b in pairwise(start)]


def test_equal_beginnings_have_equal_nodes_until_they_part():
    first, second = nodes([[(7, 48), (8, 16)], [(7, 48), (9, 16)]], [16, 16])
    assert first[:3] == second[:3]
    assert not set(first[3:]) & set(second[3:])


def test_equal_tokens_behind_other_tokens_are_another_prefix():
    first, second = nodes([[(1, 16), (5, 16)], [(2, 16), (5, 16)]], [1, 1])
    assert not set(first) & set(second)


def test_how_a_prompt_is_cut_into_runs_does_not_matter():
    first, second = nodes([[(1, 40), (2, 24)], [(1, 5), (1, 35), (2, 1), (2, 23)]], [1, 1])
    assert first == second


def test_the_block_where_the_prompt_ends_holds_output_tokens_too():
    first, second, third = nodes([[(1, 20)], [(1, 20)], [(1, 21)]], [12, 12, 11])
    assert first == second
    assert first[0] == third[0]
    assert first[1] != third[1]


def test_outputs_of_two_requests_differ_where_told_so():
    first, second = nodes([[(1, 16)], [(1, 16)]], [16, 16], output=[-1, -2])
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_following_turn_goes_on_with_the_nodes_of_the_turn_before():
    first, second = nodes([[(1, 20)], [(1, 20), (-5, 30), (2, 14)]], [30, 32], output=[-5, -6])
    assert second[:3] == first


def test_only_full_blocks_have_a_node():
    assert nodes([[(1, 15)]], [0]) == [[]]
    assert len(nodes([[(1, 15)]], [17])[0]) == 2
