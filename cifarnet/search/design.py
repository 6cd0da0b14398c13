"""Lay out a search: its schedule and split, its space, and its trials."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any

from cifarnet import config
from cifarnet.config import Axis, Settings
from cifarnet.errors import ConfigError
from cifarnet.nn.schedules import Cyclic
from cifarnet.search import space as spaces
from cifarnet.search import tpe
from cifarnet.search.space import LAMBDA, Space, Values
from cifarnet.search.study import CYCLES, N_S, TRAIN, VALIDATION, Study, Trial

DEFAULT = "default"  # the origin of what a config does not state
SCHEDULE, SPLIT = (CYCLES, N_S), (TRAIN, VALIDATION)


def design(
    settings: Settings,
    stage: str,
    *,
    general: bool = False,
    earlier: Study | None = None,
    origins: Mapping[str, str] | None = None,
) -> Study:
    """Lay out and check the trials of a coarse or fine search; a fine one looks around the best of an earlier one.

    ``origins`` are those of a config: a schedule and a split that it states, and of which `search` states nothing, are
    kept. The settings of a run folder state everything, and its search is as they say: they go without. ConfigError if
    the settings of a trial or of the final training are wrong, RunError if the earlier search has found too little.
    """
    if not isinstance(settings.training.schedule, Cyclic):
        kind = settings.training.schedule.kind
        raise ConfigError(f"training.schedule.kind = {kind}: a search trains in cycles; take cyclic")
    settings, sources = kept(settings, stage, origins) if origins else (settings, {})
    if earlier:
        sources = {key: source for key, source in sources.items() if source != DEFAULT}  # which is the earlier one's
    before = {"stage": earlier.stage, "trials": earlier.points()} if earlier else None
    draft = Study(settings=settings, stage=stage, general=general, earlier=before, sources=sources)
    space, first = space_of(draft, earlier)
    if "seed" in space:
        raise ConfigError(f"search.over: seed: take search.{stage}.seeds instead, which ranks by the mean")
    study = draft.model_copy(update={"space": dict(space)})
    trials = study.part.trials
    sampling = study.part.model_copy(update={"trials": max(trials - len(first), 1)})
    points = spaces.points(space, sampling, stage, settings.seed)
    sampled = (spaces.values_at(space, point, settings) for point in points)
    values = chain(first, (others for others in sampled if others not in first))
    if study.learns:
        check_ends(study)
        study.add(islice(values, tpe.round_size(trials)))  # the others when these have ended
    else:
        only_lists = all(axis.values for axis in space.values())
        study.add(values if only_lists else islice(values, trials))
    study.final_settings(study.trials[0].values)
    return study


def check_ends(study: Study) -> None:
    """Check that trials that are suggested later can be: everywhere in the space, and by optuna; else ConfigError."""
    tpe.library()
    for end in 0.0, 1.0:  # of every axis
        values = spaces.values_at(study.space, [end] * len(study.space), study.settings)
        study.trial_settings(Trial(index=0, seed=study.settings.seed, values=values))


def kept(settings: Settings, stage: str, origins: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return settings whose search has the schedule and split that the config states, and where each comes from.

    Validation batches are a part of their split: where the final training has other batches, they are not kept.
    """
    stated = {key for key, origin in origins.items() if origin != DEFAULT}
    other_split = "search.final.train" in stated and not isinstance(settings.data.validation, int)
    changes, sources = dict[str, Any](), dict[str, str]()
    for part, names in {"coarse": SCHEDULE, "fine": SCHEDULE, "final": SCHEDULE + SPLIT}.items():
        for own in names:
            key = f"search.{part}.{own.rpartition('.')[2]}"
            together = SPLIT if own in SPLIT else (own,)
            lost = own == VALIDATION and other_split
            if key in stated:
                source = key
            elif stated.intersection(together) and not lost:
                source = own
                changes[key] = spaces.current(settings, own)
            else:
                source = DEFAULT
            if part in (stage, "final"):
                origin = origins.get(source)  # that of the half of a split which is not set may be unknown
                sources[key] = f"{source} ({origin})" if origin else source
    return config.override(settings, changes, "search"), sources


def space_of(draft: Study, earlier: Study | None) -> tuple[Space, list[Values]]:
    """Return the space of a search, and the values of its first trial if those are given."""
    search, part = draft.search, draft.part
    if draft.stage == "coarse" and draft.general:
        if not search.over:
            raise ConfigError("search.over = {}: names nothing to search; for lambda alone there is search-lambda")
        return search.over, []
    ranked = [point["values"] for point in earlier.points()] if earlier and draft.stage == "fine" else []
    first = ranked[:1] if search.fine.include_best else []
    if not draft.general and part.values:
        return {LAMBDA: Axis(values=part.values)}, first
    if not draft.general and part.l_min is not None and part.l_max is not None:
        return {LAMBDA: Axis(log10=(part.l_min, part.l_max))}, first
    if earlier:
        if draft.general and search.over not in ({}, earlier.search.over):
            raise ConfigError("search.over: a fine search is of what the earlier one searched; leave it out")
        return spaces.narrow(earlier.space, search.fine, ranked, len(earlier.values)), first
    without = "" if draft.general else ", or l_min and l_max"
    raise ConfigError(f"search.fine.l_min = null: no range; give --from RUN{without}")
