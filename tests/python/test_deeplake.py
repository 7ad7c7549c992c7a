"""Deep Lake's vector store over Kith: what 3.9 gives and raises, held to numpy and to its documentation."""

import os
import subprocess
import sys
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kith
from kith.deeplake import exceptions as errors

DIM = 16
METRICS = ("COS", "L2", "L1", "MAX", "DOT")


def scores(vectors, query, metric):
    """Deep Lake's scores by the definition."""
    rows, one = np.asarray(vectors, "f8"), np.asarray(query, "f8")
    if metric == "COS":
        return rows @ one / (np.linalg.norm(rows, axis=1) * np.linalg.norm(one))
    if metric == "DOT":
        return rows @ one
    return np.linalg.norm(rows - one, axis=1, ord={"L2": 2, "L1": 1, "MAX": np.inf}[metric])


def nearest(vectors, query, metric, k, admitted=None):
    found = scores(vectors, query, metric)
    order = np.argsort(-found if metric in ("COS", "DOT") else found, kind="stable")
    if admitted is not None:
        order = [row for row in order if admitted[row]]
    return list(order[:k]), found[order[:k]]


class Data:
    def __init__(self, rows=200, dim=DIM, seed=7):
        rng = np.random.default_rng(seed)
        self.vectors = rng.standard_normal((rows, dim)).astype("f4")
        self.texts = [f"text {row}" for row in range(rows)]
        self.metadata = [{"n": row, "group": row % 5, "source": f"file {row % 3}.txt", "odd": row % 2 == 1} for row in range(rows)]
        self.ids = [f"id-{row}" for row in range(rows)]

    def into(self, store, rows=slice(None)):
        return store.add(
            text=self.texts[rows], metadata=self.metadata[rows], embedding=self.vectors[rows], id=self.ids[rows], return_ids=True
        )


@pytest.fixture(params=["disk", "memory"])
def path(request, tmp_path):
    return str(tmp_path / "store") if request.param == "disk" else f"mem://{uuid.uuid4()}"


@pytest.fixture
def data():
    return Data()


@pytest.fixture
def store(path, data):
    made = kith.VectorStore(path)
    data.into(made)
    return made


def again(path, **options):
    """Another handle on a store that is held: by its folder, or in memory by its name."""
    if path.startswith("mem"):
        return kith.VectorStore(dataset=kith.deeplake.load(path), **options)
    return kith.VectorStore(path, **options)


def rows_of(answer):
    return [int(text.split()[1]) for text in answer["text"]]


# ---- what is stored and found


def test_what_was_added_is_there_and_comes_back(store, data, path):
    assert len(store) == 200 and kith.VectorStore is kith.deeplake.VectorStore
    answer = store.search(embedding=data.vectors[7])
    assert list(answer) == ["score", "text", "metadata", "id"] and {len(column) for column in answer.values()} == {4}
    assert answer["text"][0] == "text 7" and answer["metadata"][0] == data.metadata[7] and answer["id"][0] == "id-7"
    assert isinstance(answer["score"][0], float) and isinstance(answer["text"][0], str) and type(answer["metadata"][0]) is dict
    everything = store.search(embedding=data.vectors[7], k=1, return_tensors="*")
    assert list(everything) == ["score", "text", "metadata", "embedding", "id"]
    assert everything["embedding"][0].dtype == np.float32 and np.array_equal(everything["embedding"][0], data.vectors[7])
    assert list(store.search(embedding=data.vectors[7], return_tensors=["id"])) == ["score", "id"]
    other = again(path)
    assert len(other) == 200 and other.search(embedding=data.vectors[9], k=1)["id"] == ["id-9"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("option", ["auto", "python", "compute_engine", "tensor_db"])
def test_every_metric_gives_the_rows_and_scores_of_the_definition(store, data, metric, option):
    rng = np.random.default_rng(1)
    for query in rng.standard_normal((5, DIM)).astype("f4"):
        rows, expected = nearest(data.vectors, query, metric, 6)
        answer = store.search(embedding=query, k=6, distance_metric=metric.lower(), exec_option=option)
        assert rows_of(answer) == rows
        np.testing.assert_allclose(answer["score"], expected, rtol=1e-6)


@pytest.mark.parametrize("metric, own", [("COS", 1.0), ("L2", 0.0), ("L1", 0.0), ("MAX", 0.0)])
def test_a_vector_has_exactly_one_or_zero_to_itself(store, data, metric, own):
    for row in range(0, 200, 3):
        answer = store.search(embedding=data.vectors[row], k=1, distance_metric=metric)
        assert answer["score"] == [own] and answer["id"] == [f"id-{row}"]


def test_scores_are_in_order_even_where_float32_sees_ties(path):
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal(DIM) + rng.standard_normal((50, DIM)) * 1e-6).astype("f4")
    store = kith.VectorStore(path, tensor_params=[{"name": "embedding", "htype": "embedding"}])
    store.add(embedding=vectors)
    for metric in METRICS:
        found = store.search(embedding=vectors[0], k=50, distance_metric=metric)["score"]
        assert found == sorted(found, reverse=metric in ("COS", "DOT"))


def test_k_is_what_is_asked_for_or_what_there_is(store, data):
    assert len(store.search(embedding=data.vectors[0], k=1000)["id"]) == 200
    assert store.search(embedding=data.vectors[0], k=0) == {"score": [], "text": [], "metadata": [], "id": []}
    with pytest.raises(ValueError):
        store.search(embedding=data.vectors[0], k=-1)


def test_a_matrix_of_queries_gives_a_list_of_answers(store, data):
    for metric in METRICS:
        answers = store.search(embedding=data.vectors[:3], k=4, distance_metric=metric)
        assert answers == [store.search(embedding=one, k=4, distance_metric=metric) for one in data.vectors[:3]]
    few = store.search(embedding=data.vectors[:2], k=4, filter={"id": ["id-3"]})
    assert [one["id"] for one in few] == [["id-3"], ["id-3"]]
    assert store.search(embedding=data.vectors[:1], k=1)["id"] == ["id-0"]  # one row is one query


def test_a_zero_vector_is_like_none(path):
    store = kith.VectorStore(path)
    store.add(text=["zero", "one"], metadata=[{}, {}], embedding=[[0.0, 0.0], [1.0, 0.0]])
    answer = store.search(embedding=[1.0, 0.0], k=2)
    assert answer["text"] == ["one", "zero"] and answer["score"] == [1.0, 0.0]
    assert store.search(embedding=[0.0, 0.0], k=2)["score"] == [0.0, 0.0]


# ---- filters


def test_dicts_ask_for_members_values_and_lists(store, data):
    def found(filter):
        return rows_of(store.search(filter=filter))

    assert found({"metadata": {"n": 12}}) == [12]
    assert found({"metadata": {"group": 3, "source": "file 1.txt"}}) == [row for row in range(200) if row % 5 == 3 and row % 3 == 1]
    assert found({"metadata": {"odd": True}}) == list(range(1, 200, 2)) == found({"metadata": {"odd": 1}})
    assert found({"metadata": {"n": 12.0}}) == [12] and found({"metadata": {"n": "12"}}) == []
    assert found({"metadata": {"nothing": 1}}) == [] and found({"metadata": {"source": None}}) == []
    assert found({"text": ["text 5", "text 2", "no"]}) == [2, 5] and found({"text": "text 5"}) == [5]
    assert found({"id": ["id-5"], "metadata": {"n": 5}}) == [5] and found({"id": []}) == []
    assert found({}) == list(range(200))


