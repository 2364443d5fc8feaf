#!/usr/bin/python3
"""The corpus: an endless stream of documents, the same for the same seed.

    corpus.py [--seed N] [--documents N] [--held_out]    prints documents, to look at
    corpus.py --check ADDRESS                            compares the ids with a running tokenizer service's
"""
import argparse
import pathlib
import random
import sys

import completions
import dialogues

COMPLETIONS = 0.2  # Share of the documents.


def documents(seed, held_out=False):
    """Texts (str) and dialogues.Dialogue without end."""
    rng = random.Random(f"{seed}/{held_out}")
    while True:
        yield completions.completion(rng) if rng.random() < COMPLETIONS else dialogues.dialogue(rng, held_out)


def messages(dialogue, turns=None):
    """(role, content) of a dialogue up to the question of turn `turns` (default: the last), without its answer."""
    result = [("system", dialogue.system)] if dialogue.system else []
    for user, assistant in dialogue.turns[:turns]:
        result += [("user", user), ("assistant", assistant)]
    return result[:-1]


def render_turn(system, user):
    """The text of one turn up to its answer, as services/tokenizer/chat_format.cc (and Meta's code) builds it."""
    return f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user} [/INST]" if system else f"[INST] {user} [/INST]"


class Encoder:
    """Documents to ids, and what is to be learned at each position."""

    def __init__(self, path):
        import sentencepiece
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.bos, self.eos, self.size = self.pieces.bos_id(), self.pieces.eos_id(), self.pieces.vocab_size()

    def encode(self, document):
        """(ids, targets), equally long: targets[i] is the id to predict after ids[:i + 1], or -1: nothing is learned.

        Texts are learned whole, of dialogues the answers alone. An answer ends with </s> at once, although the format
        puts a blank between an answer and its </s> when it comes back as history: the target after the answer's last
        token is </s>, while the input goes on as the tokenizer service will render it.
        """
        if isinstance(document, str):
            ids = [self.bos] + self.pieces.encode(document)
            return ids, ids[1:] + [self.eos]
        ids, targets = [], []
        for turn, (user, assistant) in enumerate(document.turns):
            prompt = render_turn(document.system if turn == 0 else "", user)
            asked = [self.bos] + self.pieces.encode(prompt)
            answered = [self.bos] + self.pieces.encode(f"{prompt} {assistant}")
            assert answered[:len(asked)] == asked, document
            targets += [-1] * (len(asked) - 1) + answered[len(asked):] + [self.eos]
            ids += answered
            if turn + 1 < len(document.turns):
                history = [self.bos] + self.pieces.encode(f"{prompt} {assistant} ") + [self.eos]
                assert history[:len(answered)] == answered, document
                targets += [-1] * (len(history) - len(answered))
                ids += history[len(answered):]
        return ids, targets


def show(document):
    if isinstance(document, str):
        return f"<s>{document}</s>"
    return "".join(f"<s>{render_turn(document.system if i == 0 else '', user)} {assistant} </s>"
                   for i, (user, assistant) in enumerate(document.turns))


def check(address, encoder, seed, count):
    """Whether the tokenizer service gives the same ids for the prompts of `count` dialogues."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "system"))
    from reflection_client import Client
    client, checked = Client(address), 0
    for document in documents(seed):
        if checked == count:
            print(f"{checked} prompts: the same ids")
            return
        if isinstance(document, str):
            theirs = client.unary("llama.v1.TokenizerService/Encode", {"prompt": {"text": document}})["ids"]
            ours = encoder.encode(document)[0]
        else:
            chat = [{"role": "ROLE_" + role.upper(), "content": content} for role, content in messages(document)]
            theirs = client.unary("llama.v1.TokenizerService/Encode", {"prompt": {"chat": {"messages": chat}}})["ids"]
            ids, targets = encoder.encode(document)
            ours = ids[:len(ids) - (len(targets) - 1 - max(i for i, t in enumerate(targets) if t == -1)) + 1]
        assert theirs == ours, (show(document), theirs, ours)
        checked += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--held_out", action="store_true")
    parser.add_argument("--check", metavar="ADDRESS")
    parser.add_argument("--tokenizer", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tokenizer.model")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check, Encoder(arguments.tokenizer), arguments.seed, arguments.documents)
        return
    for _, document in zip(range(arguments.documents), documents(arguments.seed, arguments.held_out)):
        print(show(document), end="\n\n")


if __name__ == "__main__":
    main()
