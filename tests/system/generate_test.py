"""What a client of the gateway sees of a reply."""
import concurrent.futures
import unittest

import grpc
from reflection_client import Client, error_details
from services import GENERATE, Services, run, shell, text_of

STORY = (" Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she "
         "saw a big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to "
         "the park.\" Lily was sad and didn't know what to do. She said, \"I want to play with your ball, but I can't "
         "find it.\"")


class GenerateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # In float32: with rounded activations a close call may go another way on other processors.
        cls.services = Services(model_flags=("--activations=f32",))
        cls.addClassCleanup(cls.services.__exit__)
        for service in (cls.services.tokenizer, cls.services.model, cls.services.gateway):
            service.wait_until_ready()
        cls.client = cls.services.client()

    def generate(self, request, **options):
        return list(self.client.dicts(GENERATE, request, **options))

    def test_reflection_lists_the_service(self):
        self.assertIn("llama.v1.GatewayService", self.client.services())

    def test_the_story_is_the_one_of_the_weights(self):
        events = self.generate({"prompt": {"text": ""}, "stopping": {"max_tokens": 140}})
        self.assertEqual(text_of(events)[:len(STORY)], STORY)

    def test_the_story_is_the_same_without_vector_instructions(self):
        with Services(model_flags=("--activations=f32", "--instruction_set=scalar")) as services:
            services.gateway.wait_until_ready()
            plan = Client(services.model.address).unary("llama.v1.ModelService/GetComputePlan")
            self.assertEqual(plan["instruction_set"], "scalar")
            events = list(services.client().dicts(GENERATE, {"prompt": {"text": ""}, "stopping": {"max_tokens": 140}}))
            self.assertEqual(text_of(events)[:len(STORY)], STORY)

    def test_events_come_in_the_promised_order(self):
        events = self.generate({"prompt": {"text": "Once"}, "stopping": {"max_tokens": 5},
                                "output": {"tokens": True, "prompt": True, "progress": True, "top_candidates": 2}})
        self.assertEqual([int(event.get("sequence", 0)) for event in events], list(range(len(events))))
        kinds = [next(kind for kind in ("accepted", "progress", "prompt", "delta", "finished") if kind in event)
                 for event in events]
        self.assertEqual(kinds[0], "accepted")
        self.assertEqual(sorted(kinds, key=["accepted", "progress", "prompt", "delta", "finished"].index), kinds)
        self.assertEqual(kinds[-1], "finished")
        self.assertEqual(events[-1]["finished"]["reason"], "FINISH_REASON_MAX_TOKENS")
        (prompt,) = [event["prompt"]["tokens"] for event in events if "prompt" in event]
        self.assertEqual([token["spelling"] for token in prompt][:1], ["<s>"])
        tokens = [token for event in events for token in event.get("delta", {}).get("tokens", [])]
        self.assertEqual(len(tokens), 5)
        for token in tokens:
            self.assertEqual(token["rank"], "1")  # Greedy.
            self.assertEqual(token["candidates"][0]["id"], token["id"])

    def test_replies_do_not_depend_on_each_other(self):
        def request(seed):
            return {"prompt": {"text": "Once upon a time"}, "sampling": {"temperature": 1, "seed": seed},
                    "stopping": {"max_tokens": 60}, "output": {"top_candidates": 0}}

        def tokens(seed):
            return [(token["id"], token["logprob"]) for event in Client(self.services.gateway.address).dicts(
                GENERATE, request(seed)) for token in event.get("delta", {}).get("tokens", [])]

        alone = tokens(1)
        self.assertEqual(len(alone), 60)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(tokens, [1, 2, 3, 4, 5, 6, 7, 1]))
        self.assertEqual(together[0], alone)
        self.assertEqual(together[7], alone)
        self.assertNotEqual(together[1], alone)

    def test_stop_sequences_end_the_reply_and_are_never_shown(self):
        whole = text_of(self.generate({"prompt": {"text": "Once"}, "stopping": {"max_tokens": 80}}))
        for stop in ("Lily", " was", whole[5:9], whole[20:33]):
            events = self.generate({"prompt": {"text": "Once"},
                                    "stopping": {"max_tokens": 80, "stop_sequences": [stop, "never there"]}})
            self.assertEqual(text_of(events), whole[:whole.index(stop)])
            self.assertEqual(events[-1]["finished"]["stop_sequence"], stop)
        events = self.generate({"prompt": {"text": "Once"}, "stopping": {"max_tokens": 80, "stop_sequences": ["zzz"]}})
        self.assertEqual(text_of(events), whole)

    def test_a_chat_is_rendered_in_the_models_format(self):
        events = self.generate({"prompt": {"chat": {"messages": [{"role": "ROLE_SYSTEM", "content": "Be brief"},
                                                                 {"role": "ROLE_USER", "content": "Hi"}]}},
                                "stopping": {"max_tokens": 3}})
        self.assertEqual(events[0]["accepted"]["rendered_prompt"],
                         "[INST] <<SYS>>\nBe brief\n<</SYS>>\n\nHi [/INST]")

    def test_the_deadline_and_cancellation_free_the_model(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.generate({"prompt": {"text": "Once"}}, timeout=0.2)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        call = self.client.call(GENERATE, {"prompt": {"text": "Once"}})
        next(call)
        call.cancel()
        self.services.wait_until_idle()
        self.assertEqual(int(self.services.load().get("kv_cache_bytes_used", 0)), 0)

    def test_a_time_limit_ends_gently(self):
        events = self.generate({"prompt": {"text": "Once"}, "stopping": {"time_limit": "0.2s"}})
        self.assertEqual(events[-1]["finished"]["reason"], "FINISH_REASON_TIME_LIMIT")
        self.assertTrue(text_of(events))

    def test_wrong_requests_name_the_field_as_the_client_wrote_it(self):
        for field, request in {
                "prompt": {},
                "prompt.token_ids.ids[1]": {"prompt": {"token_ids": {"ids": [1, 512]}}},
                "prompt.token_ids.ids": {"prompt": {"token_ids": {}}},
                "prompt.chat.messages": {"prompt": {"chat": {}}},
                "prompt.chat.messages[0]": {"prompt": {"chat": {"messages": [{"role": "ROLE_ASSISTANT"}]}}},
                "sampling.temperature": {"prompt": {"text": "a"}, "sampling": {"temperature": -1}},
                "sampling.logit_bias[512]": {"prompt": {"text": "a"}, "sampling": {"logit_bias": {"512": 1}}},
                "stopping.max_tokens": {"prompt": {"text": "a"}, "stopping": {"max_tokens": 0}},
                "stopping.stop_sequences[0]": {"prompt": {"text": "a"}, "stopping": {"stop_sequences": [""]}},
                "output.top_candidates": {"prompt": {"text": "a"}, "output": {"top_candidates": 21}},
                "request_id": {"prompt": {"text": "a"}, "request_id": "a b"}}.items():
            with self.assertRaises(grpc.RpcError) as raised:
                self.generate(request)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertEqual(error_details(raised.exception).get("field"), field)

    def test_prompts_that_are_too_long_are_refused_with_the_sizes(self):
        for reason, text in {"CONTEXT_LENGTH_EXCEEDED": "word " * 5000, "PROMPT_TOO_LONG": "a" * 1_100_000}.items():
            with self.assertRaises(grpc.RpcError) as raised:
                self.generate({"prompt": {"text": text}})
            self.assertEqual(error_details(raised.exception)["reason"], reason)

    def test_the_console_answers_once(self):
        done = run("lnb-console", f"--gateway={self.services.gateway.address}", "--completion=Once upon a time")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("there was a little girl named Lily", done.stdout)
        self.assertNotIn("\x1b", done.stdout)

    def test_the_consoles_menu_reads_piped_input_to_its_end(self):
        done = run("lnb-console", f"--gateway={self.services.gateway.address}", input="x\n99\n7\n\n 1 \n0\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("Not a valid number.", "Choice must be between 0 and 8.", "The prompt you entered is empty.",
                     "Finished by reaching sequence length.", "Model metadata was printed."):
            self.assertIn(text, done.stdout)
        self.assertIn("Tensor    0: tok_embeddings.weight", done.stdout)

    def test_a_closed_standard_output_is_a_failure(self):
        done = run("lnb-console", f"--gateway={self.services.gateway.address}", "--completion=Once",
                   under=shell('exec "$@" >&-'))
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output: Bad file descriptor", done.stderr)


if __name__ == "__main__":
    unittest.main()
