"""LangChain's class over Deep Lake (langchain-community 0.4.1; that of 0.3.31 is the same file), run on kith.deeplake."""

import pathlib

import numpy as np
import pytest

import kith

# The warnings are LangChain's own, above all that the class is deprecated.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("offline")]

texts = ["apple banana", "cherry", "quick brown fox", "zebra"]
metadata = [{"page": str(i), "kind": "fruit" if i < 2 else "other"} for i in range(4)]


@pytest.fixture(scope="module")
def langchain():
    kith.install_as("deeplake")
    import deeplake
    from deeplake.util.exceptions import TensorDoesNotExistError
    from langchain_community.query_constructors.deeplake import DeepLakeTranslator
    from langchain_community.vectorstores import DeepLake
    from langchain_core import structured_query
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    class Letters(Embeddings):
        """The number of each letter of a text."""

        def embed_query(self, text):
            return [float(text.lower().count(letter)) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]

        def embed_documents(self, texts):
            return [self.embed_query(text) for text in texts]

    class Names:
        pass

    names = Names()
    names.__dict__.update(
        deeplake=deeplake, DeepLake=DeepLake, Document=Document, Letters=Letters, DeepLakeTranslator=DeepLakeTranslator,
        structured=structured_query, TensorDoesNotExistError=TensorDoesNotExistError,
    )  # fmt: skip
    return names


@pytest.fixture
def db(langchain, path):
    return langchain.DeepLake.from_texts(texts, langchain.Letters(), metadatas=metadata, ids=list("abcd"), dataset_path=path)


def contents(documents):
    return [document.page_content for document in documents]


def test_texts_are_stored_and_found(langchain, db):
    assert langchain.deeplake is kith.deeplake and isinstance(db.vectorstore, kith.VectorStore)
    assert db.similarity_search("cherry", k=1) == [langchain.Document(page_content="cherry", metadata=metadata[1])]
    found = db.similarity_search_with_score("zebra", k=4)
    assert found[0][0].page_content == "zebra" and found[0][1] == 1.0 and len(found) == 4
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert contents(db.similarity_search_by_vector(langchain.Letters().embed_query("cherry"), k=1)) == ["cherry"]


def test_a_store_on_disk_is_opened_again(langchain, tmp_path):
    path = str(tmp_path / "store")
    langchain.DeepLake.from_texts(texts, langchain.Letters(), metadatas=metadata, dataset_path=path)
    reader = langchain.DeepLake(dataset_path=path, embedding=langchain.Letters(), read_only=True)
    assert len(reader.vectorstore) == 4 and reader.similarity_search("zebra", k=1)[0].metadata == metadata[3]
    writer = langchain.DeepLake(dataset_path=path, embedding=langchain.Letters())
    assert writer.add_texts(["grape"], ids=["g"]) == ["g"] and len(reader.vectorstore) == 5
    assert len(writer.add_texts(["plum", "fig"])) == 2 and writer.similarity_search("fig", k=1)[0].metadata == {}


@pytest.mark.parametrize("metric", ["L2", "L1", "max", "cos", "dot"])
def test_each_metric_is_understood(langchain, db, metric):
    found = db.similarity_search_with_score("quick brown fox", k=4, distance_metric=metric)
    query = np.array(langchain.Letters().embed_query("quick brown fox"))
    rows = np.array(langchain.Letters().embed_documents(texts))
    expected = {
        "L2": np.linalg.norm(rows - query, axis=1),
        "L1": np.abs(rows - query).sum(axis=1),
        "max": np.abs(rows - query).max(axis=1),
        "cos": rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query),
        "dot": rows @ query,
    }[metric]
    told = {document.page_content: score for document, score in found}
    np.testing.assert_allclose([told[text] for text in texts], expected, rtol=1e-5, atol=1e-6)
    assert found[0][0].page_content == "quick brown fox"


def test_filters_and_options(db):
    assert contents(db.similarity_search("zebra", k=1, filter={"metadata": {"page": "1"}})) == ["cherry"]
    found = db.similarity_search("zebra", k=4, filter=lambda x: x["metadata"].data()["value"]["kind"] == "fruit")
    assert set(contents(found)) == {"apple banana", "cherry"}
    for option in ("python", "compute_engine", "tensor_db", "auto", None):
        assert len(db.similarity_search("zebra", k=2, exec_option=option)) == 2


def test_diversity(langchain, db):
    found = db.max_marginal_relevance_search("cherry", k=2, fetch_k=4)
    assert len(found) == 2 and found[0].page_content == "cherry"
    vector = langchain.Letters().embed_query("cherry")
    assert len(db.max_marginal_relevance_search_by_vector(vector, k=3, fetch_k=4, lambda_mult=0.1)) == 3


def test_rows_are_deleted_by_id_and_filter_and_all(langchain, db, path):
    assert db.delete(ids=["a"]) and len(db.vectorstore) == 3
    assert db.delete(filter={"metadata": {"kind": "fruit"}}) and len(db.vectorstore) == 2
    assert set(contents(db.similarity_search("x", k=9))) == {"quick brown fox", "zebra"}
    db.delete_dataset()
    assert len(db.vectorstore) == 0
    db.add_texts(["again"])
    assert contents(db.similarity_search("again", k=3)) == ["again"]
    langchain.DeepLake.force_delete_by_path(path)
    assert not langchain.deeplake.exists(path)


def test_documents_and_retrievers(langchain, path):
    documents = [langchain.Document(page_content=text, metadata=one) for text, one in zip(texts, metadata)]
    db = langchain.DeepLake.from_documents(documents, langchain.Letters(), dataset_path=path)
    assert contents(db.as_retriever(search_kwargs={"k": 1}).invoke("zebra")) == ["zebra"]
    assert contents(db.as_retriever(search_type="mmr", search_kwargs={"k": 2}).invoke("zebra"))[0] == "zebra"
    assert contents(db.as_retriever(search_kwargs={"k": 1, "filter": {"metadata": {"page": "1"}}}).invoke("zebra")) == ["cherry"]


def test_tql_of_its_query_constructor(langchain, db):
    structured = langchain.structured
    wanted = structured.Operation(
        operator=structured.Operator.AND,
        arguments=[
            structured.Comparison(comparator=structured.Comparator.EQ, attribute="kind", value="fruit"),
            structured.Comparison(comparator=structured.Comparator.GTE, attribute="page", value="1"),
        ],
    )
    _, keywords = langchain.DeepLakeTranslator().visit_structured_query(
        structured.StructuredQuery(query="x", filter=wanted, limit=None)
    )
    assert keywords == {"tql": "SELECT * WHERE (metadata['kind'] == 'fruit' and metadata['page'] >= 1)"}
    assert contents(db.similarity_search("x", **keywords)) == ["cherry"]


def test_errors_are_those_that_it_catches(langchain, db):
    with pytest.raises(ValueError, match="Hint: You might be using invalid type"):
        db.add_texts(["x"], metadatas=[{"path": pathlib.PurePosixPath("a")}])
    assert len(db.vectorstore) == 4
    with pytest.raises(TypeError):
        db.similarity_search("x", nonsense=1)
    with pytest.raises(ValueError):
        db.add_texts([])
    with pytest.raises(langchain.TensorDoesNotExistError):
        db.vectorstore.search(embedding=langchain.Letters().embed_query("x"), return_tensors=["nothing"])
