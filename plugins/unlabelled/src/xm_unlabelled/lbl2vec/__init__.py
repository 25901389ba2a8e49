"""xm strategy ``lbl2vec``: a class is the mean of the unlabelled items most like its name."""

from __future__ import annotations

from xm import StrategySpec, hookimpl


@hookimpl
def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="lbl2vec",
            target="xm_unlabelled.lbl2vec.strategy:Lbl2Vec",
            summary="classes are means of the unlabelled items most like their names (Schopf et al., NLPIR 2022)",
            needs_target=False,
            needs_unlabelled=True,
        )
    ]
