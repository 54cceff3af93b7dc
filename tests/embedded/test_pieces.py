from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.embedded.pieces import VOCAB_SIZE, PieceTokenizer

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_decoding_gives_the_text_back(text: str) -> None:
    tokenizer = PieceTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(texts, texts)
def test_ids_do_not_depend_on_what_was_seen_before(before: str, text: str) -> None:
    used = PieceTokenizer()
    used.encode(before)
    assert used.encode(text) == PieceTokenizer().encode(text)
    assert all(0 <= token_id < VOCAB_SIZE for token_id in used.encode(text))


def test_a_stop_text_is_the_tail_of_the_text_that_it_ends() -> None:
    tokenizer = PieceTokenizer()
    stop = tokenizer.encode("\nclass")
    assert tokenizer.encode("    return x\n\nclass")[-len(stop) :] == stop


def test_a_lone_surrogate_is_no_crash() -> None:
    tokenizer = PieceTokenizer()
    assert tokenizer.encode("a \ud83c b")
