"""Price changes: announced, executed in batches, steered, rolled back, made whole.

`announcing` fixes who moves and when, `executing` moves what is due (`moving`: one subscription),
`members` and `steering` are what people decide meanwhile, `ceilings` keep old limits, `making_whole` gives
back.
"""

from billing.rollouts.announcing import announce_rollout, draft_rollout, preview_cohort
from billing.rollouts.cohort import Cohort, candidates
from billing.rollouts.executing import execute_rollouts
from billing.rollouts.making_whole import make_whole, preview_make_whole
from billing.rollouts.members import acknowledge_member, except_members, hold_out
from billing.rollouts.notices import deliver_outbox
from billing.rollouts.steering import cancel_rollout, pause_rollout, resume_rollout, roll_back_rollout

__all__ = [
    "Cohort",
    "acknowledge_member",
    "announce_rollout",
    "cancel_rollout",
    "candidates",
    "deliver_outbox",
    "draft_rollout",
    "except_members",
    "execute_rollouts",
    "hold_out",
    "make_whole",
    "pause_rollout",
    "preview_cohort",
    "preview_make_whole",
    "resume_rollout",
    "roll_back_rollout",
]
