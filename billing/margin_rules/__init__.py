"""Rules on falling margins: staff is told when the margin of the whole, a plan or a model fell so far.

`falling` compares, pure; `watching` looks at what is due; `verbs` makes and ends a rule.
docs/algorithms/margin-floor.md says how a fall is measured.
"""

from billing.margin_rules.verbs import create_rule, end_rule
from billing.margin_rules.watching import watch_margins

__all__ = ["create_rule", "end_rule", "watch_margins"]
