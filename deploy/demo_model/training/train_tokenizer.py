#!/usr/bin/python3
"""Trains deploy/demo_model/tokenizer.model on a sample of the corpus, with the flags of Llama 2's own tokenizer.model.

Emoji are left out of the sample, so that they are spelled as byte tokens; all printable ASCII is in the vocabulary.
"""
import argparse
import itertools
import pathlib
import re
import string

import sentencepiece

import corpus


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tokenizer.model")
    parser.add_argument("--pieces", type=int, default=3000)
    parser.add_argument("--documents", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    texts = (corpus.show(document) for _, document in zip(range(arguments.documents), corpus.documents(arguments.seed)))
    ascii_line = " ".join(c for c in string.printable if " " < c <= "~")
    lines = (re.sub(r"[^ -~]+", " ", line).strip() for text in texts for line in re.split(r"</?s>|\n", text))
    with open(arguments.out, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=itertools.chain((line for line in lines if line), [ascii_line] * 1000),
            model_writer=model, model_type="bpe", vocab_size=arguments.pieces,
            character_coverage=0.99995, byte_fallback=True, split_digits=True, split_by_unicode_script=True,
            split_by_number=True,
            split_by_whitespace=True, allow_whitespace_only_pieces=True, add_dummy_prefix=True,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity", max_sentencepiece_length=16, max_sentence_length=4192,
            hard_vocab_limit=True,
            unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
            unk_surface=" \u2047 ", num_threads=1, shuffle_input_sentence=False)


if __name__ == "__main__":
    main()
