"""One soak from its start to its verdict."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.soak.driving import Say, drive
from tests.soak.journal import Journal
from tests.soak.rig import KINDS, Rig
from tests.soak.verdict import judge

FLOORS: Final = {
    "charge": 150,
    "authorize": 40,
    "capture": 20,
    "void": 4,
    "extend": 2,
    "top_up": 30,
    "report": 20,
    "draw": 4,
    "return": 1,
    "move": 5,
    "plan": 4,
    "limit": 8,
    "new_limit": 2,
    "grant": 4,
    "adjust": 3,
    "credit": 2,
    "state": 2,
    "reverse": 1,
    "clash": 2,
}
"""How often each thing is to happen at least, whatever it is answered."""
REFUSED_MIN: Final = 30


@dataclass
class Soak:
    """What came of it. `wrong`: a sentence for whatever is not as it must be; `lines`: the summary."""

    seed: str
    folder: Path
    wrong: list[str]
    lines: list[str]
    kills: Counter[str]
    acts: Counter[str]
    refused: int


def soak(seconds: float, seed: str, folder: Path, say: Say) -> Soak:
    """Soak for so long in an installation under `folder`, which is emptied. When something is wrong, that
    stays there to be looked at, with the journal, the data and what all processes said."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.jsonl")
    with Rig(folder / "var", seed) as rig:
        soaked = drive(rig, journal, seconds, seed, say, lambda: is_enough(journal, rig))
        wrong, lines = judge(soaked)
    refused = sum(act.status == 402 for act in journal.acts)
    kills = Counter(kill.kind for kill in rig.kills)
    (folder / "wrong.txt").write_text("\n".join([f"seed {seed}", *wrong, *lines]))
    if not wrong:
        shutil.rmtree(folder)
    return Soak(seed, folder, wrong, lines, kills, acts_of(journal), refused)


def acts_of(journal: Journal) -> Counter[str]:
    """How many acts of each kind were answered."""
    return Counter(act.kind for act in journal.acts)


def is_enough(journal: Journal, rig: Rig) -> bool:
    """Whether each kind of thing has happened often enough, and each kind of process was killed."""
    acts = acts_of(journal)
    refused = sum(act.status == 402 for act in journal.acts)
    is_killed = {kill.kind for kill in rig.kills} == set(KINDS)
    return is_killed and refused >= REFUSED_MIN and all(acts[kind] >= least for kind, least in FLOORS.items())
