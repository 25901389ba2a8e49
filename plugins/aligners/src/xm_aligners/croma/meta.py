"""CroMA: cross-modal meta-alignment (Liang et al., ACM Multimedia 2021, algorithm 1)."""

from __future__ import annotations

from xm import PairObjective
from xm.foundation import Listener, silent
from xm.learning import Checkpoint
from xm_aligners.croma.episodes import align_episode, classify_episode
from xm_aligners.croma.model import MetaModel, fresh
from xm_aligners.croma.reptile import reptile
from xm_aligners.croma.settings import MetaConfig
from xm_aligners.croma.tasks import MetaData


def meta_align(
    data: MetaData,
    objective: PairObjective,
    config: MetaConfig,
    *,
    seed: int = 1,
    checkpoint: Checkpoint | None = None,
    listener: Listener = silent,
) -> MetaModel:
    """Algorithm 1: alignment tasks move both encoders, source tasks the classifier, each by Reptile.

    Args:
        data: pairs and the source's labels; the target's labels are not looked at.
        objective: the alignment loss, fresh.
        config: the schedule.
        seed: of the initial weights and all tasks.
        checkpoint: to go on from after an interruption, to the same weights.
        listener: hears "step" events.

    Returns:
        The meta encoders and the meta classifier.
    """
    model = fresh(data, objective, config, seed)
    episodes = {"align": align_episode(data, config), "classify": classify_episode(data, config)}
    reptile(
        model,
        episodes,
        config.iterations,
        config.epsilon,
        anneal=config.anneal,
        seed=seed,
        checkpoint=checkpoint,
        listener=listener,
    )
    return model
