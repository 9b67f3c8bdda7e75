"""What a person sees while something runs: a bar in a terminal, a plain line now and then in a log.

Both are read from the events that the work writes, in a thread of their own. In a terminal the bar stands
below the lines that are said, is drawn anew twice a second, and is gone in the end; where the output is no
terminal, a line is printed every ten seconds, and no control characters.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

_REDRAW_S = 0.5
_LINE_EVERY_S = 10.0
_UP, _CLEAR_LINE = "\033[1A", "\033[2K"


def say_aside(line: str) -> None:
    """Print a line that is no result, such as how far the work is."""
    print(line, file=sys.stderr, flush=True)


class Display:
    """Lines that are said, and below them what is being done; used in a `with` statement.

    Parameters
    ----------
    describe
        Gives what is being done, a line each.
    """

    def __init__(self, describe: Callable[[], list[str]] | None = None) -> None:
        self.describe = describe
        self._is_terminal = sys.stdout.isatty()
        self._lock = threading.Lock()
        self._drawn = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="display", daemon=True)

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        with self._lock:
            self._erase()

    def say(self, line: str) -> None:
        """Print a line with the time, above what is being done."""
        with self._lock:
            self._erase()
            print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)

    def _follow(self) -> None:
        wait_s = _REDRAW_S if self._is_terminal else _LINE_EVERY_S
        while not self._is_over.wait(wait_s):
            lines = self.describe() if self.describe else []
            if self._is_terminal:
                self._draw(lines)
            else:
                for line in lines:
                    self.say(line)

    def _draw(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        with self._lock:
            self._erase()
            sys.stdout.write("".join(f"{line[:width]}\n" for line in lines))
            sys.stdout.flush()
            self._drawn = len(lines)

    def _erase(self) -> None:
        sys.stdout.write((_UP + _CLEAR_LINE) * self._drawn)
        sys.stdout.flush()
        self._drawn = 0
