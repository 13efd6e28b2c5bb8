import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.asset import DAY_US, Split
from filiera.errors import UsageError, WorkError
from filiera.train.split import refit_range, windows

SPLITS = st.builds(
    Split,
    kind=st.just("backtest"),
    windows=st.integers(1, 6),
    train_us=st.none() | st.integers(1, 60).map(lambda days: days * DAY_US),
    test_us=st.integers(1, 40).map(lambda days: days * DAY_US),
    gap_us=st.integers(0, 5).map(lambda days: days * DAY_US),
)
TIMES = st.lists(st.integers(0, 300 * DAY_US), min_size=1, max_size=80).map(lambda times: np.array(sorted(times)))


@given(SPLITS, TIMES)
def test_no_training_row_is_later_than_a_tested_one_minus_the_gap(split, times):
    try:
        found = windows(split, times)
    except WorkError:
        return
    for window in found:
        train = times[(times >= window.train_low) & (times < window.train_high)]
        test = times[(times >= window.test_low) & (times < window.test_high)]
        assert len(train)
        assert len(test)
        assert train.max() < test.min() - split.gap_us
        assert window.test_low % split.test_us == 0


@given(SPLITS, TIMES, st.integers(1, 60))
def test_new_rows_add_windows_and_never_move_old_ones(split, times, days):
    later = np.append(times, times[-1] + days * DAY_US)
    try:
        before, after = windows(split, times), windows(split, later)
    except WorkError:
        return
    newest = {window.test_low for window in after}
    assert all(window in after for window in before if window.test_low in newest)


def test_the_newest_cell_counts_once_half_of_it_is_covered():
    split = Split(kind="backtest", windows=9, train_us=10 * DAY_US, test_us=10 * DAY_US, gap_us=0)
    four, six = np.arange(0, 44 * DAY_US, DAY_US), np.arange(0, 47 * DAY_US, DAY_US)
    assert windows(split, four)[-1].test_low == 30 * DAY_US
    assert windows(split, six)[-1].test_low == 40 * DAY_US


def test_rows_with_gaps_are_not_told_to_be_too_few():
    split = Split(kind="holdout", windows=1, train_us=None, test_us=3 * DAY_US, gap_us=0)
    times = np.append(np.arange(0, 2 * DAY_US, DAY_US // 24), 28 * DAY_US)
    with pytest.raises(WorkError) as caught:
        windows(split, times)
    assert caught.value.code == "train.empty_windows"
    assert "longer" in caught.value.next


def test_too_few_rows_say_how_many_days_are_needed():
    split = Split(kind="backtest", windows=3, train_us=20 * DAY_US, test_us=10 * DAY_US, gap_us=DAY_US)
    with pytest.raises(WorkError, match=r"26\.0 days") as caught:
        windows(split, np.arange(0, 8 * DAY_US, DAY_US))
    assert caught.value.found == "7.0 days"


def test_folds_over_rows_with_time_are_refused_with_the_alternative():
    with pytest.raises(UsageError, match="backtest"):
        windows(Split(kind="folds", windows=5), np.arange(3))


def test_the_final_fit_ends_with_the_newest_row():
    split = Split(kind="backtest", windows=1, train_us=DAY_US, test_us=DAY_US)
    assert refit_range(split, np.array([0, 5 * DAY_US])) == (4 * DAY_US + 1, 5 * DAY_US + 1)
