"""One table under any sequence of operations, held against a dict.

Hypothesis draws what happens next: rows are added, changed, deleted, merged, found by key, by id, by filter and by
their vectors; columns come and go; versions are read, named and brought back; indexes are built and dropped; through
one of several handles, in a forked child or in another process. The model is a dict from row id to row, which predicts
ids, order and versions exactly. Sizes cross what the log holds inline (64 KiB), where fragments fold (64 of them) and
where an index is built unasked (300 rows here). KITH_HYPOTHESIS=long runs it for longer.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import kith
from kith import errors
from test_processes import in_child

DIM, THRESHOLD = 4, 300
SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("n", pa.int64()), pa.field("s", pa.string()), pa.field("vector", pa.list_(pa.float32(), DIM))])
WORDS = [None, "", "a", "ab", "b'c", "ü\U0001f9ed", "a" * 50]

# ---- filters: SQL, and what it is of a row: True, False, or None where it is not known


def lifted(test, *names):
    return lambda row, row_id: None if any(row[name] is None for name in names) else test(row)


def both(one, other):
    def test(row, row_id):
        a, b = one(row, row_id), other(row, row_id)
        return False if a is False or b is False else None if a is None or b is None else True

    return test


def negated(one):
    def test(row, row_id):
        known = one(row, row_id)
        return None if known is None else not known

    return test


@st.composite
def leaves(draw):
    a, b = sorted((draw(st.integers(-2, 4000)), draw(st.integers(-2, 4000))))
    m, v, word = draw(st.integers(2, 9)), draw(st.integers(0, 6)), draw(st.sampled_from(WORDS[1:]))
    return draw(st.sampled_from([
        (f"id % {m} = {v % m}", lifted(lambda row: row["id"] % m == v % m, "id")), (f"id BETWEEN {a} AND {b}", lifted(lambda row: a <= row["id"] <= b, "id")),
        ("n IS NULL", lambda row, row_id: row["n"] is None), (f"n = {v}", lifted(lambda row: row["n"] == v, "n")), (f"n <> {v}", lifted(lambda row: row["n"] != v, "n")),
        (f"n IN ({v}, {v + 2})", lifted(lambda row: row["n"] in (v, v + 2), "n")), ("s LIKE 'a%'", lifted(lambda row: row["s"].startswith("a"), "s")),
        (f"s < '{word.replace(chr(39), chr(39) * 2)}'", lifted(lambda row: row["s"].encode() < word.encode(), "s")), (f"_rowid >= {a}", lambda row, row_id: row_id >= a),
        (f"_rowid < {v}", lambda row, row_id: row_id < v), ("vector IS NULL", lambda row, row_id: row["vector"] is None), ("true", lambda row, row_id: True),
    ]))  # fmt: skip


@st.composite
def filters(draw):
    sql, test = draw(leaves())
    for _ in range(draw(st.integers(0, 2))):
        kind, (other_sql, other) = draw(st.sampled_from(["and", "or", "not"])), draw(leaves())
        if kind == "not":
            sql, test = f"NOT ({sql})", negated(test)
        elif kind == "and":
            sql, test = f"({sql}) AND ({other_sql})", both(test, other)
        else:
            sql, test = f"({sql}) OR ({other_sql})", negated(both(negated(test), negated(other)))
    return sql, test


SEEDS = st.integers(0, 2**20)


def some_rows(seed, ids):
    dice = random.Random(seed)

    def vector():
        return None if dice.random() < 0.05 else [dice.randrange(-64, 64) / 4 for _ in range(DIM)]

    return [{"id": id_, "n": dice.choice([None, *range(7)]), "s": dice.choice(WORDS), "vector": vector()} for id_ in ids]


class State:
    """What one version of the table has. Rows are never changed in place."""

    def __init__(self, rows, columns):
        self.rows, self.columns = dict(rows), columns

    def copy(self):
        return State(self.rows, self.columns)


OTHER_PROCESS = """
import json, sys, kith
uri, operation, argument = json.load(sys.stdin)
table = kith.connect(uri)["t"]
if operation == "delete":
    table.delete(argument)
