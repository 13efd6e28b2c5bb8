"""What processes promise beyond the contract of engines: nothing that happens in a child reaches another, or us."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from filiera.engine import landlock
from filiera.engine.failure import raise_failure
from filiera.engine.memory import SharedBuffer
from filiera.engine.process import ProcessEngine
from filiera.engine.task import Scope, Task
from filiera.errors import UnavailableError, WorkError

BUNDLE = str(Path(__file__).parents[2] / "contract")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and sealed memory")
confined = pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock")


def task(name, function, inputs=(), *, timeout_s=None, memory_limit_bytes=None, **arguments):
    return Task(
        id=name, function=f"engine_tasks:{function}", arguments=arguments, inputs=inputs, bundle=BUNDLE,
        timeout_s=timeout_s, memory_limit_bytes=memory_limit_bytes,
    )  # fmt: skip


def run(engine, *tasks):
    for one in tasks:
        engine.submit(one)
    found = {}
    while len(found) < len(tasks):
        results = engine.wait()
        assert results, "a task gave no result"
        found |= {result.id: result for result in results}
    return found


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid):
    """Wait until a process is gone; the test's own time limit is the only one."""
    while alive(pid):
        threading.Event().wait(0.01)
    return True


@pytest.fixture(scope="module")
def engine():
    with ProcessEngine(2) as running:
        yield running


@pytest.mark.parametrize("death", ["dies", "exits"])
def test_F42_a_killed_worker_loses_its_own_task_only(engine, death):
    found = run(
        engine,
        task("a", "sleeps", seconds=0.2),
        task("dead", death),
        *(task(f"t{n}", "echo", value=n) for n in range(4)),
    )
    assert found.pop("dead").lost
    assert not any(result.lost or result.error for result in found.values())
    assert [found[f"t{n}"].value for n in range(4)] == [0, 1, 2, 3]
    assert found["a"].value == "slept"


def test_a_lost_task_is_told_to_the_person_as_such(engine):
    with pytest.raises(WorkError, match="the process of model power died"):
        raise_failure(run(engine, task("t", "dies"))["t"], "model power")


@linux
def test_F42_workers_killed_while_idle_cost_no_task():
    with ProcessEngine(2) as engine:
        pid = run(engine, task("t", "process"))["t"].value
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        found = run(engine, *(task(f"t{n}", "echo", value=n) for n in range(3)))
    assert not any(result.lost for result in found.values())


@linux
def test_F42_a_killed_zygote_is_replaced():
    with ProcessEngine(1) as engine:
        run(engine, task("t", "process"))
        zygote = engine._zygote.process.pid
        os.kill(zygote, signal.SIGKILL)
        engine._zygote.process.wait()
        child = engine._slots[0].pid
        assert gone(child), "the children of a dead zygote end with it"
        assert run(engine, task("again", "echo", value=5))["again"].value == 5


@linux
def test_F16_a_task_that_eats_memory_is_stopped_alone(engine):
    found = run(engine, task("eats", "fills", memory_limit_bytes=200 << 20), task("b", "echo", value=1))
    assert found["eats"].error["code"] == "work.memory"
    assert "limit of 200 MiB" in found["eats"].error["message"]
    assert not found["eats"].lost, "a lost task is tried again; this one would only do the same"
    assert found["b"].value == 1


def test_a_task_over_its_time_is_stopped_alone(engine):
    found = run(engine, task("slow", "sleeps", seconds=600, timeout_s=0.3), task("b", "echo", value=1))
    assert found["slow"].error["message"] == "stopped after 0.3 s"
    assert found["b"].value == 1


@linux
def test_a_cancelled_task_is_ended_with_all_it_started(engine):
    started = run(engine, task("t", "starts_a_child"))["t"]
    pid = started.value
    assert alive(pid)
    for slot in list(engine._slots):
        engine._kill(slot)
    assert gone(pid)
    for buffer in started.outputs:
        buffer.close()


def test_a_library_sees_how_its_own_child_ended(engine):
    assert run(engine, task("t", "starts_a_child", finish=True))["t"].value == -signal.SIGKILL


@linux
def test_inputs_are_one_copy_for_everybody(engine):
    size = 64 << 20
    buffer = SharedBuffer.create([bytes(size)])
    maps = run(engine, task("m", "address_is_mapped", [buffer]))["m"].value
    assert maps
    assert set(maps) == {"r--s"}, "shared and read-only, not a copy"
    _, private_kib = run(engine, task("p", "private_kib", [buffer]))["p"].value
    assert private_kib * 1024 < size / 2
    buffer.close()


