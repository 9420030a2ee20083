"""CuPy 14's names and parameters, as far as the backend uses them."""

import inspect

SIGNATURES = {
    "where": "condition, x=None, y=None",
    "reshape": "a, newshape, order='C', *, copy=None",
    "sum": "a, axis=None, dtype=None, out=None, keepdims=False",
    "prod": "a, axis=None, dtype=None, out=None, keepdims=False",
    "mean": "a, axis=None, dtype=None, out=None, keepdims=False",
    "max": "a, axis=None, out=None, keepdims=False",
    "min": "a, axis=None, out=None, keepdims=False",
    "argmax": "a, axis=None, dtype=None, out=None, keepdims=False",
    "argmin": "a, axis=None, dtype=None, out=None, keepdims=False",
    "any": "a, axis=None, out=None, keepdims=False",
    "all": "a, axis=None, out=None, keepdims=False",
    "count_nonzero": "a, axis=None",
    "astype": "x, dtype, /, *, copy=True",
    "zeros_like": "a, dtype=None, order='K', subok=None, shape=None",
    "ones_like": "a, dtype=None, order='K', subok=None, shape=None",
    "take": "a, indices, axis=None, out=None",
    "take_along_axis": "a, indices, axis",
    "broadcast_to": "array, shape",
    "expand_dims": "a, axis",
    "concat": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "stack": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "ascontiguousarray": "a, dtype=None",
    "asarray": "a, dtype=None, order=None, *, copy=None, blocking=False",
    "matrix_transpose": "x, /",
    "zeros": "shape, dtype=float, order='C'",
    "ones": "shape, dtype=float, order='C'",
    "empty": "shape, dtype=float, order='C'",
    "full": "shape, fill_value, dtype=None, order='C'",
    "eye": "N, M=None, k=0, dtype=float, order='C'",
    "arange": "start, stop=None, step=1, dtype=None",
    "linspace": "start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0",
    "squeeze": "a, axis=None",
    "sort": "a, axis=-1, kind=None",
    "argsort": "a, axis=-1, kind=None",
    "searchsorted": "a, v, side='left', sorter=None",
    "roll": "a, shift, axis=None",
    "flip": "a, axis=None",
    "moveaxis": "a, source, destination",
    "permute_dims": "a, axes=None",
    "repeat": "a, repeats, axis=None",
    "round": "a, decimals=0, out=None",
    "real": "val",
    "imag": "val",
    "tril": "m, k=0",
    "triu": "m, k=0",
    "diagonal": "a, offset=0, axis1=0, axis2=1",
    "nonzero": "a",
    "unique_all": "x",
    "unique_counts": "x",
    "unique_inverse": "x",
    "unique_values": "x",
    "cumsum": "a, axis=None, dtype=None, out=None",
    "cumulative_sum": "x, /, *, axis=None, dtype=None, out=None, include_initial=False",
    "cumulative_prod": "x, /, *, axis=None, dtype=None, out=None, include_initial=False",
}
"""The functions of CuPy's namespace that are no ufuncs, with CuPy 14's parameters."""

LINALG = {
    "svd": "a, full_matrices=True, compute_uv=True",
    "det": "a",
    "slogdet": "a",
    "solve": "a, b",
    "qr": "a, mode='reduced'",
    "inv": "a",
    "eigh": "a, UPLO='L'",
    "eigvalsh": "a, UPLO='L'",
    "cholesky": "a",
}

UFUNCS = (
    *("abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and"),
    *("bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor"),
    *("ceil", "conj", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor"),
    *("floor_divide", "greater", "greater_equal", "hypot", "isfinite", "isinf", "isnan", "less"),
    *("less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not"),
    *("logical_or", "logical_xor", "matmul", "maximum", "minimum", "multiply", "negative"),
    *("nextafter", "not_equal", "positive", "pow", "reciprocal", "remainder", "sign", "signbit"),
    *("sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "trunc"),
)


def signature(parameters):
    """The signature written as a parameter list."""
    return inspect.signature(eval(f"lambda {parameters}: None"))