def test_a_filter_narrows_a_search(store, data):
    admitted = [row % 5 == 3 for row in range(200)]
    for filter in (
        {"metadata": {"group": 3}},
        lambda sample: sample["metadata"].data()["value"]["group"] == 3,
        lambda sample: sample.metadata.dict()["group"] == 3 and sample.text.numpy()[0].startswith("text"),
        {"id": [f"id-{row}" for row in range(200) if row % 5 == 3]},
    ):
        for metric in METRICS:
            rows, expected = nearest(data.vectors, data.vectors[0], metric, 5, admitted)
            answer = store.search(embedding=data.vectors[0], k=5, distance_metric=metric, filter=filter)
            assert rows_of(answer) == rows
    assert store.search(embedding=data.vectors[0], filter={"metadata": {"n": -1}}) == {"score": [], "text": [], "metadata": [], "id": []}


def test_without_a_vector_k_counts_as_in_deep_lake(store):
    assert len(store.search(filter={"metadata": {"odd": True}}, k=3)["id"]) == 100
    assert len(store.search(filter={"metadata": {"odd": True}}, k=3, exec_option="compute_engine")["id"]) == 3
    assert store.search(filter={"metadata": {"odd": True}}, k=0, exec_option="compute_engine")["id"] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.integers(-2, 2) | st.floats(allow_nan=False)
    | st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e300, 2.0**53]) | st.text(max_size=6) | st.sampled_from(['"', "\n", "}\n,\n{", '\n"a":1\n', "a", "é", "\u2028"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(["a", "b", 'q"', "\n", "a.b"]), json_values, max_size=4)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(objects, min_size=1, max_size=6), key=st.sampled_from(["a", "b", 'q"', "\n", "a.b", "c"]), value=json_values)
def test_members_are_equal_when_python_says_so(rows, key, value):
    store = kith.VectorStore("mem://members", overwrite=True)
    store.add(text=[str(row) for row in range(len(rows))], metadata=rows, embedding=None)
    assert store.search(filter={})["metadata"] == rows
    for wanted in [value, *(row[key] for row in rows if key in row)]:
        expected = [row for row in range(len(rows)) if key in rows[row] and rows[row][key] == wanted]
        assert [int(text) for text in store.search(filter={"metadata": {key: wanted}})["text"]] == expected


def test_an_index_over_members_says_the_same(path):
    rows = 3000
    store = kith.VectorStore(path, tensor_params=[{"name": "embedding", "htype": "embedding"}, {"name": "metadata", "htype": "json"}])
    metadata = [{"n": row, "group": row % 7, "half": row / 2, "list": [row % 2]} for row in range(rows)]
    store.add(embedding=np.ones((rows, 2)), metadata=metadata)
    assert [index.columns for index in store.dataset._table.list_indices()] == [["_members_metadata"]]
    store.add(embedding=np.ones((5, 2)), metadata=[{"group": 3}] * 5)
    assert len(store.search(filter={"metadata": {"group": 3}})["id"]) == sum(row % 7 == 3 for row in range(rows)) + 5
    assert [one["n"] for one in store.search(filter={"metadata": {"half": 4}})["metadata"]] == [8]
    assert len(store.search(filter={"metadata": {"group": 0, "list": [1]}})["id"]) == sum(row % 14 == 7 for row in range(rows))
    store.delete(filter={"metadata": {"group": 3}})
    assert len(store) == sum(row % 7 != 3 for row in range(rows))


def test_what_a_filter_must_not_say_is_refused(store, data):
    with pytest.raises(ValueError, match="'nothing' is not present"):
        store.search(filter={"nothing": 1})
    with pytest.raises(ValueError):
        store.search(filter={"embedding": [1.0]})
    for wrong in ("metadata = 1", 3, [1]):
        with pytest.raises(ValueError):
            store.search(filter=wrong)
    with pytest.raises(ValueError):
        store.search(filter={"metadata": 3})
    with pytest.raises(ZeroDivisionError):
        store.search(filter=lambda sample: 1 / 0)


# ---- embedding functions


def letters(texts):
    return [[float(text.count(letter)) for letter in "abcde"] for text in texts]


def letters_of_one(text):
    return letters([text])[0] if isinstance(text, str) else letters(text)


class Embedder:
    def __init__(self):
        self.calls = []

    def embed_documents(self, texts):
        self.calls.append(len(texts))
        return letters(texts)

    def embed_query(self, text):
        return letters([text])[0]


WORDS = ["abba", "cade", "bead"]


@pytest.mark.parametrize("function", [letters_of_one, Embedder(), lambda texts: np.array(letters_of_one(texts))])
def test_texts_are_embedded_by_functions_and_objects(path, function):
    store = kith.VectorStore(path, embedding_function=function)
    store.add(text=WORDS, metadata=[{}] * 3, embedding_data=WORDS)
    assert store.search(embedding_data="cade", k=1)["text"] == ["cade"] and store.search(embedding_data=["cade"], k=1)["score"] == [1.0]
    assert [one["text"] for one in store.search(embedding_data=["abba", "bead"], k=1)] == [["abba"], ["bead"]]
    other = again(path)
    assert other.search(embedding_data="abba", embedding_function=letters_of_one, k=1)["text"] == ["abba"]
    other.add(text=["ee"], metadata=[{}], embedding_function=function, embedding_data=["ee"], embedding_tensor="embedding")
    other.add(text=["dd"], metadata=[{}], embedding=(function, ["dd"]))
    assert other.search(embedding_data="dd", embedding_function=function, k=1)["text"] == ["dd"]


def test_functions_get_five_hundred_texts_a_call(path, capsys):
    function = Embedder()
    store = kith.VectorStore(path, embedding_function=function)
    store.add(text=["ab"] * 1201, metadata=[{}] * 1201, embedding_data=["ab"] * 1201)
    assert function.calls == [500, 500, 201] and "embeddings" in capsys.readouterr().err
    quiet = kith.VectorStore(path, embedding_function=function, verbose=False)
    quiet.add(text=["ab"] * 600, metadata=[{}] * 600, embedding_data=["ab"] * 600)
    assert capsys.readouterr().err == ""


def test_a_rate_limiter_parts_the_texts(path):
    function = Embedder()
    store = kith.VectorStore(path, embedding_function=function)
    limits = {"enabled": True, "bytes_per_minute": 6e6, "batch_byte_size": 20}
    store.add(text=["abcde"] * 10, metadata=[{}] * 10, embedding_data=["abcde"] * 10, rate_limiter=limits)
    assert function.calls == [4, 4, 2]
    with pytest.raises(ValueError, match="Invalid rate_limiter key"):
        store.add(text=["a"], metadata=[{}], embedding_data=["a"], rate_limiter={"speed": 1})
    for wrong in ({"bytes_per_minute": 0}, {"batch_byte_size": -1}):
        with pytest.raises(ValueError, match="positive"):
            store.add(text=["a"], metadata=[{}], embedding_data=["a"], rate_limiter={"enabled": True, **wrong})


def test_a_rate_limiter_holds_from_one_call_to_the_next(path, monkeypatch):
    slept = []
    monkeypatch.setattr("kith.deeplake.embedding.time.sleep", slept.append)
    store = kith.VectorStore(path, embedding_function=letters_of_one, verbose=False)
    limits = {"enabled": True, "bytes_per_minute": 60.0, "batch_byte_size": 1000}
    for rows in (1, 600):  # 600 are two calls of the function
        store.add(text=["a"] * rows, metadata=[{}] * rows, embedding_data=["a"] * rows, rate_limiter=limits)
    assert len(slept) == 3 and all(900 < seconds <= 1000 for seconds in slept)


