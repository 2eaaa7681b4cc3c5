"""The script behind the tables of docs/near-duplicates.md."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill.cli.bench import _benchmarks

try:
    _benchmarks()
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

from maskmill.benchmarks import hash_recall


def test_score_counts_pairs_that_count() -> None:
    truth = np.array([[1, 1, 0, -1], [1, 1, 0, 0], [0, 0, 1, 1], [-1, 0, 1, 1]])
    assert hash_recall.score({(0, 1), (0, 2), (0, 3)}, truth) == (0.5, 0.5)
    assert hash_recall.score(set(), truth) == (1.0, 0.0)


def test_pairs_of_turned_codes() -> None:
    codes = np.zeros((3, 8, 1), np.uint64)
    codes[1] = 0xFFFF
    codes[1, 5] = 0  # turned so, image 1 is as image 0
    codes[2] = 0xFF00FF
    assert hash_recall.pairs(codes, 2) == {(0, 1)}


@pytest.mark.parametrize("name", hash_recall.EDITS)
def test_edits_keep_images(name: str, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (40, 60, 3), np.uint8)
    edited = hash_recall.EDITS[name](image)
    assert edited.dtype == np.uint8
    assert edited.size > 0


def test_needs_its_folders(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit):
        hash_recall.main([str(tmp_path)])
    assert "must have a folder dedupe" in capsys.readouterr().err
