"""The log of the three servers: a line for each call, which lines of the others can be joined to, whatever callers put into
their requests."""
import collections
import concurrent.futures
import json
import os
import signal
import subprocess
import time
import unittest

import grpc
import http2
from services import BIN, GENERATE, STORIES, Services, free_port, text_of, wait_until

SECRET = "oxymoron"
SHORT = {"prompt": {"text": SECRET}, "stopping": {"max_tokens": 5, "ignore_eos": True}}
ENDLESS = {"prompt": {"text": SECRET}, "stopping": {"ignore_eos": True, "max_total_tokens": 4000}}
GATEWAY, MODEL = "llama.v1.GatewayService/Generate", "llama.v1.ModelService/Generate"
ENCODE, DECODE = "llama.v1.TokenizerService/Encode", "llama.v1.TokenizerService/DecodeStream"


def lines_of(service):
    """Every line, each of which must be an object of JSON that no control character is in."""
    lines = []
    for line in service.log_text().split("\n")[:-1]:
        assert line.isprintable(), repr(line)
        lines.append(json.loads(line))
    return lines


def calls_of(service):
    return [line for line in lines_of(service) if line["message"] == "call"]


class CallLogTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services(flags=("--log_format=json",))
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gateway.wait_until_ready()

    def call(self, request, request_id, expected=grpc.StatusCode.OK, cancel_after=None, **options):
        """Makes a call and waits until every service has said that its part is over: {method: [lines]}."""
        call = self.services.client().call(GENERATE, {**request, "request_id": request_id}, **options)
        code, text = grpc.StatusCode.OK, ""
        try:
            for i, response in enumerate(call):
                text += response.delta.text
                if i == cancel_after:
                    call.cancel()
        except grpc.RpcError as error:
            code = error.code()
        self.assertEqual(code, expected)
        self.services.wait_until_idle()
        wait_until(lambda: GATEWAY in self.lines(request_id))
        time.sleep(0.2)  # For lines too many.
        return self.lines(request_id)

    def lines(self, request_id):
        found = collections.defaultdict(list)
        for service in (self.services.gateway, self.services.tokenizer, self.services.model):
            for line in calls_of(service):
                if line["request_id"] == request_id:
                    found[line["method"]].append(line)
        return found

    def check(self, lines, codes):
        """`codes`: {method: code}, of exactly the lines that there should be."""
        self.assertEqual({method: [line["code"] for line in some] for method, some in lines.items()},
                         {method: [code] for method, code in codes.items()})
        for some in lines.values():
            for line in some:
                self.assertGreaterEqual(line["total_ms"], 0)
                self.assertIn("127.0.0.1", line["peer"])
                self.assertTrue(line["caller"].startswith("ipv4:127.0.0.1"))

    def test_an_answered_call_leaves_one_line_in_each_service_with_counts_and_times(self):
        lines = self.call(SHORT, "answered")
        self.check(lines, {GATEWAY: "OK", MODEL: "OK", ENCODE: "OK", DECODE: "OK"})
        prompt = lines[ENCODE][0]["prompt_tokens"]
        for method in (GATEWAY, MODEL):
            (line,) = lines[method]
            self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (prompt, 5))
            self.assertIn("cached_prompt_tokens", line)
            self.assertLessEqual(line["queue_ms"], line["first_token_ms"])
            self.assertLessEqual(line["first_token_ms"], line["total_ms"])
            self.assertNotIn("reason", line)
        self.assertEqual(lines[DECODE][0]["completion_tokens"], 5)

    def test_a_call_that_the_model_refuses_has_its_reason_in_both(self):
        lines = self.call({**SHORT, "stopping": {"stop_token_ids": [100_000]}}, "refused",
                          grpc.StatusCode.INVALID_ARGUMENT)
        decode = lines.pop(DECODE, None)  # Begun at the same time, and cancelled if it came that far.
        self.check(lines, {GATEWAY: "INVALID_ARGUMENT", MODEL: "INVALID_ARGUMENT", ENCODE: "OK"})
        if decode:
            self.assertEqual([line["code"] for line in decode], ["CANCELLED"])
        for method in (GATEWAY, MODEL):
            self.assertEqual(lines[method][0]["reason"], "FIELD_INVALID")

    def test_a_call_that_the_tokenizer_refuses_goes_no_further(self):
        order = {"chat": {"messages": [{"role": "ROLE_ASSISTANT", "content": SECRET}]}}
        lines = self.call({"prompt": order}, "order", grpc.StatusCode.INVALID_ARGUMENT)
        self.check(lines, {GATEWAY: "INVALID_ARGUMENT", ENCODE: "INVALID_ARGUMENT"})
        for method in (GATEWAY, ENCODE):
            self.assertEqual(lines[method][0]["reason"], "FIELD_INVALID")

    def test_a_call_that_the_gateway_refuses_is_its_alone(self):
        lines = self.call({"prompt": {"text": SECRET * 200_000}}, "long", grpc.StatusCode.INVALID_ARGUMENT)
        self.check(lines, {GATEWAY: "INVALID_ARGUMENT"})
        self.assertEqual(lines[GATEWAY][0]["reason"], "PROMPT_TOO_LONG")

    def test_a_cancelled_call_tells_how_far_it_came(self):
        lines = self.call(ENDLESS, "cancelled", grpc.StatusCode.CANCELLED, cancel_after=5)
        self.check(lines, {GATEWAY: "CANCELLED", MODEL: "CANCELLED", ENCODE: "OK", DECODE: "CANCELLED"})
        for method in (GATEWAY, MODEL, DECODE):
            self.assertGreaterEqual(lines[method][0]["completion_tokens"], 1)
        self.assertGreaterEqual(lines[MODEL][0]["prompt_tokens"], 1)

    def test_an_expired_call_has_the_code_that_its_client_saw(self):
        lines = self.call(ENDLESS, "expired", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.2)
        self.assertEqual([line["code"] for line in lines[GATEWAY]], ["DEADLINE_EXCEEDED"])
        for method in (MODEL, DECODE):  # Whichever came first: the deadline, which goes with it, or the gateway.
            self.assertEqual(len(lines[method]), 1)
            self.assertIn(lines[method][0]["code"], ("DEADLINE_EXCEEDED", "CANCELLED"))

    def test_a_call_without_an_id_gets_one_that_is_the_same_everywhere(self):
        events = list(self.services.client().dicts(GENERATE, SHORT))
        given = events[0]["accepted"]["request_id"]
        wait_until(lambda: len(self.lines(given)) == 4)

    def test_questions_pass_their_id_on_too(self):
        self.services.client().unary("llama.v1.GatewayService/GetInfo", metadata=(("llama-request-id", "info"),))
        wait_until(lambda: len(self.lines("info")) == 3)
        self.check(self.lines("info"), {"llama.v1.GatewayService/GetInfo": "OK",
                                        "llama.v1.ModelService/GetModelInfo": "OK",
                                        "llama.v1.ModelService/GetComputePlan": "OK"})

    def test_health_checks_and_the_gateways_looking_are_not_logged(self):
        for service in (self.services.gateway, self.services.tokenizer, self.services.model):
            before = len(calls_of(service))
            self.assertTrue(service.ready())
            time.sleep(1.5)  # The gateway looks every second.
            self.assertEqual(calls_of(service)[before:], [])

    def test_what_callers_write_is_escaped_and_forges_nothing(self):
        forged = 'x"}\n{"time":"","level":"info","message":"call","request_id":"forged"}\x1b[31m\x7f\u2028\u202e'
        with self.assertRaises(grpc.RpcError):
            list(self.services.client().dicts(GENERATE, {**SHORT, "request_id": forged}))
        body = bytes([0x0A, 2 + len(SECRET), 0x0A, len(SECRET)]) + SECRET.encode()
        hostile = "a\x01\x7f\"\\}\x1b[31m\r\n\xff"
        for path, headers in ((GENERATE, (("llama-request-id", hostile),)), (GENERATE, (("llama-caller", hostile),)),
                              (GENERATE, (("authorization", hostile), ("llama-probe", hostile))),
                              ("no.such/" + hostile, ()), (GENERATE, [("llama-caller", hostile)] * 20)):
            for service in (self.services.gateway, self.services.tokenizer, self.services.model):
                with http2.connect(service.address) as connection:
                    connection.sendall(http2.call_headers(path, 1, headers) + http2.message(1, body))
                    connection.settimeout(0.3)
                    try:
                        while connection.recv(1 << 16):
                            pass
                    except OSError:
                        pass
        self.services.wait_until_idle()
        self.assertTrue(text_of(self.services.client().dicts(GENERATE, SHORT)))
        time.sleep(0.2)
        for service in (self.services.gateway, self.services.tokenizer, self.services.model):
            self.assertIsNone(service.process.poll(), service.log_text())
            for line in calls_of(service):  # Parses them all.
                self.assertNotEqual(line["request_id"], "forged")
                self.assertLessEqual(len(line["request_id"]), 64)

    def test_no_line_holds_a_word_of_prompt_or_reply(self):
        text = text_of(self.services.client().dicts(
            GENERATE, {**SHORT, "stopping": {"max_tokens": 60, "ignore_eos": True}}))
        words = [SECRET, *(word for word in text.split() if len(word) > 5)]
        self.services.wait_until_idle()
        time.sleep(0.2)
        for service in (self.services.gateway, self.services.tokenizer, self.services.model):
            for word in words:
                self.assertNotIn(word, service.log_text())