def test_embeddings_of_several_tensors(path):
    store = kith.VectorStore(
        path,
        tensor_params=[{"name": "text", "htype": "text"}, {"name": "one", "htype": "embedding"}, {"name": "two", "htype": "embedding"}],
    )
    both = ["one", "two"]
    store.add(text=WORDS, embedding_function=[letters, letters], embedding_data=[WORDS, WORDS], embedding_tensor=both)
    store.add(text=WORDS, embedding_function=letters, embedding_data=[WORDS, WORDS], embedding_tensor=both)
    store.add(text=WORDS, one=(letters, WORDS), two=(letters, WORDS))
    assert len(store) == len(store.dataset.one) == 9
    assert store.search(embedding=letters(["bead"])[0], embedding_tensor="two", k=1)["text"] == ["bead"]
    for wrong in ([letters, letters], [WORDS], both), ([letters, letters], [WORDS, WORDS], ["one"]), ([letters], [WORDS, WORDS], both):
        with pytest.raises(AssertionError):
            store.add(text=WORDS, embedding_function=wrong[0], embedding_data=wrong[1], embedding_tensor=wrong[2])
    with pytest.raises(ValueError, match="one, two"):
        store.search(embedding=letters(["bead"])[0])
    assert list(store.search(filter={"text": "bead"})) == ["text", "id"]  # no vector, no question which
    assert list(store.search(filter={"text": "bead"}, return_tensors="*")) == ["text", "one", "two", "id"]
    with pytest.raises(ValueError, match="one, two"):
        store.add(text=WORDS, embedding_function=letters, embedding_data=WORDS)
    with pytest.raises(ValueError):
        store.add(text=WORDS, one=(letters, WORDS), two=(letters, WORDS), embedding_function=letters)


def test_what_functions_give_wrongly_is_refused(path):
    store = kith.VectorStore(path)
    for wrong in (lambda texts: [[1.0], [1.0, 2.0], [3.0]], lambda texts: [], lambda texts: [[1.0]], lambda texts: [[], [], []], lambda texts: "abc"):
        with pytest.raises(errors.IncorrectEmbeddingShapeError):
            store.add(text=WORDS, metadata=[{}] * 3, embedding_function=wrong, embedding_data=WORDS)
    assert len(store) == 0
    for arguments in ({"embedding_function": letters}, {"embedding_data": WORDS}, {"embedding_tensor": "embedding"}):
        with pytest.raises(ValueError):
            store.add(text=WORDS, metadata=[{}] * 3, **arguments)
    with pytest.raises(ValueError):
        store.add(text=WORDS, metadata=[{}] * 3, embedding=letters(WORDS), embedding_function=letters, embedding_data=WORDS)
    with pytest.raises(ValueError):
        kith.VectorStore(path, embedding_function=3)


# ---- rows in


def test_ids_are_made_given_or_uuids(path, data):
    store = kith.VectorStore(path)
    made = store.add(text=data.texts, metadata=data.metadata, embedding=data.vectors, return_ids=True)
    assert len(set(made)) == 200 and all(uuid.UUID(one).version == 1 and str(uuid.UUID(one)) == one for one in made)
    given = [uuid.uuid4() for _ in range(3)]
    assert store.add(text=WORDS, metadata=[{}] * 3, embedding=data.vectors[:3], id=given, return_ids=True) == [str(one) for one in given]
    assert store.dataset.id.data()["value"] == made + [str(one) for one in given]
    assert store.add(text=["x"], metadata=[{}], embedding=data.vectors[:1]) is None


def test_ids_may_be_numbers_or_missing_but_no_bytes(path):
    store = kith.VectorStore(path)
    rows = {"text": ["a", "b"], "metadata": [{}, {}], "embedding": np.eye(2)}
    made = store.add(**rows, id=[None, 7], return_ids=True)
    assert uuid.UUID(made[0]).version == 1 and made[1] == "7" and store.search(filter={"id": made[0]})["text"] == ["a"]
    with pytest.raises(errors.SampleExtendError, match="bytes"):
        store.add(**rows, id=[b"x", b"y"])
    store.dataset.extend({"text": ["c"], "id": [np.int64(8)]})
    assert len(store) == 3 and store.dataset.id[2].data()["value"] == "8"


def test_one_value_is_not_taken_for_a_list_of_its_parts(path):
    store = kith.VectorStore(path, embedding_function=letters_of_one)
    good = {"text": ["a"], "metadata": [{"n": 1}], "embedding": np.eye(1, 5)}
    for name, one in (("text", "a"), ("metadata", {"n": 1}), ("id", "x"), ("text", b"a"), ("embedding", {"a": 1})):
        with pytest.raises(ValueError, match=f"'{name}' is given one"):
            store.add(**{**good, name: one})
    with pytest.raises(ValueError, match="'text' is given one str"):
        store.dataset.extend({"text": "a", "id": ["x"]})
    assert len(store) == 0
    store.add(text=["abba"], metadata=[{"n": 1}], embedding_data="abba")  # of texts to embed, one text is one
    assert store.search(embedding_data="abba")["score"] == [1.0]


def test_old_stores_call_the_ids_ids(path):
    store = kith.VectorStore(path, tensor_params=[{"name": "ids", "htype": "text"}, {"name": "embedding", "htype": "embedding"}])
    assert list(store.tensors()) == ["ids", "embedding"]
    made = store.add(embedding=[[1.0, 2.0]], return_ids=True)
    assert store.search(embedding=[1.0, 2.0])["ids"] == made and store.delete(ids=made) and len(store) == 0


def test_nothing_stands_for_no_values(path, data):
    store = kith.VectorStore(path)
    store.add(text=["a", "b"], metadata=None, embedding=None)
    assert len(store) == 2 and store.search(filter={}, return_tensors="*")["metadata"] == [{}, {}]
    assert store.search(embedding=data.vectors[0], k=2)["id"] == []  # none has a vector
    store.add(text=None, metadata=[{"n": 1}], embedding=data.vectors[:1])
    assert store.search(embedding=data.vectors[0], k=2)["text"] == [""]
    store.add(text=["c", "d"], metadata=[{}, None], embedding=[None, data.vectors[1]])
    assert store.search(embedding=data.vectors[1], k=1)["text"] == ["d"] and len(store.dataset.embedding) == 5
    assert [len(one) for one in store.search(filter={}, return_tensors="*")["embedding"]] == [0, 0, DIM, 0, DIM]


def test_tensors_of_numbers_are_kept_and_filtered(path):
    store = kith.VectorStore(
        path,
        tensor_params=[
            {"name": "vec", "htype": "embedding", "dtype": np.float16, "create_shape_tensor": True},
            {"name": "rating", "dtype": "int32"}, {"name": "price"}, {"name": "label", "dtype": str},
        ],
    )  # fmt: skip
    assert list(store.tensors()) == ["vec", "rating", "price", "label", "id"]
    store.add(vec=np.eye(3), rating=[1, 2, 3], price=[0.5, 1.5, 2.5], label=["x", "y", "z"])
    store.add(vec=np.eye(3), rating=np.array([4, 5, 6]), price=np.array([3.5, 4.5, 5.5]), label=["x", "y", "z"])
    found = store.search(embedding=[0, 1, 0], embedding_tensor="vec", k=1, filter={"rating": [5, 6]})
    assert (found["rating"], found["price"], found["label"]) == ([5], [4.5], ["y"])
    assert store.search(filter={"rating": 3, "label": "z"})["price"] == [2.5]
    assert store.search(embedding=[0, 1, 0], k=1, return_tensors="*")["vec"][0].dtype == np.float16  # the only one there is
    assert len(again(path)) == 6


