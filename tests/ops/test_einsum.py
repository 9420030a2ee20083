"""Einstein summation against NumPy's, and its derivatives."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, normal

CASES = [
    ("ij,jk->ik", (3, 4), (4, 2)),
    ("ij,kj", (3, 4), (2, 4)),
    ("i,i", (3,), (3,)),
    ("i,j->ij", (3,), (2,)),
    ("i,j->ji", (3,), (2,)),
    ("ij->ji", (3, 4)),
    ("ba", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ij", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 2, 4)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 2)),
    ("...i,...i", (2, 1, 4), (3, 4)),
    ("...,...", (2, 3), (3,)),
    ("i...->...i", (2, 3, 4)),
    ("i...j,j->...i", (2, 3, 5, 4), (4,)),
    ("ij,ij->ij", (1, 4), (3, 4)),
    ("ij,jk->ik", (3, 1), (4, 2)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("i,ij,j", (3,), (3, 4), (4,)),
    ("a,b,c->cab", (2,), (3,), (2,)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 2), (2, 3), (3, 2)),
    ("ij,k->k", (2, 3), (4,)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    (" ij , jk -> ik ", (2, 3), (3, 2)),
    (",i", (), (3,)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_einsum(backend, case):
    subscripts, *shapes = case
    inputs = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]

    def ours(*operands):
        return tg.einsum(subscripts, *operands)

    def reference(*operands):
        return np.asarray(np.einsum(subscripts, *operands))

    layouts = ("contiguous", "transposed", "reversed") if () not in shapes else ("contiguous",)
    check_op(ours, inputs, reference, backends=[backend], layouts=layouts, zero_size=False)


@pytest.mark.parametrize(
    "case",
    [
        ("ij,jk->ik", (0, 3), (3, 2)),
        ("ij,jk->ik", (2, 0), (0, 3)),
        ("i,j->ij", (0,), (2,)),
        ("ii->i", (0, 0)),
        ("ij->", (0, 2)),
    ],
)
def test_einsum_of_empty_arrays(backend, case):
    subscripts, *shapes = case
    inputs = [tg.Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    out = tg.einsum(subscripts, *inputs)
    expected = np.einsum(subscripts, *[np.ones(shape) for shape in shapes])
    np.testing.assert_array_equal(out.detach().tolist(), expected.tolist())
    out.sum().backward()
    assert [x.grad.shape for x in inputs] == shapes


def test_einsum_of_integers_and_array_likes(backend):
    out = tg.einsum("ij,j->i", [[1, 2], [3, 4]], tg.asarray([1, 10]))
    assert out.tolist() == [21, 43]
    assert out.backend == backend


def test_einsum_contracts_small_results_first():
    """A vector at the end of a chain of matrices makes every step a matrix-vector product."""
    a, v = tg.ones((200, 200)), tg.Tensor(np.ones(200, dtype=np.float32), requires_grad=True)
    out = tg.einsum("ij,jk,kl,l->i", a, a, a, v)
    sizes, node = [], out._node
    while node is not None and node.parents:
        sizes.append(int(np.prod(node.shape)))
        node = next((p for p in node.parents if p is not None), None)
    assert out.shape == (200,)
    assert max(sizes) == 200


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "has 2 terms, but 1 operands were given"),
        ("ij", [(2, 3, 4)], r"term 'ij' of 'ij' does not fit operand 0 of shape \(2, 3, 4\)"),
        ("ij...", [(2,)], "does not fit operand 0"),
        ("ij,jk->ik", [(2, 3), (4, 5)], r"index 'j' .* lengths that differ, got shapes \(2, 3\), "),
        ("...i,...i", [(2, 3), (4, 3)], "an axis of '...' .* lengths that differ"),
        ("ii", [(1, 3)], "index 'i' .* lengths that differ"),
        ("ij->ik", [(2, 3)], "the output must name each letter once, and only letters of the inp"),
        ("ij->ii", [(2, 3)], "the output must name each letter once"),
        ("i1", [(2, 3)], "a term consists of letters and at most one '...', got 'i1'"),
        ("i.j", [(2, 3)], "a term consists of letters"),
        ("......", [(2, 3)], "a term consists of letters"),
        ("i->j->k", [(2,)], "a term consists of letters"),
        ("...i->i", [(2, 3)], "the axes of the inputs' '...' must be in the output"),
    ],
)
def test_einsum_refuses(subscripts, shapes, message):
    with pytest.raises(ValueError, match=f"einsum: .*{message}|einsum: {message}"):
        tg.einsum(subscripts, *[tg.zeros(shape) for shape in shapes])


def test_einsum_refuses_another_format():
    with pytest.raises(TypeError, match="einsum: subscripts must be a string, got Tensor"):
        tg.einsum(tg.zeros((2, 3)), [0, 1])
