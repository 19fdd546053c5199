"""Which lines of some files run: a context that watches, and the lines that could have run."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import CodeType


class LinesRun(AbstractContextManager):
    """Adds to `found` each (file, line) of the files given that runs inside; other files cost next to nothing."""

    def __init__(self, files: list[Path], found: set[tuple[Path, int]]):
        self.files, self.found = {str(f): f for f in files}, found

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._called)

    def __exit__(self, *error):
        sys.settrace(self.before)

    def _called(self, frame, event, value):
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None

        def ran(frame, event, value):
            self.found.add((file, frame.f_lineno))
            return ran

        return ran


def lines_of_functions(file: Path) -> set[tuple[Path, int]]:
    """The lines of a file that run when its functions are called, not when it is imported."""
    def within(code: CodeType, inside: bool) -> set[int]:
        own = {line for _, _, line in code.co_lines() if line and line > code.co_firstlineno} if inside else set()
        for part in code.co_consts:
            if isinstance(part, CodeType):
                function = inside or "__qualname__" not in part.co_names                   # not the body of a class
                own |= within(part, function)
        return own

    return {(file, line) for line in within(compile(file.read_text(encoding="utf-8"), str(file), "exec"), False)}
