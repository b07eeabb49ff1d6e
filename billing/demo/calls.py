"""What is called: made events as they would come over HTTP. Pure and, for the same dice, the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from billing.demo import cast
from billing.demo.cast import Actor

Event = dict[str, Any]

_OPENAI, _ANTHROPIC = "openai", "anthropic"
_MODELS: Final = (
    ((_OPENAI, "gpt-4o"), 34),
    ((_OPENAI, "gpt-4o-mini"), 38),
    ((_ANTHROPIC, "claude-sonnet-4-5"), 22),
    (("nimbus", "nimbus-local-7b"), 6),  # runs on machines of its own: nobody knows what a call costs
)


@dataclass(frozen=True, slots=True)
class Made:
    """A made event and when it happened."""

    at: datetime
    event: Event


def draw_events(actor: Actor, workspaces: list[str], at: datetime, key: str, dice: Random) -> list[Made]:
    """What one call of an actor makes: an event, or all events of a podcast."""
    workspace = workspaces[0] if dice.randrange(100) < 70 else dice.choice(workspaces)
    if actor.plan == cast.PODCAST:
        return _podcast(workspace, at, key, dice)
    user = f"{actor.slug}-user-{dice.randrange(1, 13)}" if dice.randrange(3) == 0 else None
    if actor.slug != cast.LOSS_MAKER and dice.randrange(25) == 0 and actor.plan not in (cast.JAPAN,):
        properties: dict[str, Any] = {"size": dice.choice(["small", "medium", "large"])}
        return [_made(at, key, "image_created", workspace, properties, user)]
    return [_made(at, key, "completion", workspace, completion(actor, dice), user)]


def completion(actor: Actor, dice: Random, *, scale: int = 1000) -> dict[str, Any]:
    """The properties of a call of a language model; `scale`: its size, per mille of that of the history."""
    weights = [weight for _, weight in _MODELS]
    provider, model = dice.choices([name for name, _ in _MODELS], weights)[0]
    tokens = dice.randrange(10_000, 110_000), dice.randrange(1_000, 12_000)
    if actor.slug == cast.LOSS_MAKER:  # long conversations with the dear model
        provider, model = _OPENAI, "gpt-4o"
        tokens = dice.randrange(14_000, 50_000), dice.randrange(1_500, 5_400)
    return {
        "provider": provider,
        "model": model,
        "input_tokens": tokens[0] * scale // 1000,
        "output_tokens": tokens[1] * scale // 1000,
    }


def podcast_steps(dice: Random) -> list[tuple[str, dict[str, Any]]]:
    """The events of one podcast in order: what it takes, then the podcast that is sold."""
    minutes = dice.randrange(6, 28)
    steps: list[tuple[str, dict[str, Any]]] = [("transcription", {"minutes": minutes * 2})]
    characters = [minutes * dice.randrange(90, 170) for _ in range(dice.randrange(1, 4))]
    steps += [
        ("generation", {"characters": count, "voice": dice.choice(["ada", "sam"])}) for count in characters
    ]
    steps.append(("encoding", {"minutes": minutes, "format": "mp3"}))
    return [*steps, ("podcast_created", {"minutes": minutes})]


def extras_of(name: str) -> Event:
    """The podcast itself is known to cost nothing beyond its steps."""
    return {"costs": []} if name == "podcast_created" else {}


def _podcast(workspace: str, at: datetime, key: str, dice: Random) -> list[Made]:
    made = []
    for number, (name, properties) in enumerate(podcast_steps(dice)):
        one = _made(at + timedelta(seconds=40 * number), f"{key}-{number}", name, workspace, properties, None)
        one.event.update({"trace": f"podcast-{key}"} | extras_of(name))
        made.append(one)
    return made


def _made(
    at: datetime, key: str, name: str, workspace: str, properties: dict[str, Any], user: str | None
) -> Made:
    event: Event = {
        "idempotency_key": key,
        "event": name,
        "workspace": workspace,
        "occurred_at": at.isoformat(),
        "properties": properties,
    }
    if user is not None:
        event["user"] = user
    return Made(at, event)
