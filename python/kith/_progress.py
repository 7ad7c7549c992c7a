"""Progress of long work, as the user asked to see it: a bar, a bar of theirs, or a callable."""

from __future__ import annotations

import sys
import time

from .errors import InvalidError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable

    Callback = Callable[[str, int, int], Any]


class Progress:
    """A context that gives the extension its callback and closes what it opened.

    Parameters
    ----------
    wanted : None, bool, callable or tqdm-like object
        None and False: nothing is shown. True: a tqdm bar where tqdm can be imported, else a line on standard
        error. A callable gets (stage, done, total) and stops the work by returning False. An object with
        ``update()`` is driven like a tqdm bar.
    """

    __slots__ = ("callback", "_bar", "_close", "_stage", "_shown")

    def __init__(self, wanted: Any) -> None:
        self.callback: Callback | None = None
        self._bar: Any = None
        self._close = False
        self._stage = ""
        self._shown = 0.0
        if wanted is None or wanted is False:
            return
        if wanted is True:
            self._bar = _tqdm()
            self._close = self._bar is not None
            self.callback = self._update if self._bar is not None else self._line
        elif hasattr(wanted, "update"):
            self._bar = wanted
            self.callback = self._update
        elif callable(wanted):
            self.callback = wanted
        else:
            raise InvalidError("progress must be True, a callable (stage, done, total) or an object like a tqdm bar")

    def _update(self, stage: str, done: int, total: int) -> None:
        bar = self._bar
        if stage != self._stage:
            self._stage = stage
            if hasattr(bar, "set_description"):
                bar.set_description(stage, refresh=False)
            bar.n = 0
        bar.total = total or None
        bar.update(done - bar.n)

    def _line(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown < 0.2 and done != total:
            return
        self._shown = now
        share = f"{100 * done // total}%" if total else str(done)
        print(f"\r{stage}: {share}\x1b[K", end="", file=sys.stderr, flush=True)
        self._close = True

    def __enter__(self) -> Callback | None:
        return self.callback

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._close and self._bar is not None:
            self._bar.close()
        elif self._close:
            print(file=sys.stderr)


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(unit=" rows", unit_scale=True)
