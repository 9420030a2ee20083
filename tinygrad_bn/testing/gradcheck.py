"""Derivatives of any order against finite differences.

The derivative of order n is checked as the first derivative of what backward computes at order
n-1: the recorded backward (rules read on tensors) is differentiated, and compared with differences
of the plain one (rules read on arrays). So the two readings of every rule are compared as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .compare import Array
from .errors import GradcheckError, KinkError
from .numeric import Finding, judge
from .problem import Problem

FULL_LIMIT = 40
"""Up to this many variables and results every entry of the Jacobian is checked by itself."""
PROJECTIONS = 2
EXPLORED = 256


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-3,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    full: bool | None = None,
) -> bool:
    """Check the first derivatives of `fn`: `gradcheck_order` with order 1, which see."""
    tolerances = {"eps": eps, "atol": atol, "rtol": rtol}
    return gradcheck_order(fn, inputs, 1, **tolerances, seed=seed, full=full)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-3,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    full: bool | None = None,
) -> bool:
    """Check the derivatives of the backward of `fn`, with respect to its inputs and to the
    cotangents: `gradcheck_order` with order 2, which see."""
    tolerances = {"eps": eps, "atol": atol, "rtol": rtol}
    return gradcheck_order(fn, inputs, 2, **tolerances, seed=seed, full=full)


def gradcheck_order(
    fn: Callable[..., Any],
    inputs: Any,
    order: int,
    *,
    eps: float = 1e-3,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    full: bool | None = None,
) -> bool:
    """Check the derivatives of order `order` of a function against finite differences.

    Args:
        fn: a function of tensors that returns a tensor or a nested tuple or list of tensors; the
            same arguments must always give the same results. Results that require no gradient are
            left out.
        inputs: its arguments, a tensor or a sequence. Tensors that require a gradient are
            differentiated, and must be float64; all else is passed on as it is.
        order: 1 checks backward, 2 the backward of backward, and so on; an order is checked
            against the one below, so check that too.
        eps: step of the differences, for inputs above 1 relative to them.
        atol, rtol: how far analytic and numeric may be apart, absolute and relative.
        seed: of the random cotangents and directions.
        full: compare every entry of the Jacobian (True), or random projections of it, per input
            (False); by default the former up to 40 variables and 40 results.

    Returns:
        True.

    Raises:
        GradcheckError: a derivative is wrong; an input or cotangent was changed, or a gradient
            shares memory with one; `fn` gave two results for the same input. The message says
            which input, where, and both values.
        KinkError: the function has no derivative at this point: choose another one.
        ValueError: no input requires a gradient, or one is not float64.
    """
    problem = Problem(fn, inputs, order, seed)
    if full is None:
        full = problem.point.size <= FULL_LIMIT and problem.result.size <= FULL_LIMIT
    find = _find_full if full else _find_projected
    findings = find(problem, eps, atol, rtol)
    problem.check_untouched()
    if findings:
        raise _error(problem, findings)
    return True


# ------------------------------------------------------------------------------- two searches

Places = list[tuple[str, Finding]]


def _find_full(problem: Problem, eps: float, atol: float, rtol: float) -> Places:
    """Every row by reverse mode against every column by differences."""
    rows = [problem.pull(unit) for unit in np.eye(problem.result.size)]
    jacobian = np.array(rows).reshape(problem.result.size, problem.point.size)
    weights = problem.rng.standard_normal(problem.result.size)
    combined = problem.pull(weights)
    finite = np.isfinite(jacobian).all(axis=0)
    linear = weights @ jacobian[:, finite]
    if not np.allclose(combined[finite], linear, rtol=1e-6, atol=1e-9):
        raise GradcheckError(f"{problem.title}: backward is not linear in the cotangent")
    findings: Places = []
    for i, x in enumerate(problem.point):
        step = eps * max(1.0, abs(float(x)))
        line = _line(problem.evaluate, problem.point, np.eye(1, problem.point.size, i)[0])
        for f in judge(line, problem.result, jacobian[:, i], step=step, atol=atol, rtol=rtol):
            findings.append((f"d {problem.result_place(f.element)} / d {problem.place(i)}", f))
    return findings


def _find_projected(problem: Problem, eps: float, atol: float, rtol: float) -> Places:
    """⟨w, J·v⟩ for random w and, in every variable by itself, random v; then where it is wrong."""
    findings: Places = []
    for _ in range(PROJECTIONS):
        weights = problem.rng.standard_normal(problem.result.size)
        gradient = problem.pull(weights)

        def weighted(point: Array, weights: Array = weights) -> Array:
            return np.array([weights @ problem.evaluate(point)])

        at_zero = np.array([weights @ problem.result])
        for label in problem.labels:
            block = problem.block(label)
            direction = np.zeros(problem.point.size)
            near = np.maximum(1.0, np.abs(problem.point[block]))
            direction[block] = problem.rng.standard_normal(near.size) * near
            line = _line(weighted, problem.point, direction)
            with np.errstate(invalid="ignore"):
                analytic = np.array([gradient @ direction])
            tolerance = {"atol": atol * max(1.0, near.size**0.5), "rtol": rtol}
            for f in judge(line, at_zero, analytic, step=eps, **tolerance):
                findings.append((f"d ⟨w, results⟩ along a direction of {label}", f))
                findings += _explore(weighted, problem, at_zero, gradient, block, eps, atol, rtol)
        if findings:
            break
    return findings


def _explore(
    weighted: Callable[[Array], Array],
    problem: Problem,
    at_zero: Array,
    gradient: Array,
    block: slice,
    eps: float,
    atol: float,
    rtol: float,
) -> Places:
    """The elements of one variable where the gradient of the weighted sum is wrong."""
    findings: Places = []
    for i in range(block.start, min(block.stop, block.start + EXPLORED)):
        step = eps * max(1.0, abs(float(problem.point[i])))
        line = _line(weighted, problem.point, np.eye(1, problem.point.size, i)[0])
        for f in judge(line, at_zero, gradient[i : i + 1], step=step, atol=atol, rtol=rtol):
            findings.append((f"d ⟨w, results⟩ / d {problem.place(i)}", f))
    return findings


def _line(
    function: Callable[[Array], Array], point: Array, direction: Array
) -> Callable[[float], Array]:
    return lambda t: function(point + t * direction)


def _error(problem: Problem, findings: Places) -> GradcheckError:
    """The worst finding as an exception; a wrong derivative comes before a missing one."""
    wrong = [(place, f) for place, f in findings if f.reason is None]
    located = [(p, f) for p, f in wrong or findings if " / " in p] or wrong or findings
    place, worst = max(located, key=lambda pf: pf[1].difference / max(pf[1].allowed, 1e-300))
    values = f"analytic {worst.analytic:.10g}, numeric {worst.numeric:.10g}"
    if worst.reason is not None:
        return KinkError(
            f"{problem.title}: no derivative at this point: {place}: {worst.reason} ({values})"
        )
    more = f"; {len(wrong)} derivatives are wrong" if len(wrong) > 1 else ""
    return GradcheckError(
        f"{problem.title}: {place}: {values} (difference {worst.difference:.3g}, "
        f"allowed {worst.allowed:.3g}{more})"
    )
