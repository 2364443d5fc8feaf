"""The same request, the same reply to the bit: before and after a restart of the model service, with other threads, other
batches, a warm prefix cache, and others beside it."""
import concurrent.futures
import unittest

from reflection_client import Client
from services import STORIES, Service

MODEL = "llama.v1.ModelService/Generate"


def request(seed, prompt=90, temperature=1.0):
    return {"prompt_token_ids": [1, *((seed * 31 + i * i * 7) % 500 + 3 for i in range(prompt))],
            "sampling": {"temperature": temperature, "seed": seed, "top_p": 0.95},
            "stopping": {"max_tokens": 40}, "output": {"top_candidates": 3}}


class Model:
    def __init__(self, *flags):
        self.service = Service("lnb-model", "llama.v1.ModelService", f"--model_dir={STORIES}", *flags)
        self.service.wait_until_ready()
        self.client = Client(self.service.address)
        self.client.methods(MODEL.split("/")[0])  # Now, for threads will share it.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.service.close()

    def reply(self, asked):
        """Every token with its log-probability, rank and candidates; and how much of the prompt was cached."""
        events = list(self.client.dicts(MODEL, asked))
        tokens = [token for event in events for token in event.get("tokens", {}).get("tokens", [])]
        return tokens, int(events[-1]["finished"]["usage"].get("cached_prompt_tokens", 0))


class RestartTest(unittest.TestCase):
    def test_a_reply_outlives_the_process(self):
        asked = [request(seed, temperature=seed % 3 / 2) for seed in range(1, 7)]
        with Model("--threads=2") as model:
            before = [model.reply(one)[0] for one in asked]
        self.assertEqual({len(tokens) for tokens in before}, {40})
        for flags in (["--threads=2"], ["--threads=1", "--max_batch_tokens=512"],
                      ["--threads=3", "--max_batch_tokens=32"]):
            with self.subTest(flags), Model(*flags) as model:
                with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:  # Beside each other.
                    self.assertEqual([tokens for tokens, _ in pool.map(model.reply, asked)], before)
                for one, tokens in zip(asked, before):  # And with a warm cache.
                    again, cached = model.reply(one)
                    self.assertGreaterEqual(cached, 80)
                    self.assertEqual(again, tokens)


if __name__ == "__main__":
    unittest.main()