@linux
def test_a_native_library_that_prints_does_not_write_into_our_output(engine, capfd):
    assert run(engine, task("t", "native_print"))["t"].log == "from a library\n"
    assert capfd.readouterr() == ("", "")


def test_A88_a_child_that_talks_nonsense_is_ended_and_harms_nobody():
    with ProcessEngine(1) as engine:
        first = run(engine, task("bad", "speaks_nonsense"))["bad"]
        assert first.lost
        assert run(engine, task("good", "echo", value=1))["good"].value == 1


@linux
def test_A88_memory_that_a_child_could_still_shrink_is_not_mapped(engine):
    assert run(engine, task("t", "unsealed"))["t"].lost


def test_A88_the_environment_of_a_child_holds_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
    monkeypatch.setenv("FILIERA_TOKEN", "do not tell")
    with ProcessEngine(1) as engine:
        found = run(engine, task("t", "environment"))["t"].value
    assert "do not tell" not in found.values()
    assert set(found) <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "HOME", "TMPDIR", "TZ", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONUSERBASE",
        "JE_ARROW_MALLOC_CONF", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS",
        "POLARS_MAX_THREADS", "NUMEXPR_NUM_THREADS", "KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK",
    }  # fmt: skip
    assert found["HOME"] != os.environ["HOME"]


@confined
def test_A88_code_cannot_read_the_key_file_nor_the_state(engine, own_home, tmp_path):
    key = own_home / ".config" / "filiera" / "keys" / "led_1"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_bytes(b"key")
    key.chmod(0o600)
    for name, path in (("key", key), ("passwords", Path("/etc/shadow")), ("parent", f"/proc/{os.getpid()}/environ")):
        error = run(engine, task(name, "reads", path=str(path)))[name].error
        assert "PermissionError" in error["message"], path
        assert "declare it as a source" in error["next"]


@confined
def test_A88_code_cannot_write_outside_its_scratch_folder(engine, tmp_path):
    for path in (tmp_path / "new", Path(BUNDLE) / "new.py", Path(sys.prefix) / "new"):
        assert "PermissionError" in run(engine, task("t", "writes", path=str(path)))["t"].error["details"]
        assert not path.exists()


@confined
def test_A88_code_cannot_signal_us(engine):
    if landlock.version() < 6:
        pytest.skip("this kernel's Landlock does not scope signals")
    assert "PermissionError" in run(engine, task("t", "signals", pid=os.getpid()))["t"].error["message"]


@confined
def test_A88_code_cannot_connect(engine):
    if landlock.version() < 4:
        pytest.skip("this kernel's Landlock does not hold connections")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        error = run(engine, task("t", "connects", port=server.getsockname()[1]))["t"].error
    assert "PermissionError" in error["message"]


@confined
def test_a_result_says_what_held_its_code(engine):
    assert run(engine, task("t", "nothing"))["t"].confinement == f"landlock {landlock.version()}"


def test_a_file_by_relative_path_is_refused_with_the_way_out(engine):
    error = run(engine, task("t", "reads", path="data/turbines.csv"))["t"].error
    assert error["message"] == "data/turbines.csv is not declared, so the code cannot read it"
    assert 'files=["data/turbines.csv"]' in error["next"]


@linux
def test_scratch_files_are_gone_with_their_engine():
    with ProcessEngine(1) as engine:
        path = Path(run(engine, task("t", "keeps_scratch"))["t"].value)
        assert path.exists()
    assert not path.exists()
    assert not path.parent.parent.exists()


