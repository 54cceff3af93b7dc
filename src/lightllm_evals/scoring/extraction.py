"""The outcome beside right and wrong: the completion has no answer in it."""

from __future__ import annotations


class ExtractionError(AssertionError):
    """Nothing that could be an answer was found; counted apart from wrong answers."""


def found_answer(answer: str, expected_form: str) -> str:
    """Returns an extracted answer as it is.

    Raises:
        ExtractionError: It is empty; says what was looked for.
    """
    if not answer:
        raise ExtractionError(f"The completion has no answer in the form {expected_form}.")
    return answer