def test_embeddings_of_whole_numbers_are_not_cut(path):
    store = kith.VectorStore(path, tensor_params=[{"name": "e", "htype": "embedding", "dtype": "uint8"}, {"name": "n", "dtype": "int64"}])
    for form in ([[255.0, 0.0]], np.array([[0, 7]]), [[1, True]]):
        store.add(e=form, n=[1])
    for wrong in ([[300, 0]], [[-1, 0]], np.array([[256, 0]]), [[0.5, 0]], [[float("nan"), 0]], [[10**400, 0]]):
        with pytest.raises(ValueError):
            store.add(e=wrong, n=[1])
    assert np.array_equal(store.dataset.e.numpy(), [[255, 0], [0, 7], [1, 1]]) and store.dataset.e.numpy().dtype == np.uint8
    assert store.search(embedding=[255, 0], embedding_tensor=["e"], k=1)["score"] == [1.0]
    for wrong in (["e", "e"], 3):
        with pytest.raises(ValueError, match="name of one tensor"):
            store.search(embedding=[255, 0], embedding_tensor=wrong)
    for text in ("1", "x", [1, "x", None]):  # a number is equal to no text, as Python has it
        assert len(store.search(filter={"n": text})["n"]) == (3 if isinstance(text, list) else 0)


@pytest.mark.parametrize(
    "params",
    [
        [{"name": "text", "htype": "text"}],
        [{"name": "embedding", "htype": "embedding"}, {"name": "picture", "htype": "image"}],
        [{"name": "embedding", "htype": "embedding"}, {"name": "embedding", "htype": "embedding"}],
        [{"name": "a b", "htype": "embedding"}],
        [{"name": "score", "htype": "embedding"}],
        [{"htype": "embedding"}],
        [{"name": "id", "htype": "embedding"}],
        [{"name": "id", "htype": "embedding"}, {"name": "ids", "htype": "text"}],
        [{"name": "embedding", "htype": "embedding", "dtype": "int32"}],
    ],
)
def test_tensors_that_make_no_store_are_refused(path, params):
    with pytest.raises(ValueError):
        kith.VectorStore(path, tensor_params=params)
    assert not kith.deeplake.exists(path)


def test_rows_that_do_not_fit_are_refused_whole(store, data):
    good = {"text": ["a", "b"], "metadata": [{}, {}], "embedding": data.vectors[:2]}
    for change, error in (
        ({"text": ["a"]}, ValueError),
        ({"nothing": [1, 2]}, ValueError),
        ({"embedding": data.vectors[:2, :7]}, errors.IncorrectEmbeddingShapeError),
        ({"embedding": [data.vectors[0], data.vectors[0][:7]]}, errors.IncorrectEmbeddingShapeError),
        ({"embedding": [data.vectors[0], np.full(DIM, np.nan)]}, ValueError),
        ({"metadata": [{}, {"x": object()}]}, errors.SampleExtendError),
        ({"text": ["a", 3]}, errors.SampleExtendError),
        ({"text": ["a", "\ud800"]}, ValueError),
        ({"metadata": [{}, {"a": "\ud800"}]}, errors.SampleExtendError),
    ):
        with pytest.raises(error):
            store.add(**{**good, **change})
    with pytest.raises(ValueError, match="`metadata`"):
        store.add(text=["a"], embedding=data.vectors[:1])
    with pytest.raises(errors.IncorrectEmbeddingShapeError, match="7.*16"):
        store.add(**{**good, "embedding": data.vectors[:2, :7]})
    assert len(store) == 200
    store.add(**good)
    assert len(store) == 202


# ---- what is asked wrongly


def test_searches_that_cannot_be_meant_are_refused(store, data, path):
    query = data.vectors[0]
    for arguments in (
        {},
        {"embedding": query, "query": "select *"},
        {"embedding": query, "exec_option": "fast"},
        {"query": "select *", "exec_option": "python"},
        {"query": "select *", "filter": {"id": "x"}},
        {"query": "select *", "return_tensors": ["id"]},
        {"embedding_function": letters},
        {"embedding_data": "text"},
        {"embedding_data": [], "embedding_function": letters},
        {"embedding_data": 3, "embedding_function": letters},
        {"embedding": query[:7]},
        {"embedding": np.full(DIM, np.nan)},
        {"embedding": query, "distance_metric": "manhattan"},
        {"embedding": query, "embedding_tensor": "text"},
        {"embedding": np.zeros((2, 2, DIM))},
    ):
        with pytest.raises(ValueError):
            store.search(**arguments)
    with pytest.raises(ValueError, match="7.*16"):
        store.search(embedding=query[:7], distance_metric="L1")
    with pytest.raises(KeyError):
        store.search(embedding=query, distance_metric="manhattan")
    for arguments in ({"return_tensors": ["nothing"]}, {"embedding_tensor": "nothing"}):
        with pytest.raises(errors.TensorDoesNotExistError):
            store.search(embedding=query, **arguments)
    with pytest.raises(errors.DeepMemoryAccessError):
        store.search(embedding=query, deep_memory=True)
    empty = kith.VectorStore(path, overwrite=True)
    for arguments in ({"embedding": query}, {"filter": {"id": "x"}}, {"query": "select *"}):
        with pytest.raises(ValueError, match="specified dataset is empty"):
            empty.search(**arguments)
    with pytest.raises(errors.TensorDoesNotExistError):  # which 3.9 looks at first
        empty.search(embedding=query, return_tensors=["nothing"])


def test_constructors_that_cannot_be_meant_are_refused(path, data):
    store = kith.VectorStore(path)
    data.into(store)
    tensors = {} if path.startswith("mem") else {"path": path, "tensor_params": [{"name": "vector", "htype": "embedding"}]}
    for arguments in (
        {},
        {"path": path, "dataset": kith.deeplake.load(path)},
        tensors,
        {"path": path, "index_params": {"treshold": 3}},
        {"path": path, "index_params": {"threshold": "3"}},
        {"path": path, "index_params": {"distance_metric": "MAX"}},
        {"path": path, "index_params": {"additional_params": {"segments": 3}}},
        {"path": path, "index_params": {"additional_params": {"M": 3.5}}},
        {"path": path, "index_params": {"additional_params": {"M": 0}}},
        {"path": path, "index_params": {"additional_params": {"efConstruction": -1}}},
        {"path": path, "exec_option": "fast"},
        {"path": path, "runtime": {"tensor_db": True}},
        {"path": path, "branch": "nothing", "read_only": True},
        {"path": "hub://someone/something"},
        {"path": "s3://bucket/something"},
    ):
        with pytest.raises(ValueError):
            kith.VectorStore(**arguments)
    with pytest.raises(TypeError):
        kith.VectorStore(path, nonsense=3)
    same = kith.VectorStore(dataset=kith.deeplake.load(path), num_workers=4, token="x", creds={}, org_id="x", ingestion_batch_size=7)
    assert len(same) == 200


def test_what_stands_at_a_path_is_said(tmp_path, data):
    file = tmp_path / "file"
    file.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(errors.DatasetHandlerError, match="there is a file at"):
            kith.VectorStore(file, overwrite=overwrite)
    data.into(kith.VectorStore(tmp_path / "s"))
    with pytest.raises(errors.DatasetHandlerError, match="cannot be overwritten"):
        kith.VectorStore(tmp_path / "s", read_only=True, overwrite=True)
    with pytest.raises(ValueError, match="not 'x'"):
        kith.VectorStore(dataset="x")
    assert len(kith.VectorStore(tmp_path / "s")) == 200 and file.read_text() == "mine"


def test_a_store_without_a_logger_logs_all_the_same(path, data, caplog):
    store = kith.VectorStore(path, logger=None, index_params={"threshold": 1})
    data.into(store)
    assert store.search(embedding=data.vectors[0], k=1, distance_metric="L1")["id"] == ["id-0"] and "does not match" in caplog.text