def test_modules_come_from_the_bundle_never_from_the_folder_we_were_started_in(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    with ProcessEngine(1) as engine:
        found = run(engine, task("t", "module_path"))["t"].value
    assert found[0] == BUNDLE
    assert str(tmp_path) not in found
    assert "" not in found


@linux
def test_the_zygote_forks_from_one_thread_whatever_it_loaded():
    with ProcessEngine(1, preload=("numpy", "pandas", "sklearn.ensemble")) as engine:
        assert run(engine, task("t", "threads"))["t"].value == 1
        assert len(os.listdir(f"/proc/{engine._zygote.process.pid}/task")) == 1


@linux
def test_a_zygote_that_would_have_threads_loads_less_instead():
    # polars starts its threads on import
    with ProcessEngine(1, preload=("polars",)) as engine:
        assert run(engine, task("t", "echo", value=1))["t"].value == 1
        assert len(os.listdir(f"/proc/{engine._zygote.process.pid}/task")) == 1


def test_an_interpreter_without_filiera_is_named(tmp_path):
    with (
        ProcessEngine(1, python=str(tmp_path / "python")) as engine,
        pytest.raises(UnavailableError, match="does not start"),
    ):
        engine.submit(task("t", "nothing"))
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho 'No module named filiera' >&2\nexit 1\n")
    fake.chmod(0o700)
    with ProcessEngine(1, python=str(fake)) as engine, pytest.raises(UnavailableError) as caught:
        engine.submit(task("t", "nothing"))
    assert caught.value.found == "No module named filiera"


def test_an_engine_may_be_launched_before_it_is_needed_and_tells_what_is_wrong_when_it_is_used(tmp_path):
    with ProcessEngine(1) as engine:
        engine.launch()
        engine.launch()
        launched = engine._launched.process.pid
        assert run(engine, task("t", "echo", value=1))["t"].value == 1
        assert engine._zygote.process.pid == launched
    with ProcessEngine(1, python=str(tmp_path / "python")) as engine:
        engine.launch()
        with pytest.raises(UnavailableError, match="does not start"):
            engine.submit(task("t", "nothing"))


@linux
def test_an_engine_that_was_launched_and_never_used_leaves_no_process():
    with ProcessEngine(1) as engine:
        engine.launch()
        process = engine._launched.process
    assert process.returncode is not None


@linux
def test_an_engine_started_in_a_thread_outlives_it():
    engine = ProcessEngine(1)
    starter = threading.Thread(target=lambda: run(engine, task("t", "nothing")))
    starter.start()
    starter.join()
    with engine:
        assert run(engine, task("t", "echo", value=1))["t"].value == 1


@linux
def test_interrupts_of_the_terminal_do_not_reach_children(engine):
    pid = run(engine, task("t", "process"))["t"].value
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGINT)
    assert run(engine, *(task(f"t{n}", "echo", value=n) for n in range(2)))["t1"].value == 1
    assert alive(pid)


def scoped(asset, function, *, modules=("engine_tasks",), variables=None, **arguments):
    scope = Scope(asset=asset, modules=frozenset(modules), variables=variables or {})
    return Task(id=asset, function=f"engine_tasks:{function}", arguments=arguments, bundle=BUNDLE, scope=scope)


def one(engine, task):
    return run(engine, task)[task.id]


def test_a_process_that_read_known_code_only_works_for_every_asset():
    with ProcessEngine(1) as engine:
        first = one(engine, scoped("a", "process"))
        assert set(first.reads) == {"engine_tasks.py"}
        assert one(engine, scoped("b", "process")).value == first.value


def test_a_process_that_read_a_file_for_one_asset_works_for_no_other():
    with ProcessEngine(1) as engine:
        assert one(engine, scoped("a", "reads", path="test_engine.py")).value
        mine = one(engine, scoped("a", "process"))
        assert set(mine.reads) == {"engine_tasks.py", "test_engine.py"}, "it may have kept what it read"
        other = one(engine, scoped("b", "process"))
        assert other.value != mine.value
        assert set(other.reads) == {"engine_tasks.py"}


def test_a_process_that_loaded_a_module_works_for_those_who_name_it():
    with ProcessEngine(1) as engine:
        first = one(engine, scoped("a", "process"))
        assert one(engine, scoped("b", "process", modules=())).value != first.value


def test_declared_variables_reach_their_asset_only():
    with ProcessEngine(1) as engine:
        assert one(engine, scoped("a", "environment", variables={"REGION": "north"})).value["REGION"] == "north"
        assert "REGION" not in one(engine, scoped("b", "environment")).value


def test_reads_that_code_makes_up_send_nobody_to_other_places(tmp_path):
    inside = f"{tmp_path}/a.csv"
    named = {"/etc/shadow": "1", "../up": "2", f"{tmp_path}/../up": "3", "a.csv": "4", inside: "5"}
    with ProcessEngine(1, watched=[str(tmp_path)]) as engine:
        assert one(engine, scoped("a", "invents_reads", reads=named)).reads == {"a.csv": "4", inside: "5"}
        assert one(engine, scoped("b", "invents_reads", reads=["a.csv"])).lost
        assert one(engine, scoped("c", "invents_reads", reads={"a.csv": 1})).lost
