"""What runs by itself, what waits for a person, and when nothing more is spent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from filiera.automation.policy import FOLLOW, covers, judge, needs_person
from filiera.core.event import Outcome
from filiera.core.money import Money
from filiera.core.plan import Action, Plan, Step
from filiera.settings import Automation

NOTHING = Money(0, "EUR")
ON = Automation(on=True, up_to=Money.of("1 EUR"))


def plan(*steps: tuple[str, str, str], cost: str = "0.2 EUR", action: Action = Action.RUN) -> Plan:
    made = [
        Step(asset=asset, operation=operation, action=Action(do) if do else action, cost=Money.of(cost),
             cost_p90=Money.of(cost))
        for operation, asset, do in steps
    ]  # fmt: skip
    return Plan(environment="dev", currency="EUR", steps=tuple(made))


INGEST, COMPUTE, TRAIN = ("ingest", "scada", "run"), ("compute", "features", "maybe"), ("train", "power", "maybe")
EMPTY = plan(("compute", "features", "reuse"), ("train", "power", "hold"))


def test_nothing_due_is_a_skip_that_says_so() -> None:
    assert judge(EMPTY, EMPTY, ON, NOTHING).code == "nothing"


def test_without_the_table_nothing_runs_in_dev_and_prod_follows() -> None:
    work = plan(INGEST, COMPUTE)
    assert judge(work, work, Automation(), NOTHING).code == "off"
    assert judge(work, work, FOLLOW, Money.of("1000000 EUR")).outcome is Outcome.PLANNED


def test_training_is_left_out_and_the_rest_runs() -> None:
    whole, part = plan(INGEST, COMPUTE, TRAIN), plan(INGEST, COMPUTE)
    assert [step.asset for step in needs_person(whole, ON)] == ["power"]
    verdict = judge(whole, part, ON, NOTHING)
    assert (verdict.outcome, verdict.reason) == (Outcome.PLANNED, "ingest scada, compute features, at most 0.400 EUR")


def test_training_alone_waits_for_a_person() -> None:
    verdict = judge(plan(TRAIN), EMPTY, ON, NOTHING)
    assert (verdict.outcome, verdict.reason) == (Outcome.WAITS, "train power waits for a person")


def test_earlier_results_stand_again_by_themselves_whatever_is_spent() -> None:
    back = plan(("compute", "features", "restore"), ("train", "power", "restore"))
    verdict = judge(back, back, Automation(on=True, month=NOTHING), Money.of("9 EUR"))
    assert (verdict.outcome, verdict.reason) == (Outcome.PLANNED, "restore features, restore power, at most 0 EUR")


def test_when_ingest_waits_all_waits() -> None:
    rules = Automation(on=True, ingest=False)
    assert judge(plan(INGEST, COMPUTE), plan(INGEST, COMPUTE), rules, NOTHING).outcome is Outcome.WAITS


@pytest.mark.parametrize(
    ("cost", "spent", "outcome", "says"),
    [
        ("0.5 EUR", "0 EUR", Outcome.PLANNED, "at most 1.00 EUR"),
        ("0.6 EUR", "0 EUR", Outcome.WAITS, "may cost 1.20 EUR, more than up_to = 1.00 EUR"),
        ("0.5 EUR", "9 EUR", Outcome.PLANNED, "at most 1.00 EUR"),
        ("0.5 EUR", "9.01 EUR", Outcome.SKIPPED, "9.01 EUR of 10.0 EUR are spent in 30 days"),
    ],
)
def test_a_price_is_held_against_the_run_and_the_month(cost: str, spent: str, outcome: Outcome, says: str) -> None:
    rules = Automation(on=True, up_to=Money.of("1 EUR"), month=Money.of("10 EUR"))
    work = plan(INGEST, COMPUTE, cost=cost)
    verdict = judge(work, work, rules, Money.of(spent))
    assert verdict.outcome is outcome
    assert says in verdict.reason


def test_what_was_agreed_to_covers_less_and_cheaper_work_only() -> None:
    agreed = plan(INGEST, COMPUTE).to_json()
    assert covers(agreed, plan(INGEST, COMPUTE))
    assert covers(agreed, plan(COMPUTE))
    assert covers(agreed, EMPTY)
    assert not covers(agreed, plan(TRAIN))
    assert not covers(agreed, plan(INGEST, COMPUTE, cost="0.3 EUR"))
    assert not covers(plan(("compute", "features", "reuse")).to_json(), plan(COMPUTE))
    edited = replace(plan(COMPUTE).steps[0], definition="sha256:other")
    assert not covers(agreed, replace(plan(COMPUTE), steps=(edited,))), "the code was edited since"