def test_query_vectors_in_odd_forms(store, data):
    vector = data.vectors[3]
    for form in (vector.tolist(), tuple(vector.tolist()), [vector], vector[None], vector.astype("f8"), memoryview(vector)):
        assert store.search(embedding=form, k=1)["id"] == ["id-3"]
    for made in (vector, vector.tolist(), vector[None], vector[None][None]):
        found = [store.search(embedding_data=texts, embedding_function=lambda text: made, k=1)["id"] for texts in ("x", ["x"], np.array(["x"]))]
        assert found == [["id-3"]] * 3
    for made in ("abc", {"a": 1}, None, [], [[1.0], [1.0, 2.0]], object()):
        with pytest.raises(ValueError):
            store.search(embedding_data="x", embedding_function=lambda text: made, k=1)
        if made is not None:
            with pytest.raises(ValueError):
                store.search(embedding=made)


def test_a_store_that_is_read_only_refuses_changes(store, data, path):
    reader = kith.VectorStore(path, read_only=True)
    assert reader.search(embedding=data.vectors[0], k=1)["id"] == ["id-0"] and reader.dataset.read_only
    for change in (
        lambda: data.into(reader),
        lambda: reader.delete(ids=["id-0"]),
        lambda: reader.delete(delete_all=True),
        lambda: reader.update_embedding(ids=["id-0"], embedding_function=letters),
        lambda: reader.commit(),
        lambda: reader.checkout("new", create=True),
    ):
        with pytest.raises(errors.ReadOnlyModeError):
            change()
    assert len(reader) == 200
    with pytest.raises(errors.DatasetHandlerError):
        kith.VectorStore(path + "-nothing", read_only=True)
    assert not kith.deeplake.exists(path + "-nothing") and not os.path.exists(path + "-nothing")


def test_a_store_of_a_newer_format_is_refused_in_words(tmp_path):
    from kith.deeplake import _tensors

    path = tmp_path / "s"
    database = kith.connect(path)
    infos = _tensors.from_params([{"name": "embedding", "htype": "embedding"}])
    schema = _tensors.schema_of(infos, {})
    schema.metadata = {key: value.replace(b'"format": 1', b'"format": 2') for key, value in schema.metadata.items()}
    database.create_table("main", schema=schema)
    with pytest.raises(errors.DatasetHandlerError, match="format 2"):
        kith.VectorStore(path)
    database.create_table("main", [{"x": 1}], mode="overwrite")
    with pytest.raises(errors.DatasetCorruptError):
        kith.VectorStore(path)


def test_every_error_is_of_kith_and_of_a_kind_that_people_catch():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(kinds) > 30 and all(issubclass(one, kith.KithError) for one in kinds)
    assert issubclass(errors.TensorDoesNotExistError, (KeyError, AttributeError)) and issubclass(errors.ReadOnlyModeError, ValueError)
    assert str(errors.TensorDoesNotExistError("x")) == "Tensor 'x' does not exist."


# ---- changes


def test_any_row_is_deleted_whatever_says_which(store, data):
    assert store.delete(row_ids=[0, 5]) is True and len(store) == 198
    assert store.delete(ids=["id-0", "id-1", "id-2"]) and len(store) == 196  # id-0 is gone already
    assert store.delete(filter={"metadata": {"group": 3}}) and len(store) == 156
    assert store.delete(filter=lambda sample: sample["metadata"].data()["value"]["n"] > 150)
    assert store.delete(query="select * where metadata['n'] between 100 and 110")
    left = [row for row in range(200) if row not in (0, 1, 2, 5) and row % 5 != 3 and row <= 150 and not 100 <= row <= 110]
    assert rows_of(store.search(filter={})) == left
    for row in (1, 3, 160, 105):
        rows, _ = nearest(data.vectors, data.vectors[row], "L2", 3, [one in left for one in range(200)])
        assert rows_of(store.search(embedding=data.vectors[row], k=3, distance_metric="L2")) == rows
    assert store.delete(delete_all=True) and len(store) == 0 and list(store.tensors()) == ["text", "metadata", "embedding", "id"]
    data.into(store)
    assert len(store) == 200


@pytest.mark.parametrize("places, gone", [(np.array([0]), [0]), (np.array([0, 3]), [0, 3]), ((0, 3), [0, 3]), (range(2), [0, 1]), ({5}, [5]), (5, [5]), (np.int64(0), [0])])
def test_rows_are_deleted_by_places_in_any_form(store, places, gone):
    before = store.dataset.id.data()["value"]
    assert store.delete(row_ids=places)
    assert store.dataset.id.data()["value"] == [one for at, one in enumerate(before) if at not in gone]


def test_deletes_that_say_nothing_or_what_is_not_there(store):
    with pytest.raises(ValueError):
        store.delete()
    with pytest.raises(ValueError):
        store.delete(ids=None, filter=None, delete_all=False)
    with pytest.raises(IndexError):
        store.delete(row_ids=[200])
    with pytest.raises(ValueError):
        store.delete(filter={"nothing": 1})
    assert store.delete(ids=["nobody"]) and store.delete(ids=[]) and store.delete(filter={"metadata": {"n": -1}}) and len(store) == 200


@pytest.mark.parametrize("branch", ["main", "work"])
def test_all_rows_are_deleted_of_a_store_that_another_handle_deleted_or_overwrote(tmp_path, data, branch):
    path = str(tmp_path / "s")
    params = {"threshold": 1_000_000, "distance_metric": "L2"}
    store = kith.VectorStore(path, index_params=params, branch=branch)
    data.into(store)
    other = kith.VectorStore(path, overwrite=True, tensor_params=[{"name": "v", "htype": "embedding"}], branch=branch)
    other.add(v=np.eye(2))
    assert store.delete(delete_all=True) and len(store) == len(other) == 0 and list(store.tensors()) == ["v", "id"]
    kith.VectorStore.delete_by_path(path)
    assert other.delete(delete_all=True) and len(other) == 0 and list(other.tensors()) == ["v", "id"]
    other.add(v=np.eye(2))
    assert len(other) == 2 and sorted(other.dataset.branches) == sorted({"main", branch}) and kith.deeplake.exists(path)
    with pytest.raises(errors.ReadOnlyModeError):
        kith.VectorStore(dataset=other.dataset.__class__(path, other.dataset._database, True, branch)).delete(delete_all=True)


