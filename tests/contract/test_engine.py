"""What every engine promises; what processes promise beyond stands in tests/unit/engine."""

from pathlib import Path

import pytest

from filiera.engine.failure import raise_failure
from filiera.engine.inline import InlineEngine
from filiera.engine.memory import SharedBuffer
from filiera.engine.process import ProcessEngine
from filiera.engine.task import Task
from filiera.errors import UsageError, WorkError

BUNDLE = str(Path(__file__).parent)


def task(name, function, inputs=(), **arguments):
    return Task(id=name, function=f"engine_tasks:{function}", arguments=arguments, inputs=inputs, bundle=BUNDLE)


def run(engine, *tasks):
    for one in tasks:
        engine.submit(one)
    found = {}
    while len(found) < len(tasks):
        results = engine.wait()
        assert results, "a task gave no result"
        found |= {result.id: result for result in results}
    return found


@pytest.fixture(scope="module")
def process():
    with ProcessEngine(2) as engine:
        yield engine


@pytest.fixture(params=["inline", "process"])
def engine(request):
    return request.getfixturevalue("process") if request.param == "process" else InlineEngine()


def test_every_task_gives_its_own_result_once(engine):
    found = run(engine, *(task(f"t{n}", "echo", value=[n, {"half": n / 2, "none": None}]) for n in range(9)))
    assert {name: result.value[0] for name, result in found.items()} == {f"t{n}": n for n in range(9)}
    assert found["t3"].value == [3, {"half": 1.5, "none": None}]
    assert engine.wait() == []


def test_an_engine_says_how_many_tasks_run_at_once(engine):
    assert engine.capacity >= 1


def test_waiting_for_nothing_gives_nothing_at_once(engine):
    assert engine.wait() == []
    assert engine.wait(0.0) == []


def test_an_exception_becomes_data_with_the_line_of_the_code_that_raised_it(engine):
    result = run(engine, task("t", "fails"))["t"]
    assert (result.error["code"], result.error["message"]) == ("work.failed", "KeyError: 'wind'")
    assert result.error["where"].startswith("engine_tasks.py:")
    assert "Traceback" in result.error["details"]
    assert not result.lost
    with pytest.raises(WorkError, match="table power: KeyError"):
        raise_failure(result, "table power")


def test_an_error_of_filiera_arrives_as_the_same_error(engine):
    with pytest.raises(UsageError) as caught:
        raise_failure(run(engine, task("t", "refuses"))["t"], "t")
    error = caught.value
    assert (error.code, error.message, error.expected, error.found, error.next, error.where) == (
        "test.wrong", "this is wrong", "right", "wrong", "mend it", "here:1",
    )  # fmt: skip


def test_an_exit_in_the_code_is_an_error_and_not_the_end(engine):
    found = run(engine, task("a", "leaves"), task("b", "echo", value=1))
    assert found["a"].error["message"] == "SystemExit: 3"
    assert found["b"].value == 1


def test_a_function_that_is_not_there_is_an_error(engine):
    assert "AttributeError" in run(engine, task("t", "absent"))["t"].error["message"]


def test_a_value_that_is_no_data_is_an_error_and_not_a_lost_task(engine):
    result = run(engine, task("t", "unsendable"))["t"]
    assert result.error["code"] == "work.result"
    assert result.value is None
    assert not result.lost


def test_outputs_come_back_in_the_order_they_were_emitted(engine):
    result = run(engine, task("t", "emits", parts=["first", "", "third"]))["t"]
    assert [bytes(buffer.view()) for buffer in result.outputs] == [b"first", b"", b"third"]
    for buffer in result.outputs:
        buffer.close()


def test_a_failed_task_has_no_outputs(engine):
    result = run(engine, task("t", "emits_and_fails"))["t"]
    assert result.error
    assert result.outputs == ()


def test_inputs_arrive_whole_and_cannot_be_changed(engine):
    buffers = [SharedBuffer.create([b"\x01\x02", b"\x03"]), SharedBuffer.create([])]
    assert run(engine, task("t", "add", buffers))["t"].value == 6
    error = run(engine, task("t", "overwrites", buffers))["t"].error
    assert "read-only" in error["message"]
    assert bytes(buffers[0].view()) == b"\x01\x02\x03"
    for buffer in buffers:
        buffer.close()


def test_what_the_code_prints_comes_back_with_its_result_and_nowhere_else(engine, capfd):
    found = run(engine, task("a", "talks", word="one"), task("b", "talks", word="two"))
    assert found["a"].log == "spoken one\nwritten\n"
    assert found["b"].log == "spoken two\nwritten\n"
    assert capfd.readouterr() == ("", "")


def test_a_cancelled_task_gives_no_result(engine):
    tasks = [task(f"t{n}", "sleeps", seconds=0.05) for n in range(5)]
    for one in tasks:
        engine.submit(one)
    engine.cancel("t4")
    engine.cancel("never heard of")
    found = {}
    while results := engine.wait():
        found |= {result.id: result for result in results}
    assert sorted(found) == ["t0", "t1", "t2", "t3"]


def test_each_bundle_has_its_own_modules(engine, tmp_path):
    for word in ("one", "two"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "answer.py").write_text(f"def give(arguments, inputs, emit): return '{word}'\n")
    found = run(
        engine,
        *(Task(id=f"{w}{n}", function="answer:give", arguments={}, bundle=str(tmp_path / w))
          for n in range(2) for w in ("one", "two")),
    )  # fmt: skip
    assert {name: result.value for name, result in found.items()} == {
        "one0": "one", "two0": "two", "one1": "one", "two1": "two",
    }  # fmt: skip
    assert not list(tmp_path.rglob("__pycache__")), "a bundle is never written to"


def test_after_close_nothing_is_left_to_wait_for():
    for engine in (InlineEngine(), ProcessEngine(1)):
        engine.submit(task("t", "sleeps", seconds=0.01))
        engine.close()
        assert engine.wait() == []
