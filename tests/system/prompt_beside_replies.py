"""How long replies under way stand still for a long prompt: prompt_beside_replies.py MODEL_SERVICE [PROMPT_TOKENS] [STREAMS].

A measurement: STREAMS (8) replies are under way when a prompt of PROMPT_TOKENS (4000) random ids comes. Of each reply the
median and the longest gap between two messages, from its first one to its end, shortly after the prompt's first token.
"""
import random
import sys
import threading
import time

from reflection_client import Client

GENERATE = "llama.v1.ModelService/Generate"


def request(seed, prompt_tokens, reply_tokens, vocabulary):
    draw = random.Random(seed)
    return {"prompt_token_ids": [1, *(draw.randrange(3, vocabulary) for _ in range(prompt_tokens - 1))],
            "sampling": {"temperature": 1, "seed": seed}, "stopping": {"max_tokens": reply_tokens}}


class Reply(threading.Thread):
    """One call, until it is over or told to end; `times` are its messages' with tokens."""

    def __init__(self, client, asked):
        super().__init__()
        self.call = client.call(GENERATE, asked, timeout=600)
        self.times = []
        self.over = False
        self.start()

    def run(self):
        for response in self.call:
            if response.HasField("tokens"):
                self.times.append(time.monotonic())
            if self.over:
                self.call.cancel()
                return


def main():
    address, prompt_tokens, streams = sys.argv[1], *(int(given) for given in [*sys.argv[2:], 4000, 8][:2])
    client = Client(address)
    vocabulary = int(client.unary("llama.v1.ModelService/GetModelInfo")["dimensions"]["vocab_size"])
    replies = [Reply(client, request(seed, 30, 2000, vocabulary)) for seed in range(1, streams + 1)]
    while min(len(reply.times) for reply in replies) < 30:
        time.sleep(0.01)
    start = time.monotonic()
    prompt = Reply(client, request(99, prompt_tokens, 1, vocabulary))
    prompt.join()
    time.sleep(1)
    for reply in replies:
        reply.over = True
    for reply in replies:
        reply.join()
    print(f"the prompt's first token came after {prompt.times[0] - start:.1f} s")
    for reply in replies:
        gaps = sorted(after - before for before, after in zip(reply.times, reply.times[1:]))
        median, longest = gaps[len(gaps) // 2], gaps[-1]
        print(f"{len(gaps)} gaps: median {1e3 * median:.0f} ms, longest {1e3 * longest:.0f} ms, {longest / median:.2f} times")


if __name__ == "__main__":
    main()
