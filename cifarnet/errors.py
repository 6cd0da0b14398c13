"""The one family of exceptions: what a user can cause, each with the exit code that the command line gives it."""


def printable(text: str) -> str:
    """Return text from outside on one line that any terminal takes."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def shown(value: object) -> str:
    """Return a path, or other text from outside, on one printable line of limited length."""
    text = printable(str(value))
    return text if len(text) <= 300 else f"{text[:150]}...{text[-100:]}"


class CifarnetError(Exception):
    """Something failed that the user can put right; the message says what, where and how."""

    exit_code = 1


class ConfigError(CifarnetError):
    """A setting, an option or a config file is wrong."""

    exit_code = 2


class DataError(CifarnetError):
    """CIFAR-10 is missing, damaged or not what it should be."""


class RunError(CifarnetError):
    """A run folder cannot be made, written, found or read."""


class GradientCheckFailed(CifarnetError):
    """The analytic and the numerical gradient differ."""

    exit_code = 3


class Diverged(CifarnetError):
    """A cost that is no longer finite."""

    exit_code = 4


class CodeError(CifarnetError):
    """A student's file cannot be run, or has no functions that can be called."""
