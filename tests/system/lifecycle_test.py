"""Services that come, go, and die."""
import signal
import unittest

import grpc
from reflection_client import error_details
from services import DATA, GENERATE, Services, run, wait_until

ENDLESS = {"prompt": {"text": "Once"}, "stopping": {"ignore_eos": True}}


class LifecycleTest(unittest.TestCase):
    def test_a_killed_model_is_reported_and_its_return_noticed(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            call = services.client().call(GENERATE, ENDLESS)
            for _ in range(5):
                next(call)
            services.model.stop(signal.SIGKILL)
            with self.assertRaises(grpc.RpcError) as raised:
                list(call)
            details = error_details(raised.exception)
            self.assertEqual(details["reason"], "BACKEND_LOST")
            self.assertEqual(details["metadata"]["backend"], "model")
            self.assertGreaterEqual(int(details["metadata"]["tokens"]), 1)

            wait_until(lambda: not services.gateway.ready())
            with self.assertRaises(grpc.RpcError) as raised:
                list(services.client().call(GENERATE, ENDLESS, timeout=2))
            self.assertEqual(error_details(raised.exception)["reason"], "BACKEND_UNREACHABLE")

            services.model.close()
            services.model = services.start_model(port=services.model.port)
            services.gateway.wait_until_ready()
            self.assertTrue(list(services.client().call(GENERATE, {"prompt": {"text": "a"},
                                                                   "stopping": {"max_tokens": 2}})))

    def test_a_killed_tokenizer_is_reported(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            call = services.client().call(GENERATE, ENDLESS)
            next(call)
            services.tokenizer.stop(signal.SIGKILL)
            with self.assertRaises(grpc.RpcError) as raised:
                list(call)
            self.assertEqual(error_details(raised.exception)["metadata"]["backend"], "tokenizer")

    def test_calls_under_way_finish_while_the_services_drain(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            client = services.client()
            request = {"prompt": {"text": "Once"}, "stopping": {"max_tokens": 500, "ignore_eos": True}}
            call = client.call(GENERATE, request)
            next(call)
            services.gateway.process.send_signal(signal.SIGTERM)
            rest = list(call)
            self.assertTrue(rest[-1].HasField("finished"))
            self.assertEqual(services.gateway.process.wait(20), 0)
            self.assertEqual(services.model.stop(), 0)
            self.assertEqual(services.tokenizer.stop(), 0)

    def test_a_tokenizer_of_another_model_is_noticed(self):
        with Services(tokenizer_dir=DATA / "llama2-tokenizer") as services:
            services.tokenizer.wait_until_ready()
            services.model.wait_until_ready()
            wait_until(lambda: "do not belong together" in services.gateway.log_text())
            self.assertFalse(services.gateway.ready())
            with self.assertRaises(grpc.RpcError) as raised:
                list(services.client().call(GENERATE, ENDLESS))
            self.assertEqual(error_details(raised.exception)["reason"], "TOKENIZER_MISMATCH")

    def test_a_port_in_use_is_named(self):
        with Services() as services:
            services.tokenizer.wait_until_ready()
            done = run("lnb-tokenizer", f"--listen={services.tokenizer.address}", f"--model_dir={services.model_dir}")
            self.assertEqual(done.returncode, 1)
            self.assertIn(services.tokenizer.address, done.stderr.splitlines()[-1])

    def test_a_gateway_that_is_not_there_is_named(self):
        done = run("lnb-console", "--gateway=127.0.0.1:1", "--completion=a")
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:1", done.stderr)


if __name__ == "__main__":
    unittest.main()
