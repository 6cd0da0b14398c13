"""Lay out a search: its schedule and split, its space, and its trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from cifarnet import config
from cifarnet.config import Settings
from cifarnet.errors import ConfigError
from cifarnet.nn.schedules import Cyclic
from cifarnet.search import space as spaces
from cifarnet.search.space import Space, Values
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
    kept. The settings of a run folder state everything, and its search is as they say: they go without.

    Raises
    ------
    ConfigError, RunError
        If the settings of a trial or of the final training are wrong, or the earlier search has found too little.
    """
    if not isinstance(settings.training.schedule, Cyclic):
        kind = settings.training.schedule.kind
        raise ConfigError(f"training.schedule.kind = {kind}: a search trains in cycles; take cyclic")
    settings, sources = kept(settings, stage, origins) if origins else (settings, {})
    before = {"stage": earlier.stage, "trials": earlier.points()} if earlier else None
    draft = Study(settings, stage, general, earlier=before, sources=sources)
    space, first = place(draft, earlier)
    if "seed" in space:
        raise ConfigError(f"search.over: seed: take search.{stage}.seeds instead, which ranks by the mean")
    sampling = draft.part.model_copy(update={"trials": max(draft.part.trials - len(first), 1)})
    sampled = (
        {key: spaces.at(axis, u) for (key, axis), u in zip(space.items(), point, strict=True)}
        for point in spaces.points(space, sampling, stage, settings.seed)
    )
    most = None if all(axis.values for axis in space.values()) else draft.part.trials
    return replace(draft, space=space, trials=tuple(checked(draft, islice(chain(first, sampled), most))))


def kept(settings: Settings, stage: str, origins: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return settings whose search has the schedule and split that the config states, and where each comes from.

    Validation batches are a part of their split: where the final training has other batches, they are not kept.
    """

    def source(key: str, own: str) -> str:
        if stated(key):
            return key
        if own == VALIDATION and stated("search.final.train") and not isinstance(settings.data.validation, int):
            return DEFAULT
        return own if any(map(stated, SPLIT if own in SPLIT else (own,))) else DEFAULT

    def stated(key: str) -> bool:
        return origins.get(key, DEFAULT) != DEFAULT

    changes, sources = dict[str, Any](), dict[str, str]()
    for part, names in {"coarse": SCHEDULE, "fine": SCHEDULE, "final": SCHEDULE + SPLIT}.items():
        for own in names:
            key = f"search.{part}.{own.rpartition('.')[2]}"
            found = source(key, own)
            if found == own:
                changes[key] = spaces.current(settings, own)
            if part in (stage, "final"):
                sources[key] = found if found == DEFAULT else f"{found} ({origins[found]})"
    return config.override(settings, changes, "search"), sources


def place(draft: Study, earlier: Study | None) -> tuple[Space, list[Values]]:
    """Return the space of a search, and the values of its first trial if those are given."""
    fine, general = draft.search.fine, draft.general
    if draft.stage == "coarse" or not earlier:
        if draft.stage == "fine" and general:
            raise ConfigError("search fine: no range; give --from RUN")
        return spaces.named(draft.search, draft.stage, general=general), []
    ranked = [point["values"] for point in earlier.points()]
    first = ranked[:1] if fine.include_best else []
    if not general and (fine.values or fine.l_min is not None):
        return spaces.named(draft.search, "fine", general=False), first
    return spaces.narrow(earlier.space, fine, ranked, len(earlier.values)), first


def checked(draft: Study, points: Iterable[Values]) -> Iterator[Trial]:
    """Yield the trials at some points; a number for a setting that is a count is rounded."""
    for index, point in enumerate(points):
        values = {key: spaces.rounded(draft.settings, key, value) for key, value in point.items()}
        if index == 0:  # now, not when the search has run
            draft.final_settings(values)
        for seed in range(draft.settings.seed, draft.settings.seed + draft.part.seeds):
            trial = Trial(index, seed, values)
            draft.trial_settings(trial)
            yield trial
