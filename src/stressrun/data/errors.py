"""What can be wrong in the values that a scenario asks for."""

from __future__ import annotations

from stressrun.errors import ExitCode, StressrunError


class GeneratorError(StressrunError):
    """A generator is wrong; `key` is the key of its mapping at fault, "" for the whole.

    Where the generator stands within another one, `path` leads to it.
    """

    exit_code = ExitCode.USAGE

    def __init__(
        self, message: str, key: str = "", hint: str = "", path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.path = path


class ExpressionError(StressrunError):
    """An expression is wrong, `offset` characters from the start of its text.

    Where the text stands in a JSON value, `path` leads to it.
    """

    exit_code = ExitCode.USAGE

    def __init__(
        self, message: str, offset: int, hint: str = "", path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset
        self.path = path


class FeederError(StressrunError):
    """A file of rows is wrong, at a line where one is known."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, path: str, line: int | None = None, hint: str = "") -> None:
        place = path if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {message}", hint=hint)
