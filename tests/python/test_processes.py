"""Several processes, forked children, threads, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import kith
from conftest import distances

APPENDER = """
import sys, kith
db, who, count = kith.connect(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
table = db["t"]
for i in range(count):
    table.add([{"who": who, "n": i, "vector": [float(who), float(i)]}])
"""


def test_two_processes_append_and_lose_nothing(db):
    table = db.create_table("t", [{"who": 0, "n": 0, "vector": [0.0, 0.0]}])
    children = [subprocess.Popen([sys.executable, "-c", APPENDER, db.uri, str(who), "60"]) for who in (1, 2)]
    while any(child.poll() is None for child in children):
        rows = table.to_list()  # a reader meanwhile sees whole rows in order
        for who in (1, 2):
            numbers = [row["n"] for row in rows if row["who"] == who]
            assert numbers == list(range(len(numbers)))
        time.sleep(0.02)
    assert [child.returncode for child in children] == [0, 0]
    assert len(table) == 121 and table.version == 121
    assert sorted(row["_rowid"] for row in table.search().with_row_id().to_list()) == list(range(121))
    assert len(table.search([1.0, 5.0]).limit(200).to_list()) == 121


def test_two_processes_create_one_table(tmp_path):
    code = "import sys, kith\ntry: kith.connect(sys.argv[1]).create_table('t', [{'x': 1}]); print('made')\nexcept kith.errors.ExistsError: print('exists')"
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sorted(child.communicate()[0].strip() for child in children) == ["exists"] * 3 + ["made"]


def in_child(work):
    """Run work in a forked child; True when it returned True there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_searches_and_writes(db, debian):
    table = db.create_table("t", {"vector": debian.vectors[:3000]}, metric="cosine")
    table.create_index()
    nearest = table.searcher(k=5)
    before = nearest(debian.queries[0])[0].tolist()
    many = nearest(debian.queries)[0]  # the thread pool is awake now

    def search():
        found = [row["_rowid"] for row in table.search(debian.queries[0]).limit(5).with_row_id().to_list()]
        return nearest(debian.queries[0])[0].tolist() == before and set(found) & set(before) and (nearest(debian.queries)[0] == many).all()

    def write():
        table.add({"vector": debian.queries[:1]})
        return len(table) == 3001

    def build():
        table.create_index(replace=True)
        return len(table.search(debian.queries[0]).to_list()) == 10

    assert search()
    for work in (search, write, build):
        assert in_child(work)
    assert len(table) == 3001
    assert nearest(debian.queries[0])[0][0] == 3000


def test_threads_share_one_handle(db, debian):
    table = db.create_table("t", {"vector": debian.vectors[:2000]}, metric="cosine")
    wanted = [[row["_distance"] for row in table.search(query).select([]).to_list()] for query in debian.queries[:8]]
    nearest = table.searcher()
    failures = []

    def work(number):
        try:
            for _ in range(20):
                i = number % 8
                assert [row["_distance"] for row in table.search(debian.queries[i]).select([]).to_list()] == wanted[i]
                assert nearest(debian.queries[i])[1].tolist() == wanted[i]
                if number == 0:
                    table.add({"vector": -debian.vectors[:1]})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(table) == 2020


def test_other_threads_run_while_the_library_works(db):
    vectors = np.random.default_rng(3).standard_normal((60_000, 128)).astype("f4")
    table = db.create_table("t", {"vector": vectors}, auto_index=False)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        table.create_index(num_partitions=64)
    finally:
        done.set()
        thread.join()
    assert max(np.diff(ticks), default=0) < 1.0


BUILDER = """
import os, signal, sys, threading, time
import numpy as np, kith
table = kith.connect(sys.argv[1])["t"]
sent = []
def stop():
    time.sleep(float(sys.argv[2]))
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()
try:
    table.create_index(num_partitions=1024, max_iterations=50, sample_rate=256)
except KeyboardInterrupt:
    print("stopped", time.perf_counter() - sent[0])
else:
    print("finished", 0)
print(len(table.list_indices()), len(table), len(table.search(np.ones(128)).to_list()))
"""


@pytest.mark.parametrize("delay", [0.05, 0.3])
def test_ctrl_c_stops_a_build_and_leaves_the_table_as_it_was(db, delay):
    vectors = np.random.default_rng(4).standard_normal((100_000, 128)).astype("f4")
    table = db.create_table("t", {"vector": vectors}, auto_index=False)
    out = subprocess.run([sys.executable, "-c", BUILDER, db.uri, str(delay)], capture_output=True, text=True, timeout=300)
    word, seconds, *rest = out.stdout.split()
    assert word == "stopped", out.stdout + out.stderr
    assert float(seconds) < 1.0  # 0.25 s on a quiet machine
    assert rest == ["0", "100000", "10"]
    assert table.version == 1 and table.verify() >= 0 and len(os.listdir(os.path.join(db.uri, "t.kith"))) > 0


def test_a_callback_stops_a_build(db):
    vectors = np.random.default_rng(5).standard_normal((20_000, 64)).astype("f4")
    table = db.create_table("t", {"vector": vectors}, auto_index=False)
    stages = []

    def stop(stage, done, total):
        stages.append(stage)
        return False

    with pytest.raises(kith.errors.CancelledError):
        table.create_index(num_partitions=128, progress=stop)
    assert stages and table.list_indices() == []

    class Mine(Exception):
        pass

    def fail(stage, done, total):
        raise Mine

    with pytest.raises(Mine):
        table.create_index(num_partitions=128, progress=fail)
    told = []
    table.create_index(num_partitions=128, progress=lambda *step: told.append(step))
    assert {stage for stage, _, _ in told} == {"train", "assign", "encode", "calibrate"}
    assert all(total == 0 or done <= total for _, done, total in told)
    assert len(table.list_indices()) == 1


def test_progress_shows_a_bar_or_a_line(db, capsys, monkeypatch):
    table = db.create_table("t", {"vector": np.random.default_rng(6).standard_normal((5_000, 32)).astype("f4")})

    class Bar:
        n, total = 0, None
        updates = 0

        def update(self, more):
            self.n += more
            Bar.updates += 1

    table.create_index(num_partitions=16, progress=Bar())
    assert Bar.updates
    table.create_index(num_partitions=16, progress=True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    table.create_index(num_partitions=16, progress=True)
    assert capsys.readouterr().err


def test_exact_distances_do_not_depend_on_threads(db):
    vectors = np.random.default_rng(7).standard_normal((5_000, 33)).astype("f4")
    table = db.create_table("t", {"vector": vectors})
    queries = vectors[:64] + 0.01
    one, all_cores = table.searcher(threads=1)(queries), table.searcher(threads=0)(queries)
    assert (one[0] == all_cores[0]).all() and (one[1] == all_cores[1]).all()
    for i in range(3):
        assert one[0][i].tolist() == np.argsort(distances(vectors, queries[i], "l2"))[:10].tolist()


CHANGER = """
import json, random, sys, kith

def change(table, who):
    dice, mine = random.Random(who), {}
    def row():
        return {"id": f"{who}-{dice.randrange(60)}", "who": who, "n": dice.randrange(1000), "vector": [float(who), float(dice.randrange(9))]}
    for step in range(70):
        kind = dice.choice(["upsert", "upsert", "delete", "update", "merge", "optimize" if step % 20 == 0 else "flip"])
        if kind == "upsert":
            rows = list({one["id"]: one for one in (row() for _ in range(dice.choice([1, 3, 20])))}.values())
            table.upsert(rows)
            mine.update((one["id"], one) for one in rows)
        elif kind == "merge":
            rows = list({one["id"]: one for one in (row() for _ in range(5))}.values())
            done = table.merge_insert("id").when_not_matched_insert_all().execute(rows)
            new = [one for one in rows if one["id"] not in mine]
            assert done.num_inserted_rows == len(new), (done, len(new))
            mine.update((one["id"], one) for one in new)
        elif kind == "delete":
            limit = dice.randrange(300)
            gone = [key for key, one in mine.items() if one["n"] < limit]
            assert table.delete("who = ? AND n < ?", [who, limit]).num_deleted_rows == len(gone)
            for key in gone:
                del mine[key]
        elif kind == "update":
            changed = [one for one in mine.values() if one["n"] % 3 == 0]
            assert table.update(f"who = {who} AND n % 3 = 0", values_sql={"n": "n + 1"}).rows_updated == len(changed)
            for one in changed:
                mine[one["id"]] = dict(one, n=one["n"] + 1)
        elif kind == "optimize":
            table.optimize()
        else:
            assert table.update("who = -1", values_sql={"n": "-n"}).rows_updated == 2  # both at once, or none
    return mine

if __name__ == "__main__":
    print(json.dumps(change(kith.connect(sys.argv[1])["t"], int(sys.argv[2]))))
"""

PAIR = [{"id": "plus", "who": -1, "n": 5, "vector": [0.0, 0.0]}, {"id": "minus", "who": -1, "n": -5, "vector": [0.0, 0.0]}]


def look(table):
    """What a reader sees meanwhile is whole."""
    rows = table.search().select(["id", "who", "n"]).to_list()
    assert len({row["id"] for row in rows}) == len(rows) and sum(row["n"] for row in rows if row["who"] == -1) == 0
    assert len(table.search([1.0, 1.0]).limit(50).to_list()) >= 2
    time.sleep(0.01)


def holds(table, told):
    assert {row["id"]: row for row in table.to_list() if row["who"] != -1} == {key: row for one in told for key, row in one.items()}
    assert table.verify() >= 0


def test_processes_change_one_table_and_lose_nothing(db):
    table = db.create_table("t", PAIR, key="id", index_params={"threshold": 100})
    children = [subprocess.Popen([sys.executable, "-c", CHANGER, db.uri, str(who)], stdout=subprocess.PIPE, text=True) for who in (1, 2, 3)]
    try:
        while any(child.poll() is None for child in children):
            look(table)
        told = [child.communicate()[0] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0, 0]
    holds(kith.connect(db.uri)["t"], map(json.loads, told))


@pytest.mark.parametrize("shared", [True, False])
def test_threads_change_one_table_and_lose_nothing(db, shared):
    table = db.create_table("t", PAIR, key="id", index_params={"threshold": 100})
    names = {"__name__": "changer"}
    exec(CHANGER, names)
    told, failures = [], []

    def work(who):
        try:
            told.append(names["change"](table if shared else kith.connect(db.uri)["t"], who))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(1, 6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        look(table)
    assert not failures
    holds(table, told)
