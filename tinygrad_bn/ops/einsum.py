"""Einstein summation, written as permutations, reshapes and matrix products.

Each step is an operation with a derivative of its own, so the derivative of an einsum is again
made of matrix products, at any order. The steps depend on subscripts and shapes only, and are
remembered.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

from ..autograd import Variable
from ..refusal import named
from .creation import asarray
from .linalg import diagonal, matmul
from .manipulation import permute_dims, reshape
from .reduction import sum

__all__ = ["einsum"]

Label = str | int  # a letter, or an axis of the ellipsis counted from the end (-1, -2, …)
Labels = tuple[Label, ...]
Shape = tuple[int, ...]


@named
def einsum(subscripts: str, /, *operands: Any) -> Any:
    """Products of elements, summed over every index that is not in the output.

        einsum("ij,jk->ik", a, b)      matrix product
        einsum("bhqd,bhkd->bhqk", q, k)
        einsum("ii->i", a)             diagonal
        einsum("...i,...i", a, b)      dot products of stacks of vectors

    Args:
        subscripts: one letter for each axis of each operand, operands separated by commas; '...'
            stands for any further axes, which broadcast. After '->' the axes of the output;
            without it the ellipsis and then all letters that appear once, in alphabetical order.
        operands: as many tensors as there are terms. Axes of length 1 broadcast.

    Several operands are contracted in pairs, first the pair that shrinks the total size most.

    Raises:
        TypeError: subscripts that are no string.
        ValueError: malformed subscripts, or operands that do not fit them.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts must be a string, got {type(subscripts).__name__}")
    arrays = _tensors(operands)
    plan = _plan(subscripts, tuple([x.shape for x in arrays]))
    terms = [_run(x, steps) for x, steps in zip(arrays, plan.prepare, strict=True)]
    for c in plan.contractions:
        b, a = terms.pop(c.second), terms.pop(c.first)
        a, b = _run(a, c.first_steps), _run(b, c.second_steps)
        terms.append(_run(matmul(a, b) if c.summed else a * b, c.product_steps))
    (result,) = terms
    return _run(result, plan.finish)


def _tensors(operands: tuple[Any, ...]) -> list[Any]:
    """The operands as tensors, array-likes on the backend of the first tensor."""
    devices = [x._backend.name for x in operands if isinstance(x, Variable)]
    device = devices[0] if devices else None
    return [x if isinstance(x, Variable) else asarray(x, device=device) for x in operands]


Step = Callable[[Any], Any]


def _run(x: Any, steps: tuple[Step, ...]) -> Any:
    for step in steps:
        x = step(x)
    return x


# ------------------------------------------------------------------------------------ parsing


