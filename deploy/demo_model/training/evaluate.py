#!/usr/bin/python3
"""Measures the demo model through the running services, and prints Markdown.

    evaluate.py [--gateway 127.0.0.1:50050] [--model 127.0.0.1:50052] [--prompts 300]

Greedy answers to the console's fixed prompts; perplexity of answers to held-out and to training prompts (by the model
service's Score); whether system prompts set the style of answers to questions that the corpus does not have. Needs
python3-grpcio and python3-sentencepiece. Exit status 1 if a criterion is not met.
"""
import argparse
import itertools
import math
import pathlib
import random
import re
import sys

import corpus
import styles
from dialogues import Dialogue

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "system"))
from reflection_client import Client  # noqa: E402

# As in clients/console/menu.cc: system prompt (None: a completion) and prompt.
MENU = [(None, "Hello, my name is"), ("You are Einstein", "Describe your theory."),
        ("Answer in 20 words, directly, and without an introduction", "Can you explain what is Theory of relativity?"),
        ("You are a pirate", "Explain what is quantum computer in 20 words."),
        ("Always answer with emojis", "How to go from Beijing to NY?"),
        ("Answer with only one emoji", "What is the flag of Turkey?")]
# Worded as no question of the corpus is.
UNSEEN = ["Why do people like chocolate so much?", "Which town governs Poland?", "I wonder how a volcano works.",
          "What is so special about whales?", "Could you give me some facts on Japan?",
          "How would you fly from Oslo to Lima?",
          "Is honey good for me?", "What happens in an earthquake?", "Do you enjoy music?",
          "Please inform me about the brain."]

_EMOJI = (r"(?:[\U0001F1E6-\U0001F1FF]{2}|[0-9]\ufe0f\u20e3"
          r"|[\u2190-\u2BFF\U0001F300-\U0001FAFF][\ufe0f\U0001F3FB-\U0001F3FF]*)")
ONE_EMOJI = re.compile(f"{_EMOJI}(?:\u200d{_EMOJI})*")


def emoji_only(text):
    return re.fullmatch(f"(?:{ONE_EMOJI.pattern}|\\s)+", text) is not None


def voice(name):
    openings = tuple(styles.VOICES[name].openings)
    return lambda text: text.startswith(openings)


STYLES = [
    ("You are a pirate", voice("pirate")), ("You are a robot.", voice("robot")), ("Act as a cat.", voice("cat")),
    ("You are a knight.", voice("knight")), ("You are a cook", lambda text: "a cook" in text),
    ("You are Einstein", lambda text: "Einstein" in text), ("Answer in 20 words", lambda text: len(text.split()) == 20),
    ("Answer in one word.", lambda text: len(text.split()) == 1), ("Always answer with emojis", emoji_only),
    ("Answer with only one emoji", lambda text: ONE_EMOJI.fullmatch(text) is not None),
    ("Be polite.", lambda text: "I hope that this helps you." in text)]


def prompt_of(system, user):
    if system is None:
        return {"text": user}
    chat = [{"role": "ROLE_SYSTEM", "content": system}] if system else []
    return {"chat": {"messages": chat + [{"role": "ROLE_USER", "content": user}]}}


def answer(gateway, prompt, most=120):
    """(text, tokens, whether it ended by EOS)."""
    text, finished = "", None
    for event in gateway.dicts("llama.v1.GatewayService/Generate",
                               {"prompt": prompt, "stopping": {"max_tokens": most}}):
        text += event.get("delta", {}).get("text", "")
        finished = event.get("finished", finished)
    return text.strip(), int(finished["usage"].get("completion_tokens", 0)), finished["reason"] == "FINISH_REASON_EOS"


def logprobs(model, encoder, document):
    """Of every token of a dialogue's answers, </s> included."""
    ids, targets = encoder.encode(document)
    request = {"token_ids": ids + [encoder.eos], "candidate_token_ids": [encoder.eos]}
    positions = [p for response in model.dicts("llama.v1.ModelService/Score", request) for p in response["positions"]]
    following = ids[1:] + [encoder.eos]
    return [position["next_logprob"] if wanted == follower else position["requested"][0]["logprob"]
            for position, wanted, follower in zip(positions, targets, following) if wanted >= 0]


def perplexity(model, encoder, documents):
    all_of_them = [value for document in documents for value in logprobs(model, encoder, document)]
    return math.exp(-sum(all_of_them) / len(all_of_them)), len(all_of_them)


def dialogues(seed, count, held_out):
    found = (d for d in corpus.documents(seed, held_out) if isinstance(d, Dialogue))
    return list(itertools.islice(found, count))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    parser.add_argument("--model", default="127.0.0.1:50052")
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20240, help="of the held-out prompts")
    parser.add_argument("--training_seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=12, help="held-out prompts to print, drawn at random")
    arguments = parser.parse_args()
    gateway, model = Client(arguments.gateway), Client(arguments.model)
    encoder = corpus.Encoder(HERE.parent / "tokenizer.model")
    met = True

    print("| the console's prompt | greedy answer | tokens | ends by EOS |\n| --- | --- | ---: | --- |")
    for number, (system, user) in enumerate(MENU, 1):
        text, tokens, ended = answer(gateway, prompt_of(system, user))
        print(f"| {number}. {'' if system is None else system + ': '}{user} | {text} | {tokens} | "
              f"{'yes' if ended else 'NO'} |")
        met &= ended and (number < 5 or emoji_only(text))

    held, seen = (perplexity(model, encoder, dialogues(seed, arguments.prompts, out))
                  for seed, out in ((arguments.seed, True), (arguments.training_seed, False)))
    print(f"\nPerplexity of the answers ({arguments.prompts} dialogues each): held out {held[0]:.3f} ({held[1]} "
          f"tokens), training {seen[0]:.3f} ({seen[1]} tokens), ratio {held[0] / seen[0]:.3f}")
    met &= held[0] <= 1.3 * seen[0]

    print(f"\n| system prompt | style kept, of {len(UNSEEN)} unseen questions | example |\n| --- | ---: | --- |")
    for system, fits in STYLES:
        texts = [answer(gateway, prompt_of(system, user))[0] for user in UNSEEN]
        kept = sum(fits(text) for text in texts)
        print(f"| {system} | {kept} | {UNSEEN[2]} → {texts[2]} |")
        met &= kept >= 8

    print("\n| held-out prompt | greedy answer |\n| --- | --- |")
    rng = random.Random(arguments.seed)
    for document in rng.sample(dialogues(arguments.seed, arguments.prompts, True), arguments.samples):
        text, _, _ = answer(gateway, prompt_of(document.system, document.turns[0][0]))
        print(f"| {document.system + ': ' if document.system else ''}{document.turns[0][0]} | {text} |")
    print(f"\nCriteria: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
