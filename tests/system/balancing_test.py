"""One gateway over three model processes: chats find what their replica remembers of them, the work is shared out, and a
replica that goes or comes is noticed by nobody."""
import concurrent.futures
import signal
import tempfile
import threading
import unittest

import grpc
from metrics_test import MODEL_GENERATE, Scrape
from reflection_client import Client, error_details
from security_test import Authority
from services import DATA, GENERATE, STORIES, Service, run, text_of, wait_until

DEMO = DATA.parent.parent / "deploy" / "demo_model"
RULES = "You tell stories to small children. They are short, kind, and end well for everybody in them."
ENDLESS = {"prompt": {"text": "Once"}, "stopping": {"ignore_eos": True, "max_total_tokens": 4000}}


def model(port=None, folder=STORIES, flags=()):
    return Service("lnb-model", "llama.v1.ModelService", f"--model_dir={folder}", "--threads=1", *flags, port=port,
                   metrics=True)


def calls_of(service):
    """How many Generate calls a model has answered."""
    return int(Scrape(service)("lnb_rpc_requests_total", method=MODEL_GENERATE) or 0)


class Balanced(unittest.TestCase):
    def start(self, *models, name="{}"):
        """A tokenizer, and a gateway over the models."""
        self.models = list(models)
        self.tokenizer = self.own(Service("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}"))
        for one in self.models:
            self.own(one).wait_until_ready()
        self.gateway = self.gateway_of(*models)
        wait_until(lambda: all(f"{one.address}: used" in self.gateway.log_text() for one in models))

    def gateway_of(self, *models):
        gateway = self.own(Service("lnb-gateway", "llama.v1.GatewayService", f"--tokenizer={self.tokenizer.address}",
                                   "--model=" + ",".join(one.address for one in models)))
        gateway.wait_until_ready()
        return gateway

    def own(self, service):
        self.addCleanup(service.close)
        return service


class Chat:
    """A dialogue that grows turn by turn."""

    def __init__(self, number, salt):
        self.number, self.salt = number, salt
        self.messages = [{"role": "ROLE_SYSTEM", "content": RULES}]
        self.prompt_tokens = self.cached_tokens = 0

    def turn(self, client):
        self.messages.append({"role": "ROLE_USER", "content": f"Tell me story {self.number * 7919} about {self.number} "
                              f"dogs, as number {len(self.messages)} of today."})
        events = list(client.dicts(GENERATE, {
            "prompt": {"chat": {"messages": self.messages}}, "cache_salt": self.salt,
            "stopping": {"max_tokens": 12, "ignore_eos": True}}))
        usage = events[-1]["finished"]["usage"]
        self.prompt_tokens += int(usage["prompt_tokens"])
        self.cached_tokens += int(usage.get("cached_prompt_tokens", 0))
        self.messages.append({"role": "ROLE_ASSISTANT", "content": text_of(events)})


def hit_rate(gateways, salt, chats=91, turns=4, at_once=6):
    """Holds chats turn by turn, `at_once` at the same time, each call at the next gateway; which part of all prompts was
    found in the caches."""
    clients = [Client(gateway.address) for gateway in gateways]
    for client in clients:
        client.methods(GENERATE.split("/")[0])  # Now, for threads will share it.
    held = [Chat(number, salt) for number in range(chats)]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for turn in range(turns):
            list(pool.map(lambda chat: chat.turn(clients[(chat.number + turn * chats) % len(clients)]), held))
    return sum(chat.cached_tokens for chat in held) / sum(chat.prompt_tokens for chat in held)


class PrefixTest(Balanced):
    def setUp(self):
        self.start(model(), model(), model())

    def test_chats_find_their_cache_and_the_replicas_share_the_work(self):
        alone = [self.gateway_of(one) for one in self.models]
        single = hit_rate(alone[:1], "one replica")
        in_turn = hit_rate(alone, "in turn")
        before = [calls_of(one) for one in self.models]
        balanced = hit_rate([self.gateway], "balanced")
        calls = [calls_of(one) - was for one, was in zip(self.models, before)]
        print(f"hit rate: {single:.3f} with one replica, {balanced:.3f} with three, {in_turn:.3f} if they took turns; "
              f"calls {calls}")
        self.assertGreater(single, 0.5)
        self.assertGreater(balanced, 0.93 * single)
        self.assertLess(in_turn, 0.8 * balanced)
        self.assertEqual(sum(calls), 91 * 4)
        # By chance, as the addresses are: 30.3 chats each, with a standard deviation of 4.5.
        self.assertGreater(min(calls), 0.1 * sum(calls))

    def test_a_prompt_that_everybody_asks_is_shared_out(self):
        client = Client(self.gateway.address)
        calls = [client.call(GENERATE, ENDLESS) for _ in range(24)]
        for call in calls:
            next(call)
        running = []

        def all_run():
            running[:] = sorted(int(Client(one.address).unary("llama.v1.ModelService/GetLoad").get("running", 0))
                                for one in self.models)
            return sum(running) == 24

        wait_until(all_run)
        for call in calls:
            call.cancel()
        self.assertLessEqual(running[2], 12)  # 1.25 * 24 / 3 + 1, and the one that came below it.
        self.assertGreaterEqual(running[0], 1)


