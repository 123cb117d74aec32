"""Audits: the plan, the shadow runs, the attacks and what they show."""
