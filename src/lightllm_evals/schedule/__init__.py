"""Which request goes next, and where: a state machine without threads, clock or I/O."""

from lightllm_evals.schedule.actions import Action, Break, Check, Deliver, Failure, Send
from lightllm_evals.schedule.policy import Schedule

__all__ = ["Action", "Break", "Check", "Deliver", "Failure", "Schedule", "Send"]