elif operation == "add":
    table.add(argument)
else:
    table.upsert(argument)
print(len(table))
"""


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="kith-machine-", dir=shared)
        self.streams = []

    def teardown(self):
        try:
            if hasattr(self, "state"):
                self.everything_is_as_it_should_be()
                self.reopen(0)
                self.everything_is_as_it_should_be()
                assert self.tables[0].verify() >= 0
                self.streams_give_what_they_began_with()
        finally:
            self.streams = self.tables = None
            shutil.rmtree(self.folder)

    @initialize(keyed=st.booleans(), count=st.sampled_from([0, 1, 5, 299, 2000]), seed=SEEDS, index=st.booleans(), versions=st.sampled_from([None, None, "off", 5]))
    def create(self, keyed, count, seed, index, versions):
        self.keyed = keyed
        self.state, self.next_row, self.next_key, self.version = State({}, ("id", "n", "s", "vector")), 0, 0, 1
        rows = some_rows(seed, self.new_keys(count))
        self.tables = [kith.connect(self.folder).create_table(
            "t", pa.Table.from_pylist(rows, SCHEMA), key="id" if keyed else None, auto_index=index, index_params={"threshold": THRESHOLD}, versions=versions,
        )]  # fmt: skip
        self.append(rows)
        self.history, self.tags = {1: self.state.copy()}, {}

    # ---- the model

    def new_keys(self, count):
        self.next_key += count
        return range(self.next_key - count, self.next_key)

    def full(self, row):
        return {name: row.get(name) for name in self.state.columns}

    def append(self, rows):
        for row in rows:
            self.state.rows[self.next_row] = self.full(row)
            self.next_row += 1

    def changed(self, version):
        self.version += 1
        assert version == self.version
        self.history[version] = self.state.copy()

    def chosen(self, test):
        return [row_id for row_id, row in sorted(self.state.rows.items()) if test(row, row_id) is True]

    def table(self, handle):
        return self.tables[handle % len(self.tables)]

    def ids_for(self, dice, count):
        """Ids for data: there already, or new."""
        there = [row["id"] for row in self.state.rows.values() if row["id"] is not None]
        return [dice.choice(there) if there and dice.random() < 0.5 else self.new_keys(1)[0] for _ in range(count)]

    # ---- rows in

    @rule(handle=SEEDS, seed=SEEDS, count=st.sampled_from([1, 1, 2, 7, 40, 1200, 3000]))
    def add(self, handle, seed, count):
        rows = some_rows(seed, self.new_keys(count))
        done = self.table(handle).add(rows if seed % 2 else pa.Table.from_pylist(rows, SCHEMA))
        self.append(rows)
        self.changed(done.version)

    @rule(handle=SEEDS, seed=SEEDS, count=st.sampled_from([10, 70]))
    def add_one_by_one(self, handle, seed, count):
        for i, row in enumerate(some_rows(seed, self.new_keys(count))):
            done = self.table(handle + i).add([row])
            self.append([row])
            self.changed(done.version)

    @rule(handle=SEEDS, seed=SEEDS)
    def add_once(self, handle, seed):
        rows, key = some_rows(seed, self.new_keys(2)), f"add {self.next_key}"
        version = self.table(handle).add(rows, idempotency_key=key).version
        self.append(rows)
        self.changed(version)
        assert self.table(handle + 1).add(rows, idempotency_key=key).version == version

    @rule(handle=SEEDS, seed=SEEDS)
    def overwrite(self, handle, seed):
        rows = some_rows(seed, self.new_keys(seed % 400))
        done = self.table(handle).add(pa.Table.from_pylist(rows, SCHEMA), mode="overwrite")
        if self.state.columns != tuple(SCHEMA.names):  # the columns are those of the table, or of the data
            self.state.columns = tuple(self.table(handle).schema.names)
            assert self.state.columns in (tuple(SCHEMA.names), (*SCHEMA.names, "x"))
        self.state.rows = {}
        self.append(rows)
        self.changed(done.version)

    @rule(handle=SEEDS, seed=SEEDS)
    def add_what_is_refused(self, handle, seed):
        bad = [{"id": self.next_key, "vector": [1.0]}] if seed % 2 else [{"id": "text"}]
        there = list(self.state.rows.values())
        if self.keyed and there and seed % 3:
            bad = [{"id": self.next_key}, {"id": there[seed % len(there)]["id"]}]
        with pytest.raises(ValueError):
            self.table(handle).add(bad)

    # ---- rows changed

    @rule(handle=SEEDS, where=filters())
    def delete(self, handle, where):
        gone = self.chosen(where[1])
        done = self.table(handle).delete(where[0])
        assert done.num_deleted_rows == len(gone), where[0]
        for row_id in gone:
            del self.state.rows[row_id]
        self.changed(done.version) if gone else None

    @rule(handle=SEEDS, seed=SEEDS)
    def delete_rows(self, handle, seed):
        dice = random.Random(seed)
        ids = [dice.randrange(self.next_row + 3) for _ in range(dice.choice([1, 3, 100]))]
        gone = set(ids) & self.state.rows.keys()
        done = self.table(handle).delete(row_ids=ids)
        assert done.num_deleted_rows == len(gone)
        for row_id in gone:
            del self.state.rows[row_id]
        self.changed(done.version) if gone else None

    @rule(handle=SEEDS, where=filters(), seed=SEEDS)
    def update(self, handle, where, seed):
        dice = random.Random(seed)
        values = some_rows(seed, [0])[0]
        kinds = [
            ({"values": {"s": values["s"]}}, lambda row: {"s": values["s"]}), ({"values": {"vector": values["vector"], "n": values["n"]}}, lambda row: {"vector": values["vector"], "n": values["n"]}),
            ({"values_sql": {"n": "n + 1", "s": "coalesce(s, '') || 'x'"}}, lambda row: {"n": None if row["n"] is None else row["n"] + 1, "s": (row["s"] or "") + "x"}),
        ]  # fmt: skip
        how, new = dice.choice(kinds)
        rows = self.chosen(where[1])
        done = self.table(handle).update(where[0], **how)
        assert done.rows_updated == len(rows), where[0]
        self.append([{**row, **new(row)} for row in map(self.state.rows.pop, rows)])
        self.changed(done.version) if rows else None

    @rule(handle=SEEDS, seed=SEEDS, count=st.sampled_from([1, 5, 300, 2000]), update=st.booleans(), insert=st.booleans(), delete=st.sampled_from([None, "n = 3", "true"]), part=st.booleans())
    def merge(self, handle, seed, count, update, insert, delete, part):
        if not (update or insert or delete):
            return
        dice = random.Random(seed)
        data = some_rows(seed, sorted(set(self.ids_for(dice, count)), key=lambda id_: hash((id_, seed))))
        data = [{"id": row["id"], "n": row["n"]} for row in data] if part else data
        merge = self.table(handle).merge_insert("id")
        merge = merge.when_matched_update_all("source.n > 1") if update else merge
        merge = merge.when_not_matched_insert_all() if insert else merge
        merge = merge.when_not_matched_by_source_delete(delete) if delete else merge
        done = merge.execute(data)
        self.merged(data, done, (lambda row: (row["n"] or 0) > 1) if update else None, insert, delete)

    def merged(self, data, done, update, insert, delete):
        source = {row["id"]: row for row in data}
        there = {row["id"] for row in self.state.rows.values()}
        matched = [row_id for row_id, row in sorted(self.state.rows.items()) if row["id"] in source]
        gone = [row_id for row_id, row in self.state.rows.items() if row["id"] not in source and (delete == "true" or (delete and row["n"] == 3))]
        updated = [row_id for row_id in matched if update and update(source[self.state.rows[row_id]["id"]])]
        new = [row for row in source.values() if insert and row["id"] not in there]
        assert (done.num_updated_rows, done.num_inserted_rows, done.num_deleted_rows) == (len(updated), len(new), len(gone))
        for row_id in gone:
            del self.state.rows[row_id]
        self.append([{**row, **source[row["id"]]} for row in map(self.state.rows.pop, updated)] + new)
        self.changed(done.version) if updated or new or gone else None

    @precondition(lambda self: self.keyed)
    @rule(handle=SEEDS, seed=SEEDS, count=st.sampled_from([1, 4, 50, 1500]))
    def upsert(self, handle, seed, count):
        data = some_rows(seed, self.ids_for(random.Random(seed), count))
        done = self.table(handle).upsert(data)
        self.merged(data, done, lambda row: True, True, None)

    # ---- columns

    @rule(handle=SEEDS)
    def add_or_drop_a_column(self, handle):
        if "x" in self.state.columns:
            done = self.table(handle).drop_columns(["x"])
            self.state.columns = tuple(name for name in self.state.columns if name != "x")
            self.state.rows = {row_id: self.full(row) for row_id, row in self.state.rows.items()}
        else:
            done = self.table(handle).add_columns({"x": "n * 2 + id"})
            self.state.columns += ("x",)
            known = lifted(lambda row: row["n"] * 2 + row["id"], "n", "id")
            self.state.rows = {row_id: {**row, "x": known(row, row_id)} for row_id, row in self.state.rows.items()}
        self.changed(done.version)

    # ---- versions

    @rule(handle=SEEDS, seed=SEEDS)
    def read_an_old_version(self, handle, seed):
        table = self.table(handle)
        version = random.Random(seed).choice([one["version"] for one in table.list_versions()])
        table.checkout(version)
        try:
            assert table.version == version
            self.is_as(table, self.history[version])
            with pytest.raises(ValueError, match="checked out"):
                table.delete("true")
        finally:
            table.checkout_latest()

    @rule(handle=SEEDS, seed=SEEDS, checked_out=st.booleans())
    def restore(self, handle, seed, checked_out):
        table = self.table(handle)
        version = random.Random(seed).choice([one["version"] for one in table.list_versions()])
        if checked_out:
            table.checkout(version)
        table.restore(None if checked_out else version)
        self.state = self.history[version].copy()
        self.changed(table.version)

    @rule(handle=SEEDS, seed=SEEDS, name=st.sampled_from(["a", "b", "ü"]))
    def tag(self, handle, seed, name):
        table = self.table(handle)
        version = random.Random(seed).choice([one["version"] for one in table.list_versions()])
        if name not in self.tags:
            with pytest.raises(errors.NotFoundError):
                table.tags.update(name, version)
            table.tags.create(name, version)
            self.tags[name] = version
        elif seed % 3 == 0:
            table.tags.delete(name)
            del self.tags[name]
        else:
            with pytest.raises(errors.ExistsError):
                table.tags.create(name, version)
            table.tags.update(name, version)
            self.tags[name] = version
        assert {name: tag["version"] for name, tag in self.table(handle + 1).tags.list().items()} == self.tags

    # ---- indexes

    @precondition(lambda self: len(self.state.rows) >= 16)
    @rule(handle=SEEDS, kind=st.sampled_from([None, "IVF_RQ", "IVF_FLAT", "IVF_SQ", "IVF_PQ"]), partitions=st.sampled_from([1, 4, 16]))
    def build_index(self, handle, kind, partitions):
        sub_vectors = {"num_sub_vectors": 2} if kind == "IVF_PQ" else {}
        self.table(handle).create_index(num_partitions=partitions, index_type=kind, **sub_vectors)

    @rule(handle=SEEDS, column=st.sampled_from(["id", "n", "s"]), kind=st.sampled_from(["BTREE", "BITMAP"]))
    def build_scalar_index(self, handle, column, kind):
        self.table(handle).create_scalar_index(column, kind)

    @rule(handle=SEEDS, seed=SEEDS)
    def drop_an_index(self, handle, seed):
        indexes = self.table(handle).list_indices()
        if indexes:
            self.table(handle).drop_index(indexes[seed % len(indexes)].name)

    @rule(handle=SEEDS, how=st.sampled_from([{}, {"cleanup_older_than": dt.timedelta(0), "delete_unverified": True}, {"retrain": True}]))
    def optimize(self, handle, how):
        table = self.table(handle)
        table.optimize(**how)
        assert all(index.num_unindexed_rows == 0 for index in table.list_indices())
        if "cleanup_older_than" in how:
            assert {one["version"] for one in table.list_versions()} == {self.version, *self.tags.values()}

    # ---- rows out

    @rule(handle=SEEDS, where=filters())
    def count(self, handle, where):
        assert self.table(handle).count_rows(where[0]) == len(self.chosen(where[1])), where[0]

    @rule(handle=SEEDS, where=filters(), limit=st.integers(1, 50), offset=st.integers(0, 20), ordered=st.booleans())
    def scan(self, handle, where, limit, offset, ordered):
        query = self.table(handle).search().where(where[0]).limit(limit).offset(offset).with_row_id()
        rows = self.chosen(where[1])
        if ordered:
            query.order_by("n desc")
            rows.sort(key=lambda row_id: (self.state.rows[row_id]["n"] is None, -(self.state.rows[row_id]["n"] or 0), row_id))
        wanted = [{**self.state.rows[row_id], "_rowid": row_id} for row_id in rows[offset : offset + limit]]
        assert query.to_list() == wanted, where[0]

    @rule(handle=SEEDS, seed=SEEDS)
    def take(self, handle, seed):
        dice = random.Random(seed)
        ids = sorted(dice.randrange(self.next_row + 2) for _ in range(20))
        wanted = [self.state.rows[row_id] for row_id in ids if row_id in self.state.rows]
        assert self.table(handle).take_row_ids(ids).to_list() == wanted
        offsets = sorted(dice.randrange(len(self.state.rows) + 2) for _ in range(20))
        in_order = [row for _, row in sorted(self.state.rows.items())]
        assert self.table(handle).take_offsets(offsets).to_list() == [in_order[at] for at in offsets if at < len(in_order)]

    @precondition(lambda self: self.keyed)
    @rule(handle=SEEDS, seed=SEEDS)
    def get(self, handle, seed):
        dice = random.Random(seed)
        keys = list(dict.fromkeys(dice.randrange(self.next_key + 3) for _ in range(dice.choice([1, 5, 500]))))
        by_key = {row["id"]: row for row in self.state.rows.values()}
        assert self.table(handle).get(keys).to_list() == [by_key[key] for key in keys if key in by_key]

    @rule(handle=SEEDS, seed=SEEDS, k=st.sampled_from([1, 10, 64]), where=st.none() | filters(), exact=st.booleans())
    def search(self, handle, seed, k, where, exact):
        there = {row_id: row["vector"] for row_id, row in self.state.rows.items() if row["vector"] is not None}
        admitted = there if where is None else {row_id: there[row_id] for row_id in self.chosen(where[1]) if row_id in there}
        if not there:
            return
        own = random.Random(seed).choice(sorted(admitted or there))
        query = self.table(handle).search(there[own]).limit(k).with_row_id()
        query = query.where(where[0]) if where else query
        found = (query.bypass_vector_index() if exact else query).to_list()
        said = f"{where and where[0]}, {len(admitted)} admitted of {len(there)}"
        assert len(found) == min(k, len(admitted)), said
        ids, distances = [row["_rowid"] for row in found], [row["_distance"] for row in found]
        assert len(set(ids)) == len(ids) and set(ids) <= admitted.keys() and distances == sorted(distances), said
        true = {row_id: float(np.sum((np.subtract(vector, there[own])) ** 2)) for row_id, vector in admitted.items()}
        assert distances == [true[row_id] for row_id in ids], said
        if admitted:
            assert distances[0] == 0, said
        if exact:
            assert distances == sorted(true.values())[:k], said

    @rule(handle=SEEDS)
    def open_a_stream(self, handle):
        if len(self.streams) < 4:
            self.streams.append((pa.RecordBatchReader.from_stream(self.table(handle).search().with_row_id()), self.state.copy()))

    @rule()
    def streams_give_what_they_began_with(self):
        for reader, state in self.streams:
            assert reader.read_all().to_pylist() == [{**row, "_rowid": row_id} for row_id, row in sorted(state.rows.items())]
        self.streams = []

    # ---- handles and processes

    @rule(keep=st.integers(0, 2))
    def reopen(self, keep):
        self.tables = [*self.tables[:keep], kith.connect(self.folder)["t"]]

    @rule(handle=SEEDS, seed=SEEDS, where=filters())
    def a_forked_child_writes(self, handle, seed, where):
        table, gone, rows = self.table(handle), self.chosen(where[1]), some_rows(seed, self.new_keys(2))
        left = len(self.state.rows) - len(gone)

        def work():
            table.add(rows)
            return table.delete(f"({where[0]}) AND _rowid < {self.next_row}").num_deleted_rows == len(gone) and len(table) == left + 2

        assert in_child(work)
        self.append(rows)
        self.version += 1
        self.history[self.version] = self.state.copy()
        for row_id in gone:
            del self.state.rows[row_id]
        self.changed(self.table(handle).version) if gone else None

    @rule(seed=SEEDS, kind=st.sampled_from(["add", "delete", "upsert"]), where=filters())
    def another_process_writes(self, seed, kind, where):
        if kind == "upsert" and not self.keyed:
            return
        rows, gone = some_rows(seed, self.new_keys(3)), self.chosen(where[1]) if kind == "delete" else []
        given = json.dumps([self.folder, kind, where[0] if kind == "delete" else rows])
        told = subprocess.run([sys.executable, "-c", OTHER_PROCESS], input=given, capture_output=True, text=True, timeout=120)
        assert told.returncode == 0, told.stderr
        for row_id in gone:
            del self.state.rows[row_id]
        self.append([] if kind == "delete" else rows)
        assert int(told.stdout) == len(self.state.rows)
        self.changed(self.tables[0].version) if gone or kind != "delete" else None

    # ---- what always holds

    def is_as(self, table, state):
        rows = table.search().with_row_id().to_list()
        assert rows == [{**row, "_rowid": row_id} for row_id, row in sorted(state.rows.items())]
        assert tuple(table.schema.names) == state.columns and len(table) == len(state.rows)

    def everything_is_as_it_should_be(self):
        for table in self.tables:
            self.is_as(table, self.state)
            assert table.version == self.version
        told = {one["version"]: int(one["metadata"]["rows"]) for one in self.tables[0].list_versions()}
        assert told == {version: len(self.history[version].rows) for version in told} and max(told) == self.version
        assert set(self.tags.values()) <= told.keys()

    @invariant()
    def small_tables_are_as_they_should_be(self):
        if hasattr(self, "state") and len(self.state.rows) <= 400:
            self.everything_is_as_it_should_be()
        elif hasattr(self, "state"):
            assert [len(table) for table in self.tables] == [len(self.state.rows)] * len(self.tables)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_table_is_as_the_model_says():
    most = settings().max_examples * 2 // 3  # some 30 s by the fast profile of conftest.py
    run_state_machine_as_test(Machine, settings=settings(max_examples=most, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)))
