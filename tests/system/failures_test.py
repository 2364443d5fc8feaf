"""What goes wrong around the services: killed, stopped, cut short, flooded. Each failure is told in words, within its
time, and what is left goes on without a restart."""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import grpc
import http2
from big_checkpoint import write_big_checkpoint
from metrics_test import Scrape
from reflection_client import error_details
from services import BIN, GENERATE, SANITIZED, SLOWER, STORIES, Service, Services, free_port, shell, text_of, wait_until

ENDLESS = {"prompt": {"text": "Once"}, "stopping": {"ignore_eos": True, "max_total_tokens": 4000}}
SHORT = {"prompt": {"text": "Once upon a time"}, "stopping": {"max_tokens": 20, "ignore_eos": True}}
LONG = {"prompt": {"text": "Once"}, "stopping": {"max_tokens": 600, "ignore_eos": True}}


def dicts(services, request, **options):
    return list(services.client().dicts(GENERATE, request, **options))


class KilledTest(unittest.TestCase):
    """kill -9: the client knows within 2 s, with what happened and how much came; the gateway recovers."""

    def failure_before_the_stream(self, services):
        start = time.monotonic()
        with self.assertRaises(grpc.RpcError) as raised:
            dicts(services, SHORT)
        self.assertLess(time.monotonic() - start, 2 * SLOWER)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        return error_details(raised.exception)

    def failure_after_kill(self, services, victim):
        call = services.client().call(GENERATE, {**ENDLESS, "output": {"tokens": True}})
        got = [next(call) for _ in range(6)]
        victim.stop(signal.SIGKILL)
        start = time.monotonic()
        with self.assertRaises(grpc.RpcError) as raised:
            for response in call:
                got.append(response)
        self.assertLess(time.monotonic() - start, 2 * SLOWER)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        return raised.exception, got

    def test_a_backend_killed_before_and_in_mid_stream(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            whole = text_of(dicts(services, LONG))
            for name in ("model", "tokenizer"):
                victim = getattr(services, name)
                error, got = self.failure_after_kill(services, victim)
                tokens = sum(len(response.delta.tokens) for response in got)
                self.assertGreaterEqual(tokens, 1)
                details = error_details(error)
                self.assertEqual(details["reason"], "BACKEND_LOST")
                self.assertEqual(details["metadata"], {"backend": name, "tokens": str(tokens)})
                self.assertIn(f"the {name} service went away after {tokens} tokens", error.details())
                text = "".join(response.delta.text for response in got)
                self.assertTrue(whole.startswith(text[:len(whole)]))  # A prefix, never something else.

                details = self.failure_before_the_stream(services)  # For it is dead now.
                self.assertEqual(details["reason"], "BACKEND_UNREACHABLE")
                self.assertEqual(details["metadata"], {"backend": name})

                victim.close()
                program, service = (("lnb-model", "llama.v1.ModelService") if name == "model" else
                                    ("lnb-tokenizer", "llama.v1.TokenizerService"))
                setattr(services, name, Service(program, service, f"--model_dir={STORIES}", port=victim.port))
                wait_until(lambda: self.answers(services))

    @staticmethod
    def answers(services):
        try:
            return bool(dicts(services, SHORT))
        except grpc.RpcError:
            return False

    def test_a_killed_gateway_is_noticed_by_the_client_and_frees_the_model(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            error, _ = self.failure_after_kill(services, services.gateway)
            self.assertEqual(error_details(error), {})  # Nobody was there to say more.
            services.wait_until_idle()
            self.assertEqual(self.failure_before_the_stream(services), {})


class StoppedTest(unittest.TestCase):
    def test_a_service_that_stands_still_for_5_s_loses_no_call(self):
        with Services() as services:
            services.gateway.wait_until_ready()
            whole = text_of(dicts(services, LONG))
            for victim in (services.model, services.tokenizer, services.gateway):
                services.gateway.wait_until_ready()
                call = services.client().dicts(GENERATE, LONG)
                events = [next(call) for _ in range(3)]
                victim.process.send_signal(signal.SIGSTOP)
                try:
                    time.sleep(5)
                finally:
                    victim.process.send_signal(signal.SIGCONT)
                events += list(call)
                self.assertEqual(text_of(events), whole)
                self.assertIn("finished", events[-1])
            services.gateway.wait_until_ready()


class TerminatedTest(unittest.TestCase):
    def test_a_call_under_way_is_finished_by_each_service_that_is_told_to_end(self):
        for name in ("model", "tokenizer", "gateway"):
            with self.subTest(name), Services() as services:
                services.gateway.wait_until_ready()
                call = services.client().dicts(GENERATE, LONG)
                events = [next(call) for _ in range(3)]
                victim = getattr(services, name)
                victim.process.send_signal(signal.SIGTERM)
                events += list(call)
                self.assertIn("finished", events[-1])
                self.assertEqual(victim.process.wait(20 * SLOWER), 0, victim.log_text())

    def test_in_mid_load_it_ends_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            write_big_checkpoint(pathlib.Path(folder))
            for seconds in (0, 0.1, 0.3):
                model = Service("lnb-model", "llama.v1.ModelService", f"--model_dir={folder}", "--threads=1",
                                "--context_length=64")
                try:
                    wait_until(lambda: "loading" in model.log_text())
                    time.sleep(seconds)
                    start = time.monotonic()
                    self.assertEqual(model.stop(signal.SIGTERM), 0, model.log_text())
                    self.assertLess(time.monotonic() - start, 2 * SLOWER)
                finally:
                    model.close()


class CutShortTest(unittest.TestCase):
    def test_a_checkpoint_cut_short_while_it_is_served_ends_the_service_with_its_name(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            shutil.copytree(STORIES, folder, dirs_exist_ok=True)
            with Services(model_dir=folder) as services:
                services.gateway.wait_until_ready()
                whole = text_of(dicts(services, LONG))
                call = services.client().call(GENERATE, LONG)
                text = "".join(next(call).delta.text for _ in range(3))
                os.truncate(folder / "consolidated.00.pth", 4096)
                with self.assertRaises(grpc.RpcError) as raised:
                    for response in call:
                        text += response.delta.text
                self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertEqual(whole[:len(text)], text)
                self.assertEqual(services.model.process.wait(10 * SLOWER), 1)
                log = services.model.log_text()
                self.assertIn("consolidated.00.pth: a part of it that is in use cannot be read any more", log)
                self.assertEqual(len([line for line in log.splitlines() if "cannot be read" in line]), 1)


class LogTest(unittest.TestCase):
    def serve(self, under=(), **options):
        """One answer of services whose log goes nowhere."""
        ports = [free_port() for _ in range(3)]
        tokenizer, model, gateway = (f"127.0.0.1:{port}" for port in ports)
        programs = [
            ["lnb-tokenizer", f"--listen={tokenizer}", f"--model_dir={STORIES}"],
            ["lnb-model", f"--listen={model}", f"--model_dir={STORIES}"],
            ["lnb-gateway", f"--listen={gateway}", f"--tokenizer={tokenizer}", f"--model={model}"]]
        running = [subprocess.Popen([*under, BIN / program, *flags], **options) for program, *flags in programs]
        try:
            services = Services.__new__(Services)
            services.gateway = type("Address", (), {"address": gateway})
            wait_until(lambda: KilledTest.answers(services))
            for _ in range(20):
                self.assertTrue(text_of(dicts(services, SHORT)))
            for process in running:
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(20 * SLOWER), 0)
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def test_a_full_disk_under_the_log_harms_nothing(self):
        with open("/dev/full", "wb") as full:
            self.serve(stdout=full, stderr=full)

    def test_closed_standard_descriptors_harm_nothing(self):
        self.serve(under=shell('exec "$@" <&- >&- 2>&-'))

    def test_a_log_whose_reader_is_gone_harms_nothing(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            self.serve(stderr=write_end)
        finally:
            os.close(write_end)


    def test_prompts_and_replies_are_not_logged(self):
        with Services(flags=("--log_level=trace",)) as services:
            services.gateway.wait_until_ready()
            text = text_of(dicts(services, {"prompt": {"text": "Once there was an oxymoron"},
                                            "stopping": {"max_tokens": 40, "ignore_eos": True}}))
            with self.assertRaises(grpc.RpcError):
                dicts(services, {"prompt": {"text": "oxymoron " * 5000}})
            with self.assertRaises(grpc.RpcError):
                dicts(services, {"prompt": {"text": "oxymoron"}, "sampling": {"temperature": -1}})
            for service in (services.tokenizer, services.model, services.gateway):
                service.stop()
                log = service.log_text()
                self.assertNotIn("oxymoron", log)
                for word in text.split():
                    if len(word) > 4:
                        self.assertNotIn(word, log)


class FloodTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limits[1]), limits[1]))
        cls.services = Services()
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gateway.wait_until_ready()
        cls.whole = text_of(dicts(cls.services, SHORT))

    def assert_serves(self, seconds=10):
        if SANITIZED:  # Floods take them so long that the gateway's probes, which wait 1.5 s, may have failed.
            self.services.gateway.wait_until_ready()
        start = time.monotonic()
        self.assertEqual(text_of(dicts(self.services, SHORT, timeout=2 * seconds * SLOWER)), self.whole)
        self.assertLess(time.monotonic() - start, seconds * SLOWER)

    def services_addresses(self):
        return [self.services.gateway.address, self.services.model.address, self.services.tokenizer.address]

    def test_1000_connections_keep_nobody_out(self):
        connections = []
        try:
            for i in range(1000):  # Idle ones, half-open ones, and some that speak another language.
                connections.append(http2.connect(self.services.gateway.address, preface=i % 2 == 0))
                if i % 10 == 1:
                    connections[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assert_serves()
        finally:
            for connection in connections:
                connection.close()
        self.assert_serves()

    def test_bytes_that_are_no_protocol_are_survived(self):
        for address in self.services_addresses():
            for data in (b"\0" * 1000, b"\xff" * 100_000, http2.PREFACE[:10], http2.PREFACE + b"\xff" * 1000,
                         http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + http2.frame(0xFF, 0xFF, 0x7FFFFFFF, b"x"),
                         http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + b"\xff\xff\xff\x01\x04\0\0\0\1"):
                with http2.connect(address, preface=False) as connection:
                    try:
                        connection.sendall(data)
                    except OSError:
                        pass
        self.assert_serves()

    def test_headers_that_abort_unpatched_grpc_are_survived(self):
        # CVE-2023-1428: such a header, and others past the limit of 8 KiB.
        large = [(f"x-{i}", "v" * 120) for i in range(100)]
        for address in self.services_addresses():
            for odd in (("te", "x"), (":scheme", "x"), ("grpclb_client_stats", "x"), ("x-bin", "not base64!"),
                        ("content-type", "x"), (":path", "x"), ("grpc-timeout", "x"), ("grpc-encoding", "x"),
                        ("host", "x")):
                for fields in ([odd], [odd, *large], [*large, odd], [odd] * 50, large * 3):
                    with http2.connect(address) as connection:
                        connection.sendall(http2.call_headers(GENERATE, 1, fields) + http2.message(1, b""))
                        connection.settimeout(0.2)
                        self.drain(connection)
        self.assert_serves()
        for service in (self.services.gateway, self.services.model, self.services.tokenizer):
            self.assertIsNone(service.process.poll(), service.log_text())

    def test_10000_calls_that_are_reset_at_once_leave_nothing(self):
        body = bytes([0x0A, 0x06, 0x0A, 0x04]) + b"Once"  # prompt { text: "Once" }
        for _ in range(20):
            with http2.connect(self.services.gateway.address) as connection:
                threading.Thread(target=self.drain, args=(connection,), daemon=True).start()
                try:
                    for i in range(500):
                        stream = 2 * i + 1
                        connection.sendall(http2.call_headers(GENERATE, stream) + http2.message(stream, body) +
                                           http2.reset(stream))
                except OSError:
                    pass  # The server may have had enough of it.
        self.services.wait_until_idle()
        self.assert_serves()

    @staticmethod
    def drain(connection):
        try:
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass

    def test_clients_that_vanish_free_the_model(self):
        body = bytes([0x0A, 0x06, 0x0A, 0x04]) + b"Once"
        for _ in range(20):
            with http2.connect(self.services.gateway.address) as connection:
                connection.sendall(http2.call_headers(GENERATE, 1) + http2.message(1, body))
                # Linger 0: gone with a reset, without a word.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.services.wait_until_idle()
        self.assert_serves()

    def test_calls_without_a_deadline_end_by_themselves(self):
        def reply(_):
            client = self.services.client()
            client.timeout = None
            return "".join(response.delta.text for response in client.call(GENERATE, SHORT))

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(set(pool.map(reply, range(16))), {self.whole})


class ReadersTest(unittest.TestCase):
    # Sanitized programs would compute for longer than the first reader has until it is cut off.
    READERS, RUNNING = (10, 6) if SANITIZED else (50, 32)

    def test_50_readers_that_never_read_keep_nobody_out(self):
        # One thread, which other processes do not hold up at every barrier.
        with Services(model_flags=(f"--max_running={self.RUNNING}", "--threads=1"), metrics=True) as services:
            services.gateway.wait_until_ready()
            whole = text_of(dicts(services, SHORT))
            request = {"prompt": {"text": "Once"}, "stopping": {"max_tokens": 4000, "ignore_eos": True},
                       "output": {"top_candidates": 20}}
            body = services.client().encode(GENERATE, request)
            with contextlib.ExitStack() as connections:
                for _ in range(self.READERS):
                    connection = connections.enter_context(http2.connect(services.gateway.address))
                    # Whose window stays at the 64 KiB that every connection has at first.
                    connection.sendall(http2.call_headers(GENERATE, 1) + http2.message(1, body))
                # More of them than run at the same time: all have their turn, as far as their buffers
                # reach, and then give their places up.
                wait_until(lambda: self.under_way(services) == (self.RUNNING, self.READERS - self.RUNNING) and
                           self.stands_still(services.model), 60)
                # Well before the first of them is cut off, 30 s after it has stopped: places are free.
                for _ in range(3):
                    self.assertEqual(text_of(dicts(services, SHORT, timeout=8 * SLOWER)), whole)
                self.assertEqual(sum(self.under_way(services)), self.READERS)
                # At most twice the stall limit of 30 s later they are cut off.
                services.wait_until_idle(75)
                self.assertEqual(int(services.load().get("kv_cache_bytes_used", 0)), 0)

    @staticmethod
    def under_way(services):
        load = services.load()
        return int(load.get("running", 0)), int(load.get("waiting", 0))

    @staticmethod
    def stands_still(model):
        """Whether the model takes no step within a second."""
        before = Scrape(model)("lnb_model_step_duration_seconds_count")
        time.sleep(1)
        return Scrape(model)("lnb_model_step_duration_seconds_count") == before


if __name__ == "__main__":
    unittest.main()
