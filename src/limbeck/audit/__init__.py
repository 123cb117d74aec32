"""Audits: the plan, the shadow runs, the attacks and what they show."""

from limbeck.audit.result import Audit
from limbeck.audit.run import audit, prepare
from limbeck.audit.session import Session
from limbeck.callable_package import make_callable

__all__ = ["Audit", "Session", "audit", "prepare"]

make_callable(__name__, audit)
