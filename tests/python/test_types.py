"""Any schema that can be stored goes in and comes out the same, whoever reads it."""

import decimal
import math

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
from hypothesis import given

import kith

I64 = st.integers(-(2**63), 2**63 - 1)


def integers(bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    return st.integers(low, low + 2**bits - 1)


# types with strategies for their raw values; what is not easily raw is made from integers by a cast
SCALARS = [
    (pa.bool_(), st.booleans()),
    *[(getattr(pa, f"{'' if signed else 'u'}int{bits}")(), integers(bits, signed)) for bits in (8, 16, 32, 64) for signed in (True, False)],
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.string(), st.text(max_size=20)),
    (pa.large_string(), st.text(max_size=20)),
    (pa.binary(), st.binary(max_size=20)),
    (pa.large_binary(), st.binary(max_size=20)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.decimal128(12, 3), st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: decimal.Decimal(n).scaleb(-3))),
    (pa.date32(), st.dates()),
    (pa.time32("s"), st.integers(0, 86_399)),
    (pa.time32("ms"), st.integers(0, 86_399_999)),
    (pa.time64("us"), st.times()),
    (pa.time64("ns"), st.integers(0, 86_399_999_999).map(lambda us: us * 1000)),
    (pa.timestamp("s"), st.integers(-(2**33), 2**33)),
    (pa.timestamp("ms"), st.integers(-(2**43), 2**43)),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.integers(-(2**50), 2**50)),
    (pa.timestamp("us", "Europe/Berlin"), st.integers(0, 2**50)),
    (pa.duration("ms"), st.integers(-(2**40), 2**40)),
    (pa.duration("us"), st.integers(-(2**50), 2**50)),
]
NUMBERS = [one for one in SCALARS if pa.types.is_integer(one[0]) or pa.types.is_floating(one[0])]


def list_of(inner):
    return pa.list_(inner[0]), st.lists(st.none() | inner[1], max_size=4)


def struct_of(inners):
    names = [f"f{i}" for i in range(len(inners))]
    return pa.struct(list(zip(names, (kind for kind, _ in inners)))), st.fixed_dictionaries(
        {name: st.none() | values for name, (_, values) in zip(names, inners)}
    )


def vector_of(numbers, dim):
    kind, values = numbers
    return pa.list_(kind, dim), st.lists(values, min_size=dim, max_size=dim)


scalar = st.sampled_from(SCALARS)
vector = st.builds(vector_of, st.sampled_from([(pa.float32(), st.floats(-1e3, 1e3, width=32)), (pa.uint8(), integers(8, False)), (pa.int8(), integers(8, True)), (pa.float64(), st.floats(-1e3, 1e3))]), st.integers(1, 5))
dictionary = st.just((pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "bb", ""])))
column = st.one_of(scalar, scalar.map(list_of), st.lists(scalar, min_size=1, max_size=3).map(struct_of), vector, dictionary)


@st.composite
def tables(draw, columns=column):
    kinds = draw(st.lists(columns, min_size=1, max_size=5))
    rows = draw(st.integers(0, 12))
    arrays = [pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind) for kind, values in kinds]
    table = pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))])
    begin = draw(st.integers(0, rows))
    return table.slice(begin) if draw(st.booleans()) else table


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b and type(a) is type(b)


@given(tables())
def test_arrow_comes_back_as_it_went_in(table):
    stored = kith.connect("memory://").create_table("t", table)
    back = pa.table(stored)
    back.validate(full=True)
    assert back.schema == table.schema
    assert back.equals(table)
    assert same(stored.to_list(), table.to_pylist())


@given(tables(st.one_of(scalar, vector)))
def test_polars_reads_what_arrow_stored(table):
    stored = kith.connect("memory://").create_table("t", table)
    whole = table.take(pa.array(range(len(table)), pa.int64()))  # Polars 2.1 itself stumbles over a slice of null vectors
    assert pl.DataFrame(stored).equals(pl.DataFrame(whole))


@given(tables(), tables(st.one_of(scalar)))
def test_python_rows_built_to_a_schema_are_arrows_own(table, other):
    db = kith.connect("memory://")
    rows = table.to_pylist()
    stored = db.create_table("t", rows, schema=table.schema)
    assert pa.table(stored).schema == table.schema
    assert same(pa.table(stored).to_pylist(), rows)
    added = db.create_table("u", schema=other.schema)
    added.add(other.to_pylist() or pa.table(added))
    assert pa.table(added).equals(other)


@given(tables(st.one_of(st.sampled_from(NUMBERS), st.sampled_from(SCALARS[:1]))))
def test_pandas_frames_are_arrows_own(table):
    frame = kith.connect("memory://").create_table("t", table).to_pandas()
    other = table.to_pandas()
    assert frame.dtypes.tolist() == other.dtypes.tolist()
    assert frame.equals(other)


@given(st.lists(st.fixed_dictionaries({}, optional={"a": st.none() | I64, "b": st.text(), "c": st.lists(st.floats(allow_nan=False)), "d": st.fixed_dictionaries({"x": st.booleans()})}), min_size=1))
def test_rows_without_a_schema_come_back(rows):
    if not any(rows):
        return
    stored = kith.connect("memory://").create_table("t", rows)
    names = list(dict.fromkeys(key for row in rows for key in row))
    assert stored.schema.names == names
    assert stored.to_list() == [{name: row.get(name) for name in names} for row in rows]