def test_embeddings_are_made_anew(path):
    store = kith.VectorStore(path, embedding_function=Embedder())
    store.add(text=WORDS, metadata=[{"n": n} for n in range(3)], embedding=np.zeros((3, 5)), id=list("xyz"))

    def vectors():
        found = store.search(filter={}, return_tensors=["id", "embedding"])
        return {one: vector.tolist() for one, vector in zip(found["id"], found["embedding"])}

    store.update_embedding(ids=["x"])
    assert vectors() == {"x": letters(["abba"])[0], "y": [0.0] * 5, "z": [0.0] * 5}
    store.update_embedding(filter={"metadata": {"n": 1}})
    assert vectors()["y"] == letters(["cade"])[0] and vectors()["z"] == [0.0] * 5
    store.update_embedding(filter={}, embedding_function=lambda texts: [[1.0, 2.0, 3.0, 4.0, 5.0]] * len(texts), embedding_tensor="embedding")
    assert set(map(tuple, vectors().values())) == {(1.0, 2.0, 3.0, 4.0, 5.0)}
    store.update_embedding(row_ids=[0])
    store.update_embedding(query="select * where text == 'bead'", embedding_source_tensor="text")
    assert sum(vector == [1.0, 2.0, 3.0, 4.0, 5.0] for vector in vectors().values()) in (1, 2) and len(store) == 3
    for wrong in (
        {"row_ids": [1], "ids": ["x"]}, {"row_ids": [1], "filter": {}, "query": "x"}, {"row_ids": [1], "filter": {"id": "x"}}, {"filter": {"id": "x"}, "query": "x"}, {},
        {"ids": ["x"], "embedding_source_tensor": ["text", "id"]}, {"ids": ["x"], "embedding_source_tensor": None},
        {"ids": ["x"], "embedding_function": lambda texts: [[1.0]] * len(texts)},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            store.update_embedding(**wrong)
    with pytest.raises(ValueError):
        kith.VectorStore(path).update_embedding(ids=["x"])


def test_embeddings_are_made_of_whatever_a_tensor_holds(path):
    params = [
        {"name": "metadata", "htype": "json"}, {"name": "one", "htype": "embedding"}, {"name": "two", "htype": "embedding"},
        {"name": "rating", "dtype": "int32"}, {"name": "label", "dtype": "str"},
    ]  # fmt: skip
    store = kith.VectorStore(path, tensor_params=params)
    rows = {"metadata": [{"n": 0, "l": [1]}, {"n": 0.5}, "x", {}], "rating": [1, 2, 3, 4], "label": list("abcd"), "one": np.eye(4, 2), "two": np.eye(4, 2)}
    store.add(**rows, id=list("abbb"))

    def first(name):
        found = store.search(filter={}, return_tensors="*")
        return dict(zip(found["label"], (float(vector[0]) for vector in found[name])))

    got = []
    store.update_embedding(
        filter={}, embedding_source_tensor=["metadata", "rating"], embedding_tensor=["one", "two"],
        embedding_function=[lambda given: got.extend(given) or [[float(len(str(one))), 0.0] for one in given], lambda given: [[float(one), 0.0] for one in given]],
    )  # fmt: skip
    assert got == rows["metadata"] and first("one") == {label: float(len(str(one))) for label, one in zip("abcd", got)}
    assert first("two") == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    store.update_embedding(ids=["a"], embedding_source_tensor="one", embedding_tensor="two", embedding_function=lambda given: -np.array(given))
    store.update_embedding(ids=["a"], embedding_source_tensor="label", embedding_tensor="one", embedding_function=lambda given: [[float(ord(one)), 0.0] for one in given])
    assert first("two")["a"] == -len(str(got[0])) and first("one")["a"] == 97.0
    before = first("one")
    with pytest.raises(ValueError, match="two rows have the id 'b'"):
        store.update_embedding(filter={}, embedding_source_tensor="rating", embedding_tensor="one", embedding_function=lambda given: [[1.0, 1.0]] * len(given))
    with pytest.raises(ValueError, match="holds no embeddings"):
        store.update_embedding(filter={}, embedding_source_tensor="rating", embedding_tensor="label", embedding_function=letters)
    assert first("one") == before and len(store) == 4 and store.search(filter={"metadata": {"n": 0.5}})["label"] == ["b"]


# ---- indexes


@pytest.mark.parametrize("metric", ["COS", "L2", "DOT"])
def test_an_index_is_made_from_the_threshold_on(path, metric, caplog):
    data = Data(1500, 24)
    params = {"threshold": 1000, "distance_metric": metric, "additional_params": {"efConstruction": 100, "M": 8}}
    store = kith.VectorStore(path, index_params=params)
    data.into(store, slice(0, 900))
    assert store.dataset_handler.distance_metric_index is None
    data.into(store, slice(900, 1500))
    assert store.dataset_handler.distance_metric_index == {"COS": "cosine_similarity", "L2": "l2_norm", "DOT": "dot_product"}[metric]
    index = next(index for index in store.dataset._table.list_indices() if index.columns == ["embedding"])
    assert (index.index_type, index.m, index.ef_construction) == ("Hnsw", 8, 100)
    told = {"id": "hnsw_1", "type": "hnsw", "distance": store.dataset_handler.distance_metric_index}
    assert store.dataset.embedding.get_vdb_indexes() == [{**told, "additional_params": {"M": 8, "efConstruction": 100}}]
    admitted = [row % 5 == 2 for row in range(1500)]
    shares = []
    for row in range(0, 1500, 50):
        exact = store.search(embedding=data.vectors[row], k=10, distance_metric=metric, exec_option="python")
        rows, expected = nearest(data.vectors, data.vectors[row], metric, 10)
        assert rows_of(exact) == rows
        np.testing.assert_allclose(exact["score"], expected, rtol=1e-5)
        found = rows_of(store.search(embedding=data.vectors[row], k=10))  # the index's metric is the default
        assert len(found) == 10
        shares.append(len(set(found) & set(rows)) / 10)
        filtered = rows_of(store.search(embedding=data.vectors[row], k=10, filter={"metadata": {"group": 2}}))
        assert len(filtered) == 10 and all(admitted[one] for one in filtered)
    assert np.mean(shares) >= 0.9
    caplog.clear()
    other = "L2" if metric != "L2" else "COS"
    rows, _ = nearest(data.vectors, data.vectors[3], other, 10)
    assert rows_of(store.search(embedding=data.vectors[3], k=10, distance_metric=other)) == rows  # by a scan, and that is told
    assert "does not match the distance metric in the index" in caplog.text
    store.delete(row_ids=[3, 700, 1400])
    assert len(store) == 1497 and 3 not in rows_of(store.search(embedding=data.vectors[3], k=10))
    other_handle = again(path)
    assert other_handle.dataset_handler.distance_metric_index is not None
    changed = again(path, index_params={**params, "distance_metric": other})
    assert changed.dataset_handler.distance_metric_index == {"L2": "l2_norm", "COS": "cosine_similarity"}[other]
    assert len([index for index in changed.dataset._table.list_indices() if index.columns == ["embedding"]]) == 1


def test_a_threshold_of_minus_one_means_never(path):
    rng = np.random.default_rng(0)
    params = [{"name": "embedding", "htype": "embedding"}]
    never = kith.VectorStore(path, tensor_params=params, index_params={"threshold": -1}, verbose=False)
    never.add(embedding=rng.standard_normal((20_500, 4)))
    assert never.dataset_handler.distance_metric_index is None
    again(path).add(embedding=rng.standard_normal((1, 4)))  # what was said is kept with the store
    assert never.dataset_handler.distance_metric_index is None
    own = kith.VectorStore(path, tensor_params=params, overwrite=True)
    own.add(embedding=rng.standard_normal((19_999, 4)))
    assert own.dataset_handler.distance_metric_index is None
    own.add(embedding=rng.standard_normal((1, 4)))
    assert own.dataset_handler.distance_metric_index == "cosine_similarity"


def test_an_index_that_fails_is_a_warning_and_the_rows_are_there(path, data, monkeypatch):
    from kith.deeplake import _index

    def fails(*args, **kwargs):
        raise kith.errors.OutOfMemoryError("no memory")

    store = kith.VectorStore(path, index_params={"threshold": 100})
    monkeypatch.setattr(_index, "build", fails)
    with pytest.warns(RuntimeWarning, match="no memory"):
        assert data.into(store) == data.ids
    assert store.search(embedding=data.vectors[3], k=1)["id"] == ["id-3"]
    monkeypatch.undo()
    store.add(text=["x"], metadata=[{}], embedding=data.vectors[:1])
    assert store.dataset_handler.distance_metric_index == "cosine_similarity"


# ---- versions


def test_branches_part_and_commits_stay(store, data):
    store.commit()
    first = store.dataset.commit_id
    store.checkout("branch/ä 1", create=True)
    data.into(store)
    assert len(store) == 400 and store.dataset.branch == "branch/ä 1"
    store.checkout("main")
    assert len(store) == 200 and sorted(store.dataset.branches) == ["branch/ä 1", "main"]
    store.delete(filter={"metadata": {"odd": True}})
    store.commit()
    assert len(store.dataset.commits) == 2 and store.dataset.commit_id != first
    store.checkout(first)
    assert len(store) == 200 and store.search(embedding=data.vectors[1], k=1)["id"] == ["id-1"]
    with pytest.raises(errors.ReadOnlyModeError):
        data.into(store)
    store.checkout("from the past", create=True)
    assert len(store) == 200
    store.delete(delete_all=True)
    store.checkout()
    assert len(store) == 100
    for wrong in (("nothing", False), ("main", True), ("", True), (None, False), (3, True), ("x" * 300, True), ("é" * 60, True)):
        with pytest.raises(errors.CheckoutError):
            store.checkout(wrong[0], create=wrong[1])


def test_empty_commits_are_made_or_refused(store):
    store.commit()
    store.commit(True)
    with pytest.raises(errors.EmptyCommitError):
        store.commit(allow_empty=False)
    with pytest.raises(errors.EmptyCommitError):
        store.dataset.commit("nothing new")
    store.delete(ids=["id-1"])
    store.commit(allow_empty=False)
    assert len(store.dataset.commits) == 3 and not store.dataset.has_head_changes


def test_a_store_is_opened_on_a_branch(path, data):
    store = kith.VectorStore(path, branch="work")
    data.into(store)
    assert len(again(path)) == 0 and store.dataset.branch == "work" and sorted(store.dataset.branches) == ["main", "work"]
    if not path.startswith("mem"):
        assert len(kith.VectorStore(path, branch="work")) == 200


def test_a_store_in_memory_is_a_new_one_and_found_by_its_name_while_it_is_held(data):
    path = f"mem://{uuid.uuid4()}"
    assert not kith.deeplake.exists(path)
    first = kith.VectorStore(path)
    data.into(first)
    second = kith.VectorStore(path)
    assert len(second) == 0 and len(first) == 200
    for new in (kith.deeplake.empty(path), kith.deeplake.dataset(path)):
        assert list(new.tensors) == []
    data.into(second, slice(0, 3))
    second = kith.VectorStore(path, tensor_params=[{"name": "v", "htype": "embedding"}])
    assert len(first) == 200 and list(kith.deeplake.load(path).tensors) == ["v", "id"] and kith.VectorStore(path, read_only=True).dataset.read_only
    held = kith.deeplake.load(path)
    del second
    assert kith.deeplake.exists(path) and len(held) == 0
    del held, new
    assert not kith.deeplake.exists(path) and len(first) == 200  # the newest of the name is gone
    with pytest.raises(errors.DatasetHandlerError):
        kith.deeplake.load(path)


# ---- views and datasets


def test_views_have_the_rows_in_order(store, data):
    view = store.search(embedding=data.vectors[5], k=3, return_view=True)
    rows, expected = nearest(data.vectors, data.vectors[5], "COS", 3)
    assert len(view) == 3 and view.sample_indices == rows and view.scores[0] == 1.0
    assert view.text[0].data()["value"] == "text 5" and view.text.data()["value"] == [f"text {row}" for row in rows]
    assert np.array_equal(view.embedding[0].numpy(), data.vectors[5]) and view["embedding"].numpy().shape == (3, DIM)
    assert view.metadata[1].data()["value"] == data.metadata[rows[1]] and view[1:].id.data()["value"] == [f"id-{row}" for row in rows[1:]]
    assert view.id[0].numpy()[0] == "id-5" and len(store.search(filter={"metadata": {"n": -1}}, return_view=True)) == 0
    with pytest.raises(errors.TensorDoesNotExistError):
        view["nothing"]
    with pytest.raises(AttributeError):
        view.nothing


def test_rows_of_a_view_are_told_by_places_and_masks(store, data):
    view = store.search(embedding=data.vectors[5], k=3, return_view=True)
    ids = view.id.data()["value"]
    assert view[np.array([True, False, True])].id.data()["value"] == [ids[0], ids[2]] == view[[0, -1]].id.data()["value"]
    assert view[[False] * 3].id.data()["value"] == [] == view[[]].id.data()["value"] and view[np.int64(1)].id.data()["value"] == ids[1]
    for wrong, error in ((5, IndexError), ([0, 3], IndexError), ([True], IndexError), ((0, 1), IndexError), ("0", KeyError), (1.0, ValueError), (["0"], ValueError)):
        with pytest.raises(error):
            view[wrong]
    with pytest.raises(IndexError):
        view.embedding[0, 1]
    none = store.search(embedding=data.vectors[5], k=0, return_view=True)
    assert none.embedding.numpy().shape == (0, DIM) == none.embedding.data()["value"].shape and none.embedding.numpy().dtype == np.float32


@pytest.mark.parametrize("places", [[True, False], np.ones(200, bool), ["0"], [1.0], [None]])
def test_places_that_are_no_whole_numbers_delete_nothing(store, places):
    with pytest.raises(ValueError, match="a row is told by its place"):
        store.delete(row_ids=places)
    with pytest.raises(ValueError, match="a row is told by its place"):
        store.update_embedding(row_ids=places, embedding_function=letters)
    with pytest.raises(ValueError, match="a row is told by its place"):
        store.dataset.pop(places)
    assert len(store) == 200


def test_the_dataset_behind_it(store, data, path):
    dataset = store.dataset
    assert dataset is store.dataset_handler.dataset and len(dataset) == 200 and list(dataset.tensors) == list(store.tensors())
    assert dataset.embedding.shape == (200, DIM) and dataset.text.htype == "text" and dataset.metadata.meta.htype == "json"
    assert np.array_equal(dataset.embedding.numpy(), data.vectors) and dataset.text[3].numpy()[0] == "text 3"
    dataset.extend({"text": ["a", "b"], "id": ["x", "y"]})
    dataset.append({"text": "c", "metadata": {"n": -5}, "embedding": data.vectors[0], "id": "z"})
    assert len(store) == 203 and store.search(filter={"metadata": {"n": -5}})["id"] == ["z"]
    dataset.pop(0)
    dataset.pop()
    assert len(dataset) == 201 and dataset.id[0].data()["value"] == "id-1"
    assert len(dataset.filter(lambda sample: sample.text.data()["value"] == "text 7")) == 1
    assert len(kith.deeplake.load(path)) == 201 and kith.deeplake.exists(path)


def test_what_a_dataset_of_kith_has_not_is_said(store):
    for change in (
        lambda: store.dataset.text.extend(["a"]),
        lambda: store.dataset["text"].append("a"),
        lambda: store.dataset.embedding.pop(2),
        lambda: store.dataset[3].update({"text": "a"}),
        lambda: store.dataset.text.__setitem__(3, "a"),
    ):
        with pytest.raises(kith.errors.UnsupportedError, match="rows change as a whole, by add"):
            change()
    for absent in (lambda: store.dataset.merge, lambda: store.search(filter={}, return_view=True).pytorch, lambda: store.dataset.text.create_vdb_index):
        with pytest.raises(AttributeError, match="DEEPLAKE.md"):
            absent()
    assert store.dataset.max_len == store.dataset.num_samples == store.dataset[:7].min_len + 193 == 200


def test_summary_is_printed(store, capsys):
    store.summary()
    out = capsys.readouterr().out
    assert "embedding" in out and "(200, 16)" in out and "float32" in out


def test_stores_are_deleted_by_path(store, path, tmp_path):
    other = tmp_path / "store" / "mine.txt"
    if not path.startswith("mem"):
        other.write_text("not yours")
    kith.VectorStore.delete_by_path(path)
    assert not kith.deeplake.exists(path)
    if not path.startswith("mem"):
        assert other.read_text() == "not yours"
    for wrong in (path, str(tmp_path / "nothing")):
        with pytest.raises(errors.DatasetHandlerError):
            kith.VectorStore.delete_by_path(wrong)
        with pytest.raises(errors.DatasetHandlerError):
            kith.deeplake.load(wrong)


def test_the_functions_of_the_package(path, data):
    dataset = kith.deeplake.empty(path)
    if not path.startswith("mem"):
        with pytest.raises(errors.DatasetHandlerError):
            kith.deeplake.empty(path)
    with pytest.raises(ValueError, match="embedding tensor"):
        again(path)
    for name, htype in (("text", "text"), ("metadata", "json"), ("embedding", "embedding"), ("id", "text")):
        assert dataset.create_tensor(name, htype=htype).htype == htype
    with pytest.raises(errors.TensorAlreadyExistsError):
        dataset.create_tensor("id", htype="text")
    store = kith.VectorStore(dataset=dataset)
    data.into(store)
    if not path.startswith("mem"):
        assert len(kith.deeplake.dataset(path)) == 200
    with pytest.raises(kith.errors.UnsupportedError):
        dataset.create_tensor("more", htype="text")
    assert list(kith.deeplake.like(path + "-2", path).tensors) == list(dataset.tensors)
    if not path.startswith("mem"):
        assert len(kith.deeplake.query(f'select * from "{path}" where metadata[\'n\'] < 3')) == 3
    kith.deeplake.delete(path, large_ok=True, force=True)
    assert not kith.deeplake.exists(path)


def test_overwriting_begins_anew(store, path):
    store.checkout("other", create=True)
    again = kith.VectorStore(path, overwrite=True, tensor_params=[{"name": "v", "htype": "embedding"}])
    assert len(again) == 0 and list(again.tensors()) == ["v", "id"] and again.dataset.branches == ["main"]


# ---- other processes, other interpreters


def python(code, *arguments):
    out = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def test_the_imports_of_deep_lakes_users_are_answered():
    assert python("""
import kith
kith.install_as("deeplake")
import deeplake
from deeplake import VectorStore, Dataset, exists, delete, empty, load
from deeplake.core.vectorstore import VectorStore as A, DeepLakeVectorStore
from deeplake.core.vectorstore.deeplake_vectorstore import VectorStore as B, DeepLakeVectorStore as C
from deeplake.core.vectorstore.embeddings.embedder import DeepLakeEmbedder
from deeplake.core.dataset import Dataset as D
from deeplake.core.fast_forwarding import version_compare
from deeplake.constants import DEFAULT_VECTORSTORE_TENSORS
from deeplake.util.exceptions import TensorDoesNotExistError, DatasetHandlerError
import deeplake.util.exceptions, sys
assert deeplake is kith.deeplake and A is B is C is DeepLakeVectorStore is VectorStore is kith.VectorStore and D is Dataset
assert deeplake.util.exceptions is kith.deeplake.util.exceptions and deeplake.__version__.startswith("3.")
assert version_compare(deeplake.__version__, "3.6.7") == 1 and version_compare("3.6", "3.6.0") == 0 and version_compare("3.5.9", "3.6") == -1
try:
    import deeplake.auto
except ModuleNotFoundError:
    print("good")
""") == "good"


def test_nothing_touches_the_network(tmp_path):
    assert python("""
import sys, socket
def refused(*args, **kwargs): raise AssertionError("a socket was made")
socket.socket.__init__ = refused
socket.create_connection = socket.getaddrinfo = refused
import kith
store = kith.VectorStore(sys.argv[1], embedding_function=lambda texts: [[1.0, 2.0]] * len(texts) if isinstance(texts, list) else [1.0, 2.0])
store.add(text=["a"], metadata=[{}], embedding_data=["a"])
store.commit(); store.checkout("b", create=True)
assert store.search(embedding_data="a")["score"] == [1.0] and store.delete(ids=["x"])
print("good")
""", str(tmp_path / "s")) == "good"


def test_two_processes_fill_one_new_store(tmp_path):
    path = str(tmp_path / "s")
    kith.VectorStore(path)
    code = """
import sys, numpy as np, kith
store = kith.VectorStore(sys.argv[1])
for turn in range(20):
    store.add(text=["x"] * 5, metadata=[{"who": sys.argv[2]}] * 5, embedding=np.full((5, 3), turn + 1.0))
"""
    running = [subprocess.Popen([sys.executable, "-c", code, path, who], stderr=subprocess.PIPE) for who in "ab"]
    assert [one.communicate()[1] for one in running] == [b"", b""]
    store = kith.VectorStore(path)
    assert len(store) == 200 and len(store.search(filter={"metadata": {"who": "a"}})["id"]) == 100


def test_a_store_without_numpy_says_what_it_needs():
    code = "import sys; sys.modules['numpy'] = None\nimport kith\ntry: kith.VectorStore\nexcept ImportError as error: print(error)"
    assert "numpy" in python(code)


def test_filters_may_name_more_rows_than_a_list_holds(path):
    rows = 120_000
    store = kith.VectorStore(path, tensor_params=[{"name": "e", "htype": "embedding"}, {"name": "n", "dtype": "int64"}], index_params={"threshold": -1})
    store.add(e=np.ones((rows, 1), "f4"), n=np.arange(rows), id=[str(n) for n in range(rows)])
    assert len(store.search(filter=lambda sample: sample.value("n") != 5, embedding=[1.0], k=rows)["n"]) == rows - 1
    assert store.delete(ids=[str(n) for n in range(1, rows)]) and store.search(filter={})["n"] == [0]


def test_a_store_goes_to_other_processes(tmp_path, data, monkeypatch):
    import pickle

    store = kith.VectorStore(tmp_path / "s", embedding_function=letters_of_one)
    data.into(store)
    store.checkout("work", create=True)
    again = pickle.loads(pickle.dumps(store))
    assert len(again) == 200 and again.dataset.branch == "work" and again.search(embedding=data.vectors[3], k=1)["id"] == ["id-3"]
    with pytest.raises(ValueError):
        pickle.dumps(kith.VectorStore("mem://here"))
    monkeypatch.chdir(tmp_path)
    here = kith.VectorStore("s")
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickle.dumps(here))) == 200


