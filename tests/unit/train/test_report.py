import pytest

from filiera.core.trial import Stop, Trial, TrialState
from filiera.train.report import best_trial, capped, frontier, may_continue, window_noise
from filiera.train.value import parse_worth, stated_worth
from filiera.train.worth import Rule

NONE = stated_worth(None, None, "EUR")
REPORT = {"used": 3, "currency": "EUR", "needed": 0.5, "worth": "10 EUR per kW", "value_per_unit": 10.0,
          "frontier": {"spent_nano": 2 * 10**8}}  # fmt: skip


def done(number, score, **more):
    return Trial(
        number=number, settings={"a": number}, state=TrialState.DONE, score=score, cost_nano=10**9, seconds=2.0, **more
    )


@pytest.mark.parametrize(
    ("ended", "limit", "budget", "worth", "words"),
    [
        (Stop.LIMIT, 12, None, NONE, "up to 12 trials (3 done)"),
        (Stop.LIMIT, 3, None, NONE, ""),
        (Stop.LIMIT, 2, 9.0, parse_worth("99 EUR per kW"), ""),
        (Stop.BUDGET, 3, 0.6, NONE, "0.6 EUR allowed (0.2 EUR spent)"),
        (Stop.BUDGET, 99, 0.4, NONE, ""),
        (Stop.BUDGET, 3, None, NONE, "no limit of money (0.2 EUR spent)"),
        (Stop.WORTH, 99, 9.0, parse_worth("20 EUR per kW"), "worth 20 EUR per kW (3 trials done, for 10 EUR per kW)"),
        (Stop.WORTH, 99, 9.0, parse_worth("10 EUR per kW"), ""),
        (Stop.WORTH, 99, 9.0, NONE, ""),
        (Stop.SPACE, 99, 9.0, NONE, ""),
        (Stop.BROKEN, 99, 9.0, NONE, ""),
    ],
)
def test_a_study_may_go_on_when_what_ended_it_was_raised(ended, limit, budget, worth, words):
    assert may_continue(REPORT | {"ended": ended.value}, limit, budget, worth) == words


def test_a_study_without_a_report_has_not_ended():
    assert may_continue({}, 100, None, NONE) == ""
    assert may_continue({"reason": "of an earlier filiera"}, 100, None, NONE) == ""


def test_the_frontier_has_a_point_for_each_improvement_with_its_money_and_time():
    trials = [done(0, 5.0), done(1, 6.0), done(2, 4.0)]
    found = frontier(Rule(value=1.0), trials, 1.0)
    assert found["points"] == [
        {"trials": 1, "cost_nano": 10**9, "seconds": 2.0, "score": 5.0},
        {"trials": 3, "cost_nano": 3 * 10**9, "seconds": 6.0, "score": 4.0},
    ]
    assert found["price_of_last_step"] == 0.0
    assert frontier(Rule(value=1.0), [], 1.0) == {"points": [], "spent_nano": 0}


def test_capped_trials_are_listed_with_what_they_took_and_why():
    slow = Trial(number=1, settings={"a": 1}, state=TrialState.CAPPED, seconds=4.0, cost_nano=7, error="too long")
    assert capped([done(0, 5.0), slow]) == [
        {"number": 1, "settings": {"a": 1}, "seconds": 4.0, "cost_nano": 7, "reason": "too long"}
    ]


def test_the_best_is_the_earliest_of_equals():
    assert best_trial([done(0, 5.0), done(2, 4.0), done(1, 4.0)]).number == 1
    assert best_trial([]) is None


def test_noise_is_read_off_the_windows_of_the_leading_trials():
    trials = [done(n, 5.0 + n, window_scores=(5.0 + n, 5.0 + n + 0.3 * (n % 2), 5.0 + n)) for n in range(4)]
    assert 0 < window_noise(trials) < 0.2
    assert window_noise(trials[:2]) == 0.0