class TextLogTest(unittest.TestCase):
    def test_as_text_a_call_is_one_line_too(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            list(services.client().dicts(GENERATE, {**SHORT, "request_id": "as-text"}))
            wait_until(lambda: "as-text" in services.gateway.log_text())
            (line,) = [line for line in services.gateway.log_text().splitlines() if "as-text" in line]
            self.assertRegex(line, rf" info call request_id=as-text method={GATEWAY} peer=ipv4:127.0.0.1:\d+ "
                                   r"caller=ipv4:127.0.0.1 code=OK prompt_tokens=\d+ cached_prompt_tokens=\d+ "
                                   r"completion_tokens=5 queue_ms=[\d.]+ first_token_ms=[\d.]+ total_ms=[\d.]+$")


class BlockedLogTest(unittest.TestCase):
    def test_a_log_that_nobody_reads_holds_up_no_reply_and_no_end(self):
        ports = [free_port() for _ in range(3)]
        tokenizer, model, gateway = (f"127.0.0.1:{port}" for port in ports)
        read_end, write_end = os.pipe()
        running = [subprocess.Popen([BIN / program, *flags], stderr=write_end) for program, *flags in (
            ["lnb-tokenizer", f"--listen={tokenizer}", f"--model_dir={STORIES}"],
            ["lnb-model", f"--listen={model}", f"--model_dir={STORIES}"],
            ["lnb-gateway", f"--listen={gateway}", f"--tokenizer={tokenizer}", f"--model={model}"])]
        try:
            os.close(write_end)
            services = Services.__new__(Services)
            services.gateway = type("Address", (), {"address": gateway})

            def answers(_=None):
                try:
                    return bool(text_of(services.client().dicts(GENERATE, SHORT)))
                except grpc.RpcError:
                    return False
            wait_until(answers)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:  # 400 calls: 1600 lines, a pipe holds some 200.
                self.assertTrue(all(pool.map(answers, range(400))))
            for process in reversed(running):
                start = time.monotonic()
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(20), 0)
                self.assertLess(time.monotonic() - start, 5)
        finally:
            os.close(read_end)
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()


if __name__ == "__main__":
    unittest.main()
