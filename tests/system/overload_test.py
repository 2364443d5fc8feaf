"""Far more clients than the bounds allow: who is let in is answered as if alone, the others are told at once."""
import json
import pathlib
import time
import unittest

from burst import burst, percentiles
from services import SANITIZED, SLOWER, Services, run

# AddressSanitizer keeps so much of what was freed, so that it can tell whoever uses it.
QUARANTINE = 256 << 20 if SANITIZED else 0


def load(services, *flags):
    """One run of lnb-load: its exit status and its figures."""
    done = run("lnb-load", f"--gateway={services.gateway.address}", "--json", *flags)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def resident_bytes(process):
    pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096


class OverloadTest(unittest.TestCase):
    def setUp(self):
        self.services = Services(model_flags=("--max_waiting=64", "--max_running=8", "--context_length=512",
                                             "--threads=1"))
        self.addCleanup(self.services.__exit__)
        for service in (self.services.tokenizer, self.services.model, self.services.gateway):
            service.wait_until_ready()

    def assert_idle(self):
        self.services.wait_until_idle()
        load_now = self.services.load()
        self.assertEqual(int(load_now.get("kv_cache_bytes_used", 0)), 0)
        self.assertEqual(int(load_now.get("waiting_prefill_tokens", 0)), 0)
        self.assertGreater(int(load_now["kv_cache_bytes_cached"]), 0)

    def test_a_thousand_clients_get_their_reply_or_are_told_that_the_queue_is_full(self):
        load(self.services, "--clients=64", "--requests=100", "--distinct=20", "--reply_tokens=16")
        services = (self.services.tokenizer, self.services.model, self.services.gateway)
        memory = [[resident_bytes(service.process) for service in services]]
        for _ in range(3):
            status, report = load(self.services, "--clients=1000", "--requests=1000", "--distinct=20", "--check",
                                  "--reply_tokens=16")
            self.assertEqual(status, 0)
            self.assertEqual(report["different"], 0)
            self.assertEqual(set(report["failures"]) - {"QUEUE_FULL"}, set(), report)
            self.assertEqual(report["replies"] + report["failures"].get("QUEUE_FULL", 0), 1000)
            self.assertGreaterEqual(report["replies"], 64)
            self.assert_idle()
            time.sleep(0.3)  # For so long the gateway remembers that the model refused.
            memory.append([resident_bytes(service.process) for service in services])
            print("refused:", report["refusal_ms"], "resident MB:", [round(bytes / 1e6) for bytes in memory[-1]])
        # The first of them takes what a thousand calls take, and the others use it again.
        for before, first, last in zip(memory[0], memory[1], memory[-1]):
            self.assertLess(first - before, 100e6 + QUARANTINE)
            self.assertLess(last - first, 20e6 + QUARANTINE)

    def test_a_thousand_calls_in_the_same_instant_are_refused_at_once(self):
        load(self.services, "--clients=64", "--requests=100")  # As a server that has been in use.
        worst = []
        for _ in range(3):
            refused, answered = burst(self.services.gateway.address, 1000)
            self.assertEqual(len(refused) + len(answered), 1000)
            self.assertGreater(len(refused), 500)
            self.assertGreaterEqual(len(answered), 8)
            worst.append(refused[-1])
            print("refused:", percentiles(refused))
            self.assert_idle()
        # 40 to 80 ms on two cores that do nothing else; a second where they are busy.
        self.assertLess(min(worst), SLOWER)

    def test_cancelled_calls_leave_nothing_behind(self):
        status, report = load(self.services, "--clients=32", "--requests=500", "--cancel_percent=100",
                              "--reply_tokens=32")
        self.assertEqual(status, 0)
        self.assertGreater(report["cancelled"], 300)
        self.assertEqual(report["failures"], {})
        self.assert_idle()

    def test_arrivals_at_random_times_are_answered(self):
        status, report = load(self.services, "--rate=100", "--requests=200", "--clients=48", "--prompt_tokens=10,200",
                              "--reply_tokens=5,20", "--shared_tokens=9")
        self.assertEqual(status, 0)
        self.assertEqual(report["replies"], 200, report)
        self.assertGreater(report["seconds"], 1)
        self.assert_idle()


if __name__ == "__main__":
    unittest.main()
