"""An operation of your own, with its derivative, checked to second order.

Run it:  python examples/02_your_own_op.py
"""

from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.testing import GradcheckError, gradcheck, gradgradcheck


# softsign(x) = x/(1 + |x|), and its derivative is 1/(1 + |x|)².
# `g` is the gradient that arrives from above; naming `x` has its value saved for the rule.
@tg.primitive(x=lambda B, g, x: g / (1 + B.abs(x)) ** 2)
def softsign(B: Any, x: Any) -> Any:
    """x/(1 + |x|)."""
    return x / (1 + B.abs(x))


# A rule with a mistake in it: the square is missing.
@tg.primitive(x=lambda B, g, x: g / (1 + B.abs(x)))
def wrong_softsign(B: Any, x: Any) -> Any:
    """x/(1 + |x|)."""
    return x / (1 + B.abs(x))


def main() -> None:
    """Use it, differentiate it twice, and see the checker catch a wrong rule."""
    x = tg.Tensor([-2.0, 0.5, 3.0], requires_grad=True)
    y = softsign(x)
    print("y    ", y.tolist())

    # The rule is ordinary arithmetic, so it can be differentiated itself.
    (first,) = tg.autograd.grad(tg.sum(y), [x], create_graph=True)
    (second,) = tg.autograd.grad(tg.sum(first), [x])
    print("y'   ", first.tolist())
    print("y''  ", second.tolist())

    # The checks compare with finite differences, in float64.
    point = tg.Tensor(np.array([-2.0, 0.5, 3.0]), requires_grad=True)
    gradcheck(softsign, [point])
    gradgradcheck(softsign, [point])
    print("the rule is right, to first and second order")

    try:
        gradcheck(wrong_softsign, [point])
    except GradcheckError as error:
        print("the wrong rule is caught:", str(error).splitlines()[0])
    else:
        raise AssertionError("the wrong rule was not caught")


if __name__ == "__main__":
    main()
