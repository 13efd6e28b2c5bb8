"""Windows on a fixed calendar grid: new rows add windows and never move old ones.

A cell of the grid is a multiple of `test_us` since 1970 UTC. The newest cell counts once the rows cover half of it:
what a study searches with should not miss the newest weeks. A window needs rows over at least half of its training
length (or one test length where training takes all earlier rows).
"""

from __future__ import annotations

from filiera.core.asset import DAY_US, Split
from filiera.errors import UsageError, WorkError
from filiera.runner.matrix import Longs, Window

#: Share of its length that a window's newest cell must be covered, and of its training range.
COVERED_SHARE = 0.5
#: A cell is complete when the newest row is this near to its end, as a share of its length.
COMPLETE_SHARE = 0.01


def windows(split: Split, times_us: Longs) -> tuple[Window, ...]:
    """The windows of a split, oldest first; as many as were asked for, or as the rows allow.

    Every training time is earlier than every test time minus the gap.

    Args:
        split: kind, number and lengths.
        times_us: of the rows, ascending, microseconds UTC.

    Raises:
        UsageError: folds over rows that have a time.
        WorkError: the rows do not reach over one window, or they have gaps; the message says what is needed.
    """
    if split.kind == "folds":
        raise UsageError(
            "train.folds_over_time", "folds would train on later rows and be scored on earlier ones",
            expected="rows without a time column", next="use fl.backtest(...) or fl.holdout(...)",
        )  # fmt: skip
    assert split.test_us, "a split in time has a test length"
    if not len(times_us):
        raise _too_little(split, 0)
    first, newest, test_us = int(times_us[0]), int(times_us[-1]), split.test_us
    cell = newest // test_us
    if newest - cell * test_us < COVERED_SHARE * test_us:
        cell -= 1
    found: list[Window] = []
    while len(found) < split.windows and cell * test_us > first:
        window = _window(split, first, cell * test_us)
        if window.train_high - first >= COVERED_SHARE * (split.train_us or 2 * test_us):
            found.append(window)
        cell -= 1
    kept = [window for window in found if _has_rows(window, times_us)]
    if not found:
        raise _too_little(split, newest - first)
    if not kept:
        raise WorkError(
            "train.empty_windows", "no window of the split has rows to train on and rows to test on",
            expected="rows in both", found=f"{(newest - first) / DAY_US:.1f} days with gaps",
            next="ask for more windows, or make `train` or `test` of the split longer",
        )  # fmt: skip
    return tuple(reversed(kept))


def fold_windows(split: Split) -> tuple[Window, ...]:
    """The folds of rows without time; their number stands in the time block."""
    return tuple(Window(0, 0, fold, fold + 1, True) for fold in range(split.windows))


def is_complete(window: Window, newest_us: int) -> bool:
    """Whether the rows reach the window's end, so that it will not grow any more."""
    return newest_us >= window.test_high - COMPLETE_SHARE * (window.test_high - window.test_low)


def refit_range(split: Split, times_us: Longs) -> tuple[int, int]:
    """The range of the final fit: the newest `train_us`, up to and with the newest row."""
    high = int(times_us[-1]) + 1
    return (int(times_us[0]) if split.train_us is None else max(int(times_us[0]), high - split.train_us)), high


def _window(split: Split, first: int, low: int) -> Window:
    high = low - split.gap_us
    start = first if split.train_us is None else max(first, high - split.train_us)
    assert split.test_us
    return Window(start, high, low, low + split.test_us)


def _has_rows(window: Window, times_us: Longs) -> bool:
    edges = times_us.searchsorted([window.train_low, window.train_high, window.test_low, window.test_high])
    return bool(edges[0] < edges[1] and edges[2] < edges[3])


def _too_little(split: Split, span_us: int) -> WorkError:
    assert split.test_us
    train_us = COVERED_SHARE * (split.train_us or 2 * split.test_us)
    need = train_us + split.gap_us + split.test_us
    return WorkError(
        "train.too_little_data", "the rows do not reach over one window of the split",
        expected=f"about {(need + COVERED_SHARE * split.test_us) / DAY_US:.1f} days of rows",
        found=f"{span_us / DAY_US:.1f} days",
        next="wait for more rows, or make `train` and `test` of the split shorter",
    )  # fmt: skip
