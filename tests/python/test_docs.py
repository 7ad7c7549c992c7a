"""The examples in the docstrings run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import kith

MODULES = [name for _, name, _ in pkgutil.walk_packages(kith.__path__, "kith.") if name != "kith._core"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert not failed


def test_there_are_examples():
    found = [test.name for name in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]
    assert {"kith.table.Table.create_index", "kith.table.Table.searcher", "kith.query.VectorQuery.recall"} <= set(found)