def _parse(subscripts: str, shapes: tuple[Shape, ...]) -> tuple[list[Labels], Labels, Any]:
    """Labels of every operand and of the output, and the length of each label."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    words = left.split(",")
    if len(words) != len(shapes):
        raise ValueError(
            f"einsum: {subscripts!r} has {len(words)} terms, but {len(shapes)} operands were given"
        )
    inputs = [
        _labels(subscripts, word, i, shape)
        for i, (word, shape) in enumerate(zip(words, shapes, strict=True))
    ]
    sizes = _sizes(subscripts, inputs, shapes)
    rank = -min([n for n in sizes if isinstance(n, int)], default=0)
    ellipsis: Labels = tuple(range(-rank, 0))
    if arrow:
        return inputs, _output_labels(subscripts, right, ellipsis, sizes), sizes
    once = [n for n in sorted(set(left) - set(",.")) if left.count(n) == 1]
    return inputs, (*ellipsis, *once), sizes


def _split(subscripts: str, word: str) -> tuple[str, bool, str]:
    """The letters before and after the ellipsis, and whether there is one."""
    before, dots, after = word.partition("...")
    if not all(c.isascii() and c.isalpha() for c in before + after):
        raise ValueError(
            f"einsum: a term consists of letters and at most one '...', got {word!r} "
            f"in {subscripts!r}"
        )
    return before, bool(dots), after


def _labels(subscripts: str, word: str, position: int, shape: Shape) -> Labels:
    before, dots, after = _split(subscripts, word)
    extra = len(shape) - len(before) - len(after)
    if extra < 0 or (extra and not dots):
        raise ValueError(
            f"einsum: term {word!r} of {subscripts!r} does not fit operand {position} "
            f"of shape {shape}"
        )
    return (*before, *range(-extra, 0), *after)


def _output_labels(subscripts: str, word: str, ellipsis: Labels, sizes: Any) -> Labels:
    before, dots, after = _split(subscripts, word)
    letters = before + after
    if len(set(letters)) < len(letters) or not set(letters) <= set(sizes):
        raise ValueError(
            f"einsum: the output must name each letter once, and only letters of the inputs, "
            f"got {word!r} in {subscripts!r}"
        )
    if ellipsis and not dots:
        raise ValueError(
            f"einsum: the axes of the inputs' '...' must be in the output, got {subscripts!r}"
        )
    return (*before, *(ellipsis if dots else ()), *after)


def _sizes(subscripts: str, inputs: list[Labels], shapes: tuple[Shape, ...]) -> dict[Label, int]:
    sizes: dict[Label, int] = {}
    for labels, shape in zip(inputs, shapes, strict=True):
        own: dict[Label, int] = {}
        for label, n in zip(labels, shape, strict=True):
            known = sizes.get(label, 1)
            if own.setdefault(label, n) != n or (known != n and 1 not in (known, n)):
                what = f"index {label!r}" if isinstance(label, str) else "an axis of '...'"
                raise ValueError(
                    f"einsum: {what} of {subscripts!r} has lengths that differ, "
                    f"got shapes {', '.join(map(str, shapes))}"
                )
            sizes[label] = n if known == 1 else known
    return sizes


# ----------------------------------------------------------------------------------- planning


class Contraction(NamedTuple):
    """The product of two terms, `first` before `second`; it goes to the end of the list."""

    first: int
    second: int
    first_steps: tuple[Step, ...]
    second_steps: tuple[Step, ...]
    summed: bool
    product_steps: tuple[Step, ...]


class Plan(NamedTuple):
    """What to do to each operand, which pairs to contract, and what to do to the result."""

    prepare: list[tuple[Step, ...]]
    contractions: list[Contraction]
    finish: tuple[Step, ...]


class Term:
    """A factor that is yet to be computed: its axes' labels and lengths, and how to get there."""

    def __init__(self, labels: Labels, shape: Shape) -> None:
        self.labels = labels
        self.shape = shape
        self.steps: list[Step] = []

    def take_steps(self) -> tuple[Step, ...]:
        """The steps gathered so far, which then begin anew."""
        steps, self.steps = tuple(self.steps), []
        return steps

    def arrange(self, order: Labels) -> None:
        """Bring the axes into the order of some labels."""
        if self.labels == order:
            return
        axes = tuple([self.labels.index(label) for label in order])
        self.steps.append(functools.partial(permute_dims, axes=axes))
        self.labels, self.shape = order, tuple([self.shape[i] for i in axes])

    def reshape(self, shape: Shape) -> None:
        """Group axes."""
        if self.shape != shape:
            self.steps.append(functools.partial(reshape, shape=shape))
            self.shape = shape

    def take_diagonals(self) -> None:
        """Make equal labels one."""
        for label in dict.fromkeys(self.labels):
            while self.labels.count(label) > 1:
                first = self.labels.index(label)
                second = self.labels.index(label, first + 1)
                rest = tuple([i for i in range(len(self.labels)) if i not in (first, second)])
                axes = (*rest, first, second)
                self.steps += [functools.partial(permute_dims, axes=axes), diagonal]
                self.shape = (*[self.shape[i] for i in rest], self.shape[first])
                self.labels = (*[self.labels[i] for i in rest], label)

    def drop_broadcast(self, sizes: dict[Label, int]) -> None:
        """Drop axes of length 1 whose label is longer elsewhere: the product needs them not."""
        pairs = zip(self.labels, self.shape, strict=True)
        kept = [(label, n) for label, n in pairs if n == sizes[label]]
        self.reshape(tuple([n for _, n in kept]))
        self.labels = tuple([label for label, _ in kept])

    def sum_out(self, needed: set[Label]) -> None:
        """Sum over the labels that nothing else needs."""
        axes = tuple([i for i, label in enumerate(self.labels) if label not in needed])
        if axes:
            self.steps.append(functools.partial(sum, axis=axes))
            self.shape = tuple([n for i, n in enumerate(self.shape) if i not in axes])
            self.labels = tuple([label for label in self.labels if label in needed])


