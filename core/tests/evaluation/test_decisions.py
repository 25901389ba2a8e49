"""What a model decided: figures of classes, confusions and what was wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xm.evaluation import ClassFigures, Decisions, Result, Wrong

RESULT = Result("image", (), "linear", "zero", 1, 1, "test", "accuracy", 0.5, 6)
LABELS, PREDICTED = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, -1, 3]
CLASSES = ("cat", "dog", "owl", "elk")


def decisions(probabilities: torch.Tensor | None = None) -> Decisions:
    return Decisions(RESULT, CLASSES, torch.tensor(LABELS), torch.tensor(PREDICTED), list("uvwxyz"), probabilities)


def test_figures_of_the_classes_that_occur() -> None:
    cat, dog, elk = decisions().per_class()
    assert cat == ClassFigures("cat", 1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3, 2)
    assert dog == ClassFigures("dog", 0.5, 0.5, 0.5, 2, 2)
    assert elk == ClassFigures("elk", 1.0, 1.0, 1.0, 1, 1)


def test_confusions_have_a_column_for_none() -> None:
    expected = np.array([[2, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0]])
    assert (decisions().confusion() == expected).all()


def test_what_is_wrong_is_in_the_order_of_items_or_the_surest_first() -> None:
    assert decisions().wrong() == [Wrong("w", "cat", "dog", None), Wrong("y", "dog", None, None)]
    chances = torch.full((6, 4), 0.25)
    chances[2] = torch.tensor([0.1, 0.7, 0.1, 0.1])
    assert decisions(chances).wrong()[0] == Wrong("w", "cat", "dog", pytest.approx(0.7))
    nameless = Decisions(RESULT, CLASSES, torch.tensor(LABELS), torch.tensor(PREDICTED))
    assert [wrong.item for wrong in nameless.wrong()] == [None, None]
