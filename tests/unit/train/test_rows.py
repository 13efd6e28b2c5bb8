"""The shared matrix, the baselines and the leakage check."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.studies import model, rows, share

from filiera.errors import ContractError
from filiera.runner.fit import frame_of
from filiera.runner.matrix import hash_keys, pack, read_matrix, unpack
from filiera.train.baseline import baselines
from filiera.train.leakage import refuse_leakage
from filiera.train.split import windows


@given(
    st.lists(
        hnp.arrays(st.sampled_from(["<f8", "<i8", "<u8", "<i4"]), hnp.array_shapes(max_dims=2, min_side=0)), max_size=5
    )
)
def test_what_is_packed_is_unpacked_equal_and_aligned(arrays):
    named = {f"block{place}": array for place, array in enumerate(arrays)}
    data = b"".join(pack({"a": "é"}, named))
    header, blocks = unpack(data)
    assert header == {"a": "é"}
    for name, array in named.items():
        np.testing.assert_array_equal(blocks[name], array)


def test_children_see_the_rows_without_a_copy_and_cannot_write():
    buffer, matrix = share(rows(), model())
    mapped = read_matrix(buffer.view())
    frame = frame_of("pandas", mapped.x[4:20], mapped.features)
    assert np.shares_memory(frame.to_numpy(), mapped.x)
    assert not mapped.x.flags.writeable
    np.testing.assert_array_equal(mapped.x, matrix.x)


def test_rows_without_target_are_dropped_and_counted_and_nulls_are_nan():
    table = rows(10)
    power = table["power"].to_pylist()
    power[3] = None
    wind = table["wind"].to_pylist()
    wind[5] = None
    table = table.set_column(4, "power", pa.array(power)).set_column(2, "wind", pa.array(wind))
    _, matrix = share(table, model())
    assert matrix.header["dropped"] == 1
    assert len(matrix.y) == table.num_rows - 1
    assert np.isnan(matrix.x[4, 0])


def test_categories_are_places_in_the_sorted_list():
    _, matrix = share(rows(10), model(features=("turbine", "wind")))
    assert matrix.header["inputs"][0]["categories"] == ["a", "b"]
    assert matrix.x[:4, 0].tolist() == [0, 1, 0, 1]


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(ContractError, match="did you mean wind"):
        share(rows(10), model(features=("wint",)))


def test_key_hashes_do_not_depend_on_the_kind_of_text_column():
    words = ["a", "b", "a"]
    plain = hash_keys([np.array(words, object)])
    assert (plain == hash_keys([pa.array(words).dictionary_encode().to_pandas()])).all()
    assert (plain == hash_keys([pa.array(words).to_pandas()])).all()
    assert plain[0] == plain[2] != plain[1]


def test_baselines_know_only_the_training_range():
    definition = model()
    table = rows()
    _, matrix = share(table, definition)
    found = windows(definition.split, matrix.time)[:1]
    before = baselines(matrix, found, "mae")
    late = matrix.time >= found[0].test_high
    changed = np.where(late, 1e6, matrix.y)
    _, other = share(table.set_column(4, "power", pa.array(changed)), definition)
    assert baselines(other, found, "mae") == before


def test_the_best_baseline_of_a_line_is_the_line():
    table = rows()
    table = table.set_column(4, "power", pa.array(3 * table["wind"].to_numpy() + 2))
    definition = model()
    _, matrix = share(table, definition)
    best = baselines(matrix, windows(definition.split, matrix.time), "rmse")[0]
    assert best.name == "linear"
    assert best.score == pytest.approx(0, abs=1e-9)


def test_persistence_holds_the_last_value_of_each_device():
    table = rows()
    steady = np.where(np.arange(table.num_rows) % 2 == 0, 5.0, 9.0)
    definition = model()
    _, matrix = share(table.set_column(4, "power", pa.array(steady)), definition)
    by_name = {b.name: b.score for b in baselines(matrix, windows(definition.split, matrix.time), "mae")}
    assert by_name["persistence"] == 0
    assert by_name["seasonal"] == 0
    assert by_name["mean"] == 2


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (lambda power: power, "is the target"),
        (lambda power: 0.001 * power - 7, "target = 1000 x input"),
        (lambda power: np.r_[power[6:], np.zeros(6)], "3 rows later of the same device"),
    ],
)
def test_an_input_that_holds_the_answer_is_refused_with_evidence(leak, words):
    table = rows(2000)
    table = table.set_column(3, "gust", pa.array(leak(table["power"].to_numpy())))
    _, matrix = share(table, model())
    with pytest.raises(ContractError, match="gust") as caught:
        refuse_leakage(matrix)
    assert caught.value.code == "train.leakage"
    assert words in str(caught.value)


def test_the_past_of_the_target_and_strong_inputs_are_no_leak():
    table = rows(2000)
    power = table["power"].to_numpy()
    table = table.set_column(3, "gust", pa.array(np.r_[np.zeros(2), power[:-2]]))
    refuse_leakage(share(table, model())[1])
    refuse_leakage(share(rows(2000), model())[1])
