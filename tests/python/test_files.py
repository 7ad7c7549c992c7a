"""The files of a table are open: pyarrow and Polars read each as it lies, block table and all."""

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

import kith
from test_types import scalar, tables, vector



def data_files(place):
    return sorted(place.glob("t.kith/data/*.arrow"))


@pytest.fixture
def wide():
    """Every kind of column, enough rows that they go into files."""
    n = 30_000
    text = [None if i % 7 == 0 else f"row {i} ü" for i in range(n)]
    return pa.table(
        {
            "vector": pa.FixedSizeListArray.from_arrays(pa.array([float(i % 97) for i in range(n * 4)], pa.float32()), 4),
            "half": pa.FixedSizeListArray.from_arrays(pa.array([i % 31 for i in range(n * 2)]).cast(pa.float32()).cast(pa.float16()), 2),
            "id": pa.array(range(n)),
            "text": text,
            "long": pa.array(text, pa.large_string()),
            "word": pa.array([f"w{i % 50}" for i in range(n)]).dictionary_encode(),
            "flag": pa.array([None if i % 5 == 0 else i % 2 == 0 for i in range(n)]),
            "tags": pa.array([["a", None, "b"][: i % 4] if i % 9 else None for i in range(n)]),
            "point": pa.array([{"x": i, "y": i / 2} if i % 11 else None for i in range(n)]),
            "when": pa.array(range(n), pa.timestamp("us", "UTC")),
            "bytes": pa.array([b"\0\1" * (i % 3) for i in range(n)], pa.binary()),
        }
    )


def test_pyarrow_opens_every_file(tmp_path, wide):
    kith.connect(tmp_path).create_table("t", wide)
    files = data_files(tmp_path)
    assert len(files) == 3  # one a vector column, one for the others
    seen = {}
    for path in files:
        read = pa.ipc.open_file(path).read_all()
        read.validate(full=True)
        for name in read.column_names:
            seen[name] = read[name]
    assert set(seen) == set(wide.column_names)
    for name, column in seen.items():
        assert column.to_pylist() == wide[name].to_pylist(), name


def test_polars_opens_every_file(tmp_path, wide):
    wide = wide.drop_columns(["half"])  # Polars has no float16
    kith.connect(tmp_path).create_table("t", wide)
    for path in data_files(tmp_path):
        read = pl.read_ipc(path)
        expected = pl.from_arrow(wide.select(read.columns))
        assert read.equals(expected)


def test_a_file_is_mapped_where_it_lies(tmp_path, wide):
    kith.connect(tmp_path).create_table("t", wide)
    with pa.memory_map(str(data_files(tmp_path)[0])) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
        assert all(b is None or b.address % 64 == 0 for b in batch.column(0).buffers())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(st.one_of(scalar, vector)))
def test_files_of_any_schema_are_arrows_own(tmp_path_factory, table):
    if len(table) == 0:
        return
    place = tmp_path_factory.mktemp("db")
    many = pa.concat_tables([table] * (80_000 // len(table))).combine_chunks()  # beyond what travels in the log
    stored = kith.connect(place).create_table("t", many)
    files = data_files(place)
    assert files
    for path in files:
        read = pa.ipc.open_file(path).read_all()
        read.validate(full=True)
        assert read.equals(many.select(read.column_names))
    assert pa.table(stored).equals(many)