class Callers:
    """Clients that ask for stories of their own until told to stop; `failures` are the calls that failed."""

    def __init__(self, gateway, count=6):
        self.failures, self.replies, self.over = [], 0, threading.Event()
        self.gateway = gateway
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.replies > 50)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, number):
        client, call = Client(self.gateway.address), 0
        while not self.over.is_set():
            call, messages = call + 1, 0
            try:
                for _ in client.call(GENERATE, {"prompt": {"text": f"Dog {call} of {number}"},
                                                "stopping": {"max_tokens": 10, "ignore_eos": True}}):
                    messages += 1
                self.replies += 1
            except grpc.RpcError as error:
                self.failures.append((messages, error_details(error).get("reason"), error.details()))


class ChangeTest(Balanced):
    def setUp(self):
        self.start(model(), model(), model())

    def come_back(self, number):
        old = self.models[number]
        old.close()
        self.models[number] = self.own(model(port=old.port))
        wait_until(lambda: self.models[number].ready() and calls_of(self.models[number]) > 20)

    def test_a_killed_replica_costs_no_call_that_had_not_begun_and_is_used_again(self):
        lost = f"{self.models[1].address}: not used: the model service cannot be reached"
        with Callers(self.gateway) as callers:
            self.models[1].stop(signal.SIGKILL)
            replies = callers.replies
            wait_until(lambda: callers.replies > replies + 100 and lost in self.gateway.log_text())
            self.come_back(1)
        for messages, reason, text in callers.failures:
            self.assertEqual(reason, "BACKEND_LOST", text)
            self.assertGreaterEqual(messages, 1)
        self.assertLessEqual(len(callers.failures), 6)  # What was under way.
        self.assertNotIn("not ready: the model", self.gateway.log_text())

    def test_a_rolling_restart_costs_nothing(self):
        with Callers(self.gateway) as callers:
            for number in range(3):
                self.assertEqual(self.models[number].stop(signal.SIGTERM), 0)
                self.come_back(number)
        self.assertEqual(callers.failures, [])
        self.assertGreater(callers.replies, 200)


class OddReplicaTest(Balanced):
    def test_a_replica_of_another_vocabulary_is_named_and_not_used(self):
        odd = self.own(model(folder=DEMO))
        odd.wait_until_ready()
        self.models = [self.own(model()), self.own(model()), odd]
        for one in self.models:
            one.wait_until_ready()
        self.tokenizer = self.own(Service("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}"))
        self.gateway = self.gateway_of(*self.models)
        hit_rate([self.gateway], "", chats=20, turns=1)
        self.assertEqual(calls_of(odd), 0)
        self.assertIn(f"model replica {odd.address}: not used: the tokenizer has 512 tokens, the model 3000",
                      self.gateway.log_text())

    def test_names_are_resolved_and_certificates_are_of_the_name(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "ca")
            authority.issue("server", address="127.0.0.9")  # Not where it listens: the name must do.
            listen = (f"--tls_certificate={folder}/server.pem", f"--tls_key={folder}/server.key")
            one = self.own(model(flags=listen))
            tokenizer = self.own(Service("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}", *listen))
            gateway = self.own(Service("lnb-gateway", "llama.v1.GatewayService",
                                       f"--tokenizer=dns:///localhost:{tokenizer.port}",
                                       f"--model=dns:///localhost:{one.port}", f"--ca={folder}/ca.pem"))
            gateway.wait_until_ready()
            self.assertTrue(text_of(Client(gateway.address).dicts(GENERATE, {
                "prompt": {"text": "Once"}, "stopping": {"max_tokens": 5}})))

    def test_a_list_with_a_gap_is_wrong_usage(self):
        done = run("lnb-gateway", "--listen=127.0.0.1:0", "--log_level=off", "--model=127.0.0.1:1,,127.0.0.1:2")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn("--model", done.stderr)


if __name__ == "__main__":
    unittest.main()
