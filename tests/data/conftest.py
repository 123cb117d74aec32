"""What the tests of datasets share: errors of one line, and a cache and network of their own."""

from contextlib import contextmanager

import pytest

from limbeck.errors import DatasetError


@pytest.fixture
def refused():
    """``with refused("a pattern"):`` expects a DatasetError (or ``kind``) of exactly one line."""

    @contextmanager
    def expect(match, kind=DatasetError):
        with pytest.raises(kind, match=match) as caught:
            yield
        assert "\n" not in str(caught.value)
        assert type(caught.value) is kind

    return expect


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the cache of whoever runs the tests."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("LIMBECK_DATA", str(folder))
    return folder