@functools.lru_cache(maxsize=512)
def _plan(subscripts: str, shapes: tuple[Shape, ...]) -> Plan:
    """The steps of an einsum."""
    inputs, output, sizes = _parse(subscripts, shapes)
    terms = [Term(labels, shape) for labels, shape in zip(inputs, shapes, strict=True)]
    for term in terms:
        term.take_diagonals()
        term.drop_broadcast(sizes)
    for i, term in enumerate(terms):
        term.sum_out(_needed(terms, output, (i,)))
    prepare = [term.take_steps() for term in terms]
    contractions = []
    while len(terms) > 1:
        i, j = _best_pair(terms, output, sizes)
        needed = _needed(terms, output, (i, j))
        b, a = terms.pop(j), terms.pop(i)
        product, summed = _contract(a, b, needed)
        steps = (a.take_steps(), b.take_steps(), summed, product.take_steps())
        contractions.append(Contraction(i, j, *steps))
        terms.append(product)
    terms[0].arrange(output)
    return Plan(prepare, contractions, terms[0].take_steps())


def _needed(terms: list[Term], output: Labels, without: tuple[int, ...]) -> set[Label]:
    """Labels of the output and of all terms but some."""
    return set(output).union(*[t.labels for i, t in enumerate(terms) if i not in without])


def _best_pair(terms: list[Term], output: Labels, sizes: dict[Label, int]) -> tuple[int, int]:
    """The pair whose product, compared with its factors, is smallest."""

    def growth(pair: tuple[int, int]) -> int:
        a, b = (terms[i].labels for i in pair)
        kept = set(a + b) & _needed(terms, output, pair)
        size, size_a, size_b = (math.prod([sizes[n] for n in group]) for group in (kept, a, b))
        return size - size_a - size_b

    return min(combinations(range(len(terms)), 2), key=growth)


def _contract(a: Term, b: Term, needed: set[Label]) -> tuple[Term, bool]:
    """The product of two terms, and whether it is summed over labels: those that both have and
    nothing else needs. Then it is a matrix product, else an elementwise one."""
    sizes = dict(zip(a.labels + b.labels, a.shape + b.shape, strict=True))
    shared = [n for n in a.labels if n in b.labels]
    batch = tuple([n for n in shared if n in needed])
    inner = tuple([n for n in shared if n not in needed])
    rows = tuple([n for n in a.labels if n not in b.labels])
    columns = tuple([n for n in b.labels if n not in a.labels])
    stack, n, m, k = (
        tuple([sizes[label] for label in group]) for group in (batch, rows, columns, inner)
    )
    a.arrange(batch + rows + inner)
    b.arrange(batch + inner + columns)
    product = Term(batch + rows + columns, stack + n + m)
    if inner:
        lead = (math.prod(stack),) if batch else ()
        a.reshape((*lead, math.prod(n), math.prod(k)))
        b.reshape((*lead, math.prod(k), math.prod(m)))
        product.shape = (*lead, math.prod(n), math.prod(m))
        product.reshape(stack + n + m)
    else:
        a.reshape(stack + n + (1,) * len(m))
        b.reshape(stack + (1,) * len(n) + m)
    return product, bool(inner)