def test_other_tables_of_the_folder_are_left_alone(tmp_path, data):
    path = tmp_path / "db"
    kith.connect(path).create_table("mine", [{"x": 1}])
    store = kith.VectorStore(path)
    data.into(store)
    assert store.dataset.branches == ["main"]
    kith.VectorStore(path, overwrite=True)
    kith.VectorStore.delete_by_path(path)
    assert kith.connect(path).table_names() == ["mine"]
    kith.connect(path).create_table("main", [{"x": 1}])
    for wrong in ({}, {"overwrite": True}):
        with pytest.raises(errors.DatasetHandlerError):
            kith.VectorStore(path, **wrong)
    assert kith.connect(path)["main"].to_list() == [{"x": 1}]


def test_branches_are_deleted(store):
    store.checkout("work", create=True)
    for wrong in ("work", "main", "nothing"):
        with pytest.raises(errors.VersionControlError):
            store.dataset.delete_branch(wrong)
    store.checkout()
    store.dataset.delete_branch("work")
    assert store.dataset.branches == ["main"]


def test_series_arrays_and_numbers_too_great(path):
    import pandas

    frame = pandas.DataFrame({"text": ["a", "b"], "vector": list(np.eye(2, dtype="f4")), "n": [1, 2]}, index=[7, 8])
    store = kith.VectorStore(path, embedding_function=letters_of_one)
    store.add(text=frame["text"], metadata=[{"n": n} for n in frame["n"]], embedding=frame["vector"])
    assert store.search(embedding=[0, 1], k=1)["metadata"] == [{"n": 2}] and store.search(filter={"metadata": {"n": np.int64(1)}})["text"] == ["a"]
    with pytest.raises(ValueError):
        store.add(text=["x"], metadata=[{}], embedding=[[1e300, 1.0]])
    own = kith.VectorStore(path, overwrite=True)
    own.add(text=frame["text"], metadata=[{}, {}], embedding_data=frame["text"], embedding_function=letters)
    assert len(own) == 2
