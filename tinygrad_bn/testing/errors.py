"""What a check can find."""


class CheckError(AssertionError):
    """A result is not what it must be."""


class GradcheckError(CheckError):
    """A derivative is wrong, or computing it touched what it must leave alone."""


class KinkError(GradcheckError):
    """The function has no derivative at the point of the check; the rule may well be right."""
