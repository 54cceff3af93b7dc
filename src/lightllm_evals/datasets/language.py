"""LAMBADA's passages and WikiText-2's articles."""

from __future__ import annotations

from collections.abc import Iterator

from lightllm_evals.datasets import storage
from lightllm_evals.records import Sample


def lambada() -> list[Sample]:
    """Returns the 5,153 passages in OpenAI's form; ids are row numbers.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("lambada/lambada_test_openai.jsonl")
    return [Sample(id=str(index), fields=row) for index, row in enumerate(rows)]


def wikitext2() -> list[Sample]:
    """Returns the 62 articles of the test split as ``page``; ids are their numbers.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    text = storage.read_content("wikitext2/wiki.test.raw").decode("utf-8")
    return [
        Sample(id=str(index), fields={"page": page}) for index, page in enumerate(articles(text))
    ]


def articles(text: str) -> Iterator[str]:
    """Yields the text in pieces that each begin with a heading of the first level.

    Source of the rule: the data set EleutherAI/wikitext_document_level, which published word
    perplexities use. What stands before the first heading is left out if it is blank.
    """
    piece: list[str] = []
    for line in text.split("\n"):
        if _is_article_heading(line):
            if "\n".join(piece).strip():
                yield "\n".join(piece)
            piece = []
        piece.append(line)
    yield "\n".join(piece)


def _is_article_heading(line: str) -> bool:
    # Deeper levels are written "= = Title = =".
    line = line.replace("= = =", "===").replace("= =", "==").strip()
    return line.startswith("= ") and line.endswith(" =")
