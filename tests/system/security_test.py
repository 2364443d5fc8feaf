"""TLS in both directions, certificates that are replaced, and bearer tokens."""
import pathlib
import subprocess
import tempfile
import unittest

import grpc
from reflection_client import Client
from services import GENERATE, STORIES, Service, run, text_of, wait_until

SHORT = {"prompt": {"text": "Once upon a time"}, "stopping": {"max_tokens": 5, "ignore_eos": True}}
TOKEN, OTHER_TOKEN = "0123456789abcdef-one", "0123456789abcdef-two"


class Authority:
    """Makes certificates with openssl."""

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name, subject="localhost", address="127.0.0.1"):
        (self.folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{subject},IP:{address}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                     "-keyout", f"{name}.key.new", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                     "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem.new")
        for kind in ("key", "pem"):
            (self.folder / f"{name}.{kind}.new").rename(self.folder / f"{name}.{kind}")

    def path(self, name):
        return self.folder / name

    def read(self, name):
        return (self.folder / name).read_bytes()


def client_of(address, authority, certificate=None, token=None):
    """A client over TLS."""
    client = Client(address)
    client.close()
    credentials = grpc.ssl_channel_credentials(
        authority.read(f"{authority.name}.pem"), certificate and authority.read(f"{certificate}.key"),
        certificate and authority.read(f"{certificate}.pem"))
    if token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
    client.channel = grpc.secure_channel(address, credentials)
    client.timeout = 10
    return client


class SecurityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.authority = Authority(cls.temporary.name, "ca")
        cls.other = Authority(cls.temporary.name, "other")
        for name in ("server", "client"):
            cls.authority.issue(name)
        cls.other.issue("stranger")
        folder = cls.authority.path
        folder("tokens").write_text(f"# one a line\n{TOKEN}\n\n{OTHER_TOKEN}\n")
        folder("token").write_text(TOKEN + "\n")
        folder("wrong_token").write_text("0123456789abcdef-bad\n")
        cls.listen = [f"--tls_certificate={folder('server.pem')}", f"--tls_key={folder('server.key')}"]
        cls.mutual = [*cls.listen, f"--tls_client_ca={folder('ca.pem')}", f"--accepted_tokens={folder('tokens')}"]
        cls.calling = [f"--ca={folder('ca.pem')}", f"--certificate={folder('client.pem')}",
                       f"--key={folder('client.key')}", f"--token={folder('token')}"]

    def start(self, program, service, *flags):
        started = Service(program, service, *flags)
        self.addCleanup(started.close)
        return started

    def probe(self, service, *flags):
        return run("lnb-probe", f"--address={service.address}", f"--service={service.service}", *flags)

    def assert_refused(self, client, path, code):
        with self.assertRaises(grpc.RpcError) as raised:
            client.unary(path) if "Generate" not in path else list(client.dicts(path, SHORT))
        self.assertEqual(raised.exception.code(), code, raised.exception)
        return raised.exception

    def test_a_reply_over_mutual_tls_and_tokens_all_the_way(self):
        tokenizer = self.start("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}", *self.mutual)
        model = self.start("lnb-model", "llama.v1.ModelService", f"--model_dir={STORIES}", *self.mutual)
        gateway = self.start("lnb-gateway", "llama.v1.GatewayService", f"--tokenizer={tokenizer.address}",
                             f"--model={model.address}", *self.mutual, *self.calling)
        wait_until(lambda: self.probe(gateway, *self.calling).returncode == 0)
        client = client_of(gateway.address, self.authority, "client", TOKEN)
        self.assertTrue(text_of(client.dicts(GENERATE, SHORT)))
        done = run("lnb-console", f"--gateway={gateway.address}", "--completion=Once upon a time", "--max_tokens=5",
                   *self.calling)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("lnb-load", f"--gateway={gateway.address}", "--requests=5", "--reply_tokens=4", *self.calling)
        self.assertIn("5 replies", done.stdout, done.stderr)
        # Without the certificate, with a stranger's, and in plain text there is no connection.
        self.assertNotEqual(self.probe(gateway, self.calling[0]).returncode, 0)
        self.assertNotEqual(self.probe(gateway).returncode, 0)
        stranger = client_of(gateway.address, self.authority)
        stranger.channel = grpc.secure_channel(gateway.address, grpc.ssl_channel_credentials(
            self.authority.read("ca.pem"), self.other.read("stranger.key"), self.other.read("stranger.pem")))
        with self.assertRaises(grpc.RpcError):
            stranger.services()
        for service in (gateway, model, tokenizer):
            self.assert_every_rpc_but_health_needs_a_token(service)
        for service in (gateway, model, tokenizer):
            self.assertEqual(service.stop(), 0, service.log_text())

    def assert_every_rpc_but_health_needs_a_token(self, service):
        good = client_of(service.address, self.authority, "client", TOKEN)
        bad = client_of(service.address, self.authority, "client")
        codes = {}
        for name in good.services():
            for method in good.methods(name):
                call = bad.channel.stream_stream(f"/{name}/{method}")(iter([b""]), timeout=10)
                try:
                    next(call)
                    code = grpc.StatusCode.OK
                except grpc.RpcError as error:
                    code = error.code()
                call.cancel()
                codes.setdefault(name, set()).add(code)
        self.assertEqual(codes.pop("grpc.health.v1.Health"), {grpc.StatusCode.OK})
        self.assertIn(service.service, codes)
        self.assertEqual(set.union(*codes.values()), {grpc.StatusCode.UNAUTHENTICATED}, codes)

    def test_tokens_are_needed_for_everything_but_health(self):
        tokenizer = self.start("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}", *self.listen,
                               self.mutual[-1], "--log_level=trace")
        ca = self.calling[0]
        wait_until(lambda: self.probe(tokenizer, ca).returncode == 0)  # Health needs none.
        info = "llama.v1.TokenizerService/GetTokenizerInfo"
        good = client_of(tokenizer.address, self.authority, token=TOKEN)
        self.assertEqual(good.unary(info)["vocabulary_size"], "512")
        self.assertEqual(client_of(tokenizer.address, self.authority, token=OTHER_TOKEN).unary(info)["bos_token_id"], 1)
        said = set()
        for token in (None, "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "Bearer", "0" * 4000):
            bad = client_of(tokenizer.address, self.authority, token=token)
            bad.pool, bad._known = good.pool, good._known  # Reflection needs a token, too.
            said.add(self.assert_refused(bad, info, grpc.StatusCode.UNAUTHENTICATED).details())
            with self.assertRaises(grpc.RpcError) as raised:
                bad.services()
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(len(said), 1)  # The same answer to all.
        # One that was checked beside one that was not would let one client be many.
        with self.assertRaises(grpc.RpcError) as raised:
            good.unary(info, metadata=(("authorization", "Bearer decoy"),))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        # A list that changes counts from the next call on.
        tokens = self.authority.path("tokens")
        whole = tokens.read_text()
        tokens.write_text(OTHER_TOKEN + "\n")
        try:
            self.assert_refused(good, info, grpc.StatusCode.UNAUTHENTICATED)
            # One that is wrong changes nothing, and the log tells of it.
            tokens.write_text(TOKEN + "\nshort\n")
            self.assert_refused(good, info, grpc.StatusCode.UNAUTHENTICATED)
            wait_until(lambda: "the tokens read before stay accepted" in tokenizer.log_text())
        finally:
            tokens.write_text(whole)
        good.unary(info)
        self.assertEqual(tokenizer.stop(), 0)
        log = tokenizer.log_text()
        for token in (TOKEN, OTHER_TOKEN, "decoy"):
            self.assertNotIn(token, log)
        calls = [line for line in log.splitlines() if f"method={info} " in line]
        self.assertEqual([("code=OK" in line, "caller=token:" in line, "code=UNAUTHENTICATED" in line) for line in calls],
                         2 * [(True, True, False)] + 10 * [(False, False, True)] + [(True, True, False)])

    def test_replaced_certificates_are_read_again(self):
        tokenizer = self.start("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}", *self.listen)
        ca = self.calling[0]
        wait_until(lambda: self.probe(tokenizer, ca).returncode == 0)
        self.authority.issue("server", "elsewhere.example")  # Has the address, too.
        (self.authority.path("server.ext")).write_text("subjectAltName=DNS:elsewhere.example\n")
        self.authority.openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                               "-extfile", "server.ext", "-out", "server.pem.new")
        self.authority.path("server.pem.new").rename(self.authority.path("server.pem"))
        try:
            wait_until(lambda: self.probe(tokenizer, ca).returncode != 0)  # Its name is not the address any more.
        finally:
            self.authority.issue("server")
        wait_until(lambda: self.probe(tokenizer, ca).returncode == 0)

    def test_a_gateway_reads_its_replaced_certificates_again(self):
        with tempfile.TemporaryDirectory() as folder:
            listen = [f"--tls_certificate={folder}/server.pem", f"--tls_key={folder}/server.key",
                      f"--tls_client_ca={folder}/ca.pem"]
            calling = [f"--ca={folder}/ca.pem", f"--certificate={folder}/client.pem", f"--key={folder}/client.key"]
            backends = [("lnb-tokenizer", "llama.v1.TokenizerService"), ("lnb-model", "llama.v1.ModelService")]

            def issue(name):
                authority = Authority(folder, name)
                for certificate in ("server", "client"):
                    authority.issue(certificate)
                authority.path(f"{name}.pem").rename(authority.path("ca.pem"))

            def start(ports):
                started = [Service(*backend, f"--model_dir={STORIES}", *listen, port=port)
                           for backend, port in zip(backends, ports)]
                for service in started:
                    self.addCleanup(service.close)
                return started

            issue("first")
            tokenizer, model = start((None, None))
            gateway = self.start("lnb-gateway", "llama.v1.GatewayService", f"--tokenizer={tokenizer.address}",
                                 f"--model={model.address}", *calling)
            gateway.wait_until_ready()
            issue("second")  # Of which neither side knew.
            for service in (tokenizer, model):
                self.assertEqual(service.stop(), 0, service.log_text())
            wait_until(lambda: not gateway.ready())
            start((tokenizer.port, model.port))
            gateway.wait_until_ready()
            self.assertTrue(text_of(Client(gateway.address).dicts(GENERATE, SHORT)))

    def test_a_server_of_another_authority_is_not_called(self):
        folder = self.authority.path
        tokenizer = self.start("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={STORIES}",
                               f"--tls_certificate={folder('stranger.pem')}", f"--tls_key={folder('stranger.key')}")
        wait_until(lambda: self.probe(tokenizer, f"--ca={folder('other.pem')}").returncode == 0)
        self.assertNotEqual(self.probe(tokenizer, self.calling[0]).returncode, 0)

    def test_flags_that_do_not_go_together_are_refused(self):
        folder = self.authority.path
        model_dir = f"--model_dir={STORIES}"
        for program, flags, status, text in (
                ("lnb-tokenizer", [model_dir, self.listen[0]], 2, "--tls_key"),
                ("lnb-tokenizer", [model_dir, self.mutual[-1]], 2, "--tls_certificate"),
                ("lnb-tokenizer", [model_dir, self.listen[0], "--tls_key=/nowhere"], 1, "/nowhere"),
                ("lnb-tokenizer", [model_dir, self.listen[0], f"--tls_key={folder('tokens')}"], 2, "PRIVATE KEY"),
                ("lnb-model", [model_dir, *self.listen, "--accepted_tokens=/dev/null"], 1, "special file"),
                ("lnb-gateway", [self.calling[3]], 2, "--ca"),
                ("lnb-gateway", [self.calling[0], f"--token={folder('tokens')}"], 2, "expected one token"),
                ("lnb-probe", [self.calling[1]], 2, "--key")):
            done = run(program, *flags)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertNotIn(TOKEN, done.stderr)

    def test_listening_beyond_loopback_in_plain_text_is_warned_about(self):
        for listen, warned in (("0.0.0.0:0", True), ("127.0.0.1:0", False)):
            service = Service.__new__(Service)
            service.log = tempfile.TemporaryFile(mode="w+")
            from services import BIN
            service.process = subprocess.Popen([BIN / "lnb-tokenizer", f"--listen={listen}", f"--model_dir={STORIES}"],
                                               stderr=service.log)
            try:
                wait_until(lambda: "serving" in service.log_text())
                self.assertEqual("without TLS" in service.log_text(), warned)
            finally:
                service.close()


if __name__ == "__main__":
    unittest.main()
