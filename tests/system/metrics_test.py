"""What the three servers tell Prometheus: the numbers of known traffic, read as text and by the real Prometheus."""
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import grpc
from big_checkpoint import write_big_checkpoint
from services import GENERATE, Service, Services, free_port, run, wait_until

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
GATEWAY_GENERATE = "llama.v1.GatewayService/Generate"
MODEL_GENERATE = "llama.v1.ModelService/Generate"
PROMPT = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her dog."
REPLY_TOKENS = 20
REPLY = {"prompt": {"text": PROMPT}, "stopping": {"max_tokens": REPLY_TOKENS, "ignore_eos": True}}
ENDLESS = {"prompt": {"text": "Once"}, "stopping": {"ignore_eos": True, "max_total_tokens": 4000}}
SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
METRIC_NAME = re.compile(r"\b(?:lnb|process|exposer)_\w+")


class Scrape:
    """One answer of /metrics."""

    def __init__(self, service):
        with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=10) as response:
            self.text = response.read().decode()
        self.samples = {}
        for line in self.text.splitlines():
            if line.startswith("#"):
                continue
            found = SAMPLE.match(line)
            labels = frozenset(LABEL.findall(found["labels"] or ""))
            self.samples[found["name"], labels] = float(found["value"])
        self.families = set(re.findall(r"^# TYPE (\S+)", self.text, re.MULTILINE))

    def __call__(self, name, **labels):
        """The sum of the samples of this name that have these labels; None if there are none."""
        values = [value for (sample, has), value in self.samples.items()
                  if sample == name and has >= frozenset(labels.items())]
        return sum(values) if values else None


def generate(services, request, **options):
    return list(services.client().dicts(GENERATE, request, **options))


def prompt_tokens(events):
    return int(events[-1]["finished"]["usage"]["prompt_tokens"])


def known_traffic(services):
    """Three replies, one of which is found in the prefix cache for the most part, one invalid request, one that is
    cancelled, one that expires. Returns the tokens of a prompt."""
    tokens = {prompt_tokens(generate(services, REPLY)) for _ in range(3)}
    try:
        # Which the gateway leaves to the model to refuse.
        generate(services, {"prompt": {"text": "a"}, "stopping": {"stop_token_ids": [100000]}})
        raise AssertionError("a token that the vocabulary does not have was accepted")
    except grpc.RpcError:
        pass
    call = services.client().call(GENERATE, ENDLESS)
    next(call), next(call)
    call.cancel()
    services.wait_until_idle()
    try:
        generate(services, ENDLESS, timeout=0.3)
        raise AssertionError("4000 tokens were computed within 0.3 s")
    except grpc.RpcError:
        pass
    services.wait_until_idle()
    (only,) = tokens
    return only


class NumbersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services(metrics=True, model_flags=("--threads=1",))
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gateway.wait_until_ready()
        cls.prompt_tokens = known_traffic(cls.services)
        # A call's record is made a moment after its client has the status.
        wait_until(lambda: Scrape(cls.services.gateway)("lnb_rpc_requests_total") == 6)
        wait_until(lambda: Scrape(cls.services.model)("lnb_rpc_requests_total", method=MODEL_GENERATE) == 6)
        wait_until(lambda: Scrape(cls.services.tokenizer)("lnb_rpc_calls") == 0)
        cls.gateway, cls.tokenizer, cls.model = (
            Scrape(service) for service in (cls.services.gateway, cls.services.tokenizer, cls.services.model))

    def test_calls_are_counted_by_method_and_code(self):
        # The gateway must not cancel what has ended well, either.
        for scrape, method in ((self.gateway, GATEWAY_GENERATE), (self.model, MODEL_GENERATE)):
            for code, count in (("OK", 3), ("INVALID_ARGUMENT", 1), ("CANCELLED", 1), ("DEADLINE_EXCEEDED", 1)):
                self.assertEqual(scrape("lnb_rpc_requests_total", method=method, code=code), count, (method, code))
            self.assertEqual(scrape("lnb_rpc_duration_seconds_count", method=method), 6)
            self.assertEqual(scrape("lnb_rpc_first_token_seconds_count", method=method), 5)
        self.assertEqual(self.tokenizer("lnb_rpc_requests_total", method="llama.v1.TokenizerService/Encode"), 6)
        self.assertEqual(self.tokenizer("lnb_rpc_requests_total", method="llama.v1.TokenizerService/DecodeStream",
                                        code="OK"), 3)

    def test_refusals_are_counted_by_reason(self):
        for scrape in (self.gateway, self.model):
            self.assertEqual(scrape("lnb_rpc_refusals_total", reason="FIELD_INVALID"), 1)
            self.assertEqual(scrape("lnb_rpc_refusals_total"), 1)

    def test_every_token_is_counted(self):
        model = self.model
        prompts = model("lnb_model_prompt_tokens_total")
        hits = model("lnb_model_prefix_cache_hit_tokens_total")
        self.assertGreaterEqual(prompts, 3 * self.prompt_tokens)
        blocks = (self.prompt_tokens - 1) // 16 * 16
        self.assertGreaterEqual(blocks, 16)
        self.assertEqual(hits, 2 * blocks)
        self.assertEqual(model("lnb_model_prefill_tokens_total"), prompts - hits)
        self.assertEqual(model("lnb_model_step_tokens_sum"),
                         model("lnb_model_prefill_tokens_total") + model("lnb_model_decode_tokens_total"))
        self.assertGreaterEqual(model("lnb_model_reply_tokens_total"), 3 * REPLY_TOKENS)
        self.assertEqual(model("lnb_model_step_tokens_count"), model("lnb_model_step_duration_seconds_count"))
        self.assertEqual(model("lnb_model_step_sequences_sum"), model("lnb_model_step_sequences_count"))  # One by one.

    def test_waits_are_counted_once_each(self):
        model = self.model
        self.assertEqual(model("lnb_model_time_to_first_token_seconds_count"), 5)
        self.assertEqual(model("lnb_model_queue_wait_seconds_count"), 5)
        self.assertEqual(model("lnb_model_token_gap_seconds_count"), model("lnb_model_reply_tokens_total") - 5)
        for name in ("lnb_model_time_to_first_token_seconds", "lnb_model_token_gap_seconds"):
            self.assertGreater(model(name + "_sum"), 0)
            self.assertEqual(model(name + "_bucket", le="+Inf"), model(name + "_count"))

    def test_those_dropped_are_counted_by_cause(self):
        self.assertEqual(self.model("lnb_model_dropped_requests_total"), 2)
        # At a deadline the caller leaves, too, which the model may notice first.
        self.assertGreaterEqual(self.model("lnb_model_dropped_requests_total", cause="cancelled"), 1)

    def test_an_idle_engine_holds_nothing(self):
        model = self.model
        for name in ("lnb_model_running_requests", "lnb_model_waiting_requests", "lnb_model_waiting_prefill_tokens",
                     "lnb_rpc_calls"):
            self.assertEqual(model(name), 0, name)
        self.assertEqual(model("lnb_model_kv_cache_blocks", state="used"), 0)
        self.assertGreater(model("lnb_model_kv_cache_blocks", state="cached"), 0)
        self.assertEqual(model("lnb_model_threads"), 1)

    def test_the_process_is_described(self):
        for service in (self.services.gateway, self.services.tokenizer, self.services.model):
            scrape = Scrape(service)
            pid = service.process.pid
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            resident = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024
            self.assertAlmostEqual(scrape("process_resident_memory_bytes") / resident, 1, delta=0.1)
            self.assertAlmostEqual(scrape("process_start_time_seconds"), pathlib.Path(f"/proc/{pid}").stat().st_mtime,
                                   delta=60)
            self.assertGreater(scrape("process_cpu_seconds_total"), 0)
            self.assertEqual(scrape("lnb_service_state", state="serving"), 1)
            self.assertEqual(scrape("lnb_service_state"), 1)

    def test_promtool_has_nothing_to_say(self):
        for scrape in (self.gateway, self.tokenizer, self.model):
            done = subprocess.run(["promtool", "check", "metrics"], input=scrape.text, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_table_in_the_documentation_is_what_is_served(self):
        text = (PROMETHEUS / "README.md").read_text()
        documented = set(re.findall(r"`((?:lnb|process|exposer)_\w+)`", text))
        served = self.gateway.families | self.tokenizer.families | self.model.families
        self.assertEqual(documented, served)

    def test_alerts_and_dashboard_name_what_is_served(self):
        served = self.gateway.families | self.tokenizer.families | self.model.families
        dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
        texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        texts += re.findall(r"expr:(.*?)\n +(?:for|labels):", (PROMETHEUS / "alerts.yml").read_text(), re.DOTALL)
        self.assertGreater(len(texts), 30)
        for text in texts:
            for name in METRIC_NAME.findall(text):
                self.assertIn(re.sub(r"_(bucket|sum|count)$", "", name), served, text)


class StatesTest(unittest.TestCase):
    def test_loading_can_be_watched(self):
        with tempfile.TemporaryDirectory() as folder:
            write_big_checkpoint(pathlib.Path(folder))
            model = Service("lnb-model", "llama.v1.ModelService", f"--model_dir={folder}", "--threads=1",
                            "--context_length=64", metrics=True)
            try:
                wait_until(lambda: "loading" in model.log_text())
                seen = []
                while model.process.poll() is None and not (seen and seen[-1]("lnb_service_state", state="serving")):
                    seen.append(Scrape(model))
                self.assertEqual(seen[0]("lnb_service_state", state="loading"), 1)
                progress = [scrape("lnb_load_progress_ratio") for scrape in seen]
                self.assertEqual(progress, sorted(progress))
                self.assertLess(progress[0], 1)
                self.assertEqual(progress[-1], 1)
                self.assertGreater(len(set(progress)), 2)
            finally:
                model.close()

    def test_draining_shows_and_ends_with_the_last_call(self):
        with Services(metrics=True) as services:
            services.gateway.wait_until_ready()
            call = services.client().call(GENERATE, ENDLESS)
            next(call)
            services.model.process.send_signal(signal.SIGTERM)
            wait_until(lambda: Scrape(services.model)("lnb_service_state", state="draining") == 1)
            self.assertEqual(Scrape(services.model)("lnb_rpc_calls"), 1)
            call.cancel()
            self.assertEqual(services.model.process.wait(10), 0)

    def test_a_gateway_without_its_model_is_unavailable(self):
        with Services(metrics=True) as services:
            services.gateway.wait_until_ready()
            services.model.stop(signal.SIGKILL)
            wait_until(lambda: Scrape(services.gateway)("lnb_service_state", state="unavailable") == 1)

    def test_queue_and_refusals_show(self):
        with Services(metrics=True, model_flags=("--threads=1", "--max_running=1", "--max_waiting=1")) as services:
            services.gateway.wait_until_ready()
            running = services.client().call(GENERATE, ENDLESS)
            next(running), next(running)
            waiting = services.client().call(GENERATE, ENDLESS)
            next(waiting)
            with self.assertRaises(grpc.RpcError) as raised:
                generate(services, ENDLESS)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            scrape = Scrape(services.model)
            self.assertEqual(scrape("lnb_model_running_requests"), 1)
            self.assertEqual(scrape("lnb_model_waiting_requests"), 1)
            self.assertGreater(scrape("lnb_model_waiting_prefill_tokens"), 0)
            self.assertGreater(scrape("lnb_model_kv_cache_blocks", state="used"), 0)
            wait_until(lambda: Scrape(services.model)("lnb_rpc_refusals_total", reason="QUEUE_FULL") == 1)
            running.cancel(), waiting.cancel()


class ListenTest(unittest.TestCase):
    def refuse(self, listen, status, text):
        for program, flags in (("lnb-tokenizer", ["--model_dir=nowhere"]), ("lnb-gateway", [])):
            done = run(program, "--listen=127.0.0.1:0", "--log_level=off", f"--metrics_listen={listen}", *flags)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn(text, done.stderr)

    def test_an_address_in_use_is_named(self):
        with Services(metrics=True) as services:
            services.tokenizer.wait_until_ready()
            address = f"127.0.0.1:{services.tokenizer.metrics_port}"
            self.refuse(address, 1, f"cannot serve metrics on {address}")

    def test_what_is_no_address_is_wrong_usage(self):
        for listen in ("9464", "somewhere", "127.0.0.1:99999", "127.0.0.1:1,127.0.0.1:2"):
            self.refuse(listen, 2, "--metrics_listen")

    def test_only_loopback_hears_unless_told_otherwise(self):
        with Services(metrics=True) as services:
            services.tokenizer.wait_until_ready()
            port = services.tokenizer.metrics_port
            Scrape(services.tokenizer)
            with self.assertRaises(urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.2:{port}/metrics", timeout=2)

    def test_nothing_is_served_without_the_flag(self):
        with Services() as services:
            services.tokenizer.wait_until_ready()
            pid = services.tokenizer.process.pid
            lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines()
            self.assertEqual(len([line for line in lines if f"pid={pid}," in line]), 1)


class PrometheusTest(unittest.TestCase):
    """The real Prometheus, from Debian's package, with the project's alerts."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.services = Services(metrics=True)
        self.addCleanup(self.services.__exit__)
        self.services.gateway.wait_until_ready()
        config = pathlib.Path(folder.name) / "prometheus.yml"
        jobs = {"lnb-gateway": self.services.gateway, "lnb-tokenizer": self.services.tokenizer,
                "lnb-model": self.services.model}
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(PROMETHEUS / "alerts.yml")],
            "scrape_configs": [{"job_name": job, "scrape_timeout": "400ms",
                                "static_configs": [{"targets": [f"127.0.0.1:{service.metrics_port}"]}]}
                               for job, service in jobs.items()]}))
        self.port = free_port()
        self.log = tempfile.TemporaryFile(mode="w+")
        self.addCleanup(self.log.close)
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder.name}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"], stdout=self.log, stderr=self.log)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_until(self.ready)

    def ready(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(self.log.read())
        try:
            return self.api("query", query="vector(1)") is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def api(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            answer = json.load(response)
        self.assertEqual(answer["status"], "success", answer)
        return answer["data"]

    def query(self, expression):
        return {tuple(sorted(sample["metric"].items())): float(sample["value"][1])
                for sample in self.api("query", query=expression)["result"]}

    def test_it_reads_what_the_services_tell_and_answers_the_dashboard(self):
        # Rates need a value from before the traffic.
        wait_until(lambda: sum(self.query("up").values()) == 3)
        wait_until(lambda: self.query('lnb_rpc_first_token_seconds_count{job="lnb-gateway"}'))
        known_traffic(self.services)
        wait_until(lambda: self.query(f'lnb_rpc_requests_total{{code="OK",method="{MODEL_GENERATE}"}}') and
                   sum(self.query(f'lnb_rpc_requests_total{{method="{MODEL_GENERATE}"}}').values()) == 6)
        # Each service is asked at a time of its own.
        wait_until(lambda: sum(self.query(f'lnb_rpc_requests_total{{method="{GATEWAY_GENERATE}"}}').values()) == 6)
        self.assertEqual(list(self.query(f'sum(lnb_rpc_requests_total{{code="OK",method="{GATEWAY_GENERATE}"}})').values()),
                         [3])
        # The engine counts them at its next step, which may be after the rpc was counted.
        wait_until(lambda: list(self.query("sum(lnb_model_dropped_requests_total)").values()) == [2])
        wait_until(lambda: len(self.query("rate(lnb_model_reply_tokens_total[1m]) > 0")) == 1)
        # Series that began with their first value have rates after the second one.
        time.sleep(1.5)
        dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                with self.subTest(panel["title"], expr=target["expr"]):
                    result = self.query(target["expr"].replace("$__rate_interval", "1m"))
                    self.assertTrue(result, "nothing to draw")
                    self.assertTrue(all(value == value for value in result.values()), result)

    def test_the_alerts_are_loaded_and_notice_a_service_that_is_gone(self):
        wait_until(lambda: sum(self.query("up").values()) == 3)
        (group,) = self.api("rules")["groups"]
        wait_until(lambda: all(rule["health"] == "ok" for rule in self.api("rules")["groups"][0]["rules"]))
        self.assertEqual(len(group["rules"]), (PROMETHEUS / "alerts.yml").read_text().count("- alert:"))
        self.assertEqual(self.api("alerts")["alerts"], [])
        self.services.tokenizer.stop(signal.SIGKILL)
        wait_until(lambda: {("LnbDown", "lnb-tokenizer"), ("LnbNotServing", "lnb-gateway")} <= {
            (alert["labels"]["alertname"], alert["labels"]["job"]) for alert in self.api("alerts")["alerts"]})


class RulesTest(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_configuration_and_alerts_are_valid(self):
        self.promtool("check", "config", "prometheus.yml")
        self.promtool("check", "rules", "alerts.yml")

    def test_each_alert_fires_for_what_it_is_for(self):
        self.promtool("test", "rules", "alerts_test.yml")
        tested = (PROMETHEUS / "alerts_test.yml").read_text()
        for alert in re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text()):
            self.assertRegex(tested, rf"alertname: {alert}\n\s+exp_alerts:\n", f"{alert} is never seen to fire")


if __name__ == "__main__":
    unittest.main()
