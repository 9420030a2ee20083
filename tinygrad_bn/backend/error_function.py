"""Coefficients of the error function, for the reference and for kernels."""

from __future__ import annotations

Coefficients = tuple[float, ...]

# Rational approximations P/Q, lowest coefficient first, fitted in 50 digits: linearised least
# squares with Lawson's reweighting, which nears the best approximation in the maximum norm.
# "small" is erf(x)/x - 1 in x² on [0, 1]; "large" is exp(x²)·erfc(x) in x from 1 on, as exact as
# erf needs it there. Errors: 7e-19 and 1e-18 for double precision, 2e-9 and 2e-10 for single.
DOUBLE: dict[str, Coefficients] = {
    "small P": (
        0.1283791670955126,
        -0.3170138330775866,
        -0.04831049519461983,
        -0.008812648809385641,
        -0.0004951484334311966,
        -2.071098648081744e-05,
    ),
    "small Q": (
        1.0,
        0.46045287013174063,
        0.09378518127369334,
        0.010687565868267732,
        0.0006919378699781651,
        2.078483385866137e-05,
    ),
    "large P": (
        0.9999998865506848,
        1.3906931567219984,
        0.949663418541173,
        0.37368385987799635,
        0.08437562105133486,
        0.00893428642438073,
    ),
    "large Q": (
        1.0,
        2.5190711290640277,
        2.79213680117487,
        1.7574353045305646,
        0.6703146482962283,
        0.14954799489651346,
        0.01583573262437556,
    ),
}
SINGLE: dict[str, Coefficients] = {
    "small P": (
        0.12837916472233868,
        -0.3310147165820517,
        -0.01450554107897451,
        -0.0013462738057052957,
    ),
    "small Q": (1.0, 0.35139254754232174, 0.037599600324807324),
    "large P": (1.001031722434482, 0.7619831394443202, 0.24640453870517018),
    "large Q": (1.0, 1.8969981960242868, 1.3670092974975665, 0.4354700133913422),
}
