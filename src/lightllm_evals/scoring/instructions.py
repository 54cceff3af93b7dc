"""IFEval's 25 kinds of instruction, each a predicate on the response.

Source: https://github.com/google-research/google-research, ``instruction_following_eval/
instructions.py``, with the repairs that lm-evaluation-harness 0.4.13 made to it. Deviation: for
the two prompts that ask for a character that is no letter (1122 and 1129) the original counts a
random letter; here that character is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightllm_evals.scoring import english

Checker = Callable[..., bool]


def _compares(count: int, relation: str, threshold: int) -> bool:
    return count < threshold if relation == "less than" else count >= threshold


def keywords_existence(text: str, *, keywords: Sequence[str]) -> bool:
    """Whether every keyword's pattern is found, case ignored."""
    return all(re.search(keyword, text, re.IGNORECASE) for keyword in keywords)


def keywords_frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """Whether a keyword's pattern is found often, or seldom, enough."""
    return _compares(len(re.findall(keyword.strip(), text, re.IGNORECASE)), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: Sequence[str]) -> bool:
    """Whether none of the words occurs as a whole word, case ignored."""
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """Whether a letter occurs often, or seldom, enough, case ignored."""
    return _compares(text.lower().count(letter.lower()), let_relation, let_frequency)


def response_language(text: str, *, language: str) -> bool:
    """Whether the response is in a language."""
    return english.is_language(text, language)


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
    """Whether there are enough, or few enough, sentences."""
    return _compares(len(english.sentences(text)), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Whether ``***`` separates exactly so many paragraphs, none of them empty."""
    paragraphs = re.split(r"\s?\*\*\*\s?", text)
    inner = paragraphs[1:-1]
    filled = [paragraph for paragraph in paragraphs if paragraph.strip()]
    return all(p.strip() for p in inner) and len(filled) == num_paragraphs


def number_words(text: str, *, num_words: int, relation: str) -> bool:
    """Whether there are enough, or few enough, words."""
    return _compares(english.count_words(text), relation, num_words)


def nth_paragraph_first_word(
    text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """Whether a blank line separates so many paragraphs and the n-th begins with a word."""
    paragraphs = text.split("\n\n")
    filled = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    # The original counts filled paragraphs and looks the n-th up among all.
    if nth_paragraph > filled or not paragraphs[nth_paragraph - 1].strip():
        return False
    word = paragraphs[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    begin = re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower()
    return filled == num_paragraphs and begin == first_word.lower()


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """Whether there are at least so many ``[placeholders]``."""
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """Whether there is a postscript with the marker."""
    marker = {
        "P.P.S": r"p\.\s?p\.\s?s",
        "P.S.": r"p\.\s?s\.",
    }.get(postscript_marker.strip(), postscript_marker.strip().lower())
    return bool(re.search(marker, text.lower()))


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    """Whether exactly so many lines begin with ``*`` or ``-``."""
    stars = re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


def constrained_response(text: str) -> bool:
    """Whether one of the three allowed answers is given."""
    allowed = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
    return any(answer in text for answer in allowed)


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    """Whether at least so many parts stand between asterisks, doubled ones counted again."""
    single = [s for s in re.findall(r"\*[^\n\*]*\*", text) if s.strip("*").strip()]
    double = [s for s in re.findall(r"\*\*[^\n\*]*\*\*", text) if s[2:-2].strip()]
    return len(single) + len(double) >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """Whether at least so many sections open with the splitter and a number."""
    splits = re.split(rf"\s?{section_spliter.strip()}\s?\d+\s?", text)
    return len(splits) - 1 >= num_sections


def json_format(text: str) -> bool:
    """Whether the whole response is JSON, a code fence around it aside."""
    text = text.strip()
    for fence in "```json", "```Json", "```JSON", "```":
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """Whether there is a title in double angle brackets."""
    return any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))


def two_responses(text: str) -> bool:
    """Whether six asterisks separate two different responses."""
    parts = text.split("******")
    filled = [part.strip() for part in parts if part.strip()]
    return all(p.strip() for p in parts[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """Whether the response begins with the prompt, case ignored."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, *, end_phrase: str) -> bool:
    """Whether the response ends with a phrase, case and closing quotes ignored."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Whether words in capitals are frequent, or rare, enough."""
    return _compares(english.count_capital_words(text), capital_relation, capital_frequency)


def english_capital(text: str) -> bool:
    """Whether the response is English in capitals."""
    return text.isupper() and english.is_language(text, "en")


def english_lowercase(text: str) -> bool:
    """Whether the response is English in lower case."""
    return text.islower() and english.is_language(text, "en")


def no_comma(text: str) -> bool:
    """Whether there is no comma."""
    return "," not in text


def quotation(text: str) -> bool:
    """Whether the response stands between double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


CHECKERS: Mapping[str, Checker] = {
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "combination:repeat_prompt": repeat_prompt,
    "combination:two_responses": two_responses,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:json_format": json_format,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:title": title,
    "keywords:existence": keywords_existence,
    "keywords:forbidden_words": forbidden_words,
    "keywords:frequency": keywords_frequency,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_words": number_words,
    "punctuation:no_comma": no_comma,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
}


def is_followed(kind: str, arguments: Mapping[str, Any], text: str) -> bool:
    """Returns whether a response follows one instruction; an empty one follows none.

    Raises:
        KeyError: There is no such kind of instruction.
    """
    # Copies of the data set fill absent arguments with None.
    given = {name: value for name, value in arguments.items() if value is not None}
    return bool(text.strip()) and CHECKERS[kind](text, **given)
