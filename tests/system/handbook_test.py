"""docs/ is true: its commands run and print what it shows, its tables are those of the programs and the sources."""
import re
import unittest

from handbook import DOCS, PROJECT, Page, blocks, has_output
from reflection_client import Client
from services import BIN, STORIES, Services, run

DEMO = PROJECT / "deploy/demo_model"
PROGRAMS = sorted(path.name for path in BIN.glob("lnb-*"))


def rows(text):
    """The cells of all rows of a text's Markdown tables."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def sections(text):
    """(heading, text below it) of each heading of the third level."""
    parts = re.split(r"^#{2,3} (.*)$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2]))


class PagesTest(unittest.TestCase):
    def assert_runs(self, page, **options):
        run_page = Page(page, **options)
        self.addCleanup(run_page.close)
        problems = run_page.run()
        self.assertFalse(problems, problems)

    def test_the_cookbook_runs_and_prints_what_it_shows(self):
        with Services(DEMO, model_flags=("--activations=f32",)) as services:
            for service in (services.tokenizer, services.model, services.gateway):
                service.wait_until_ready()
            self.assert_runs("cookbook.md", ports={"lnb-gateway": services.gateway.port, "lnb-model": services.model.port,
                                                   "lnb-tokenizer": services.tokenizer.port})

    def test_the_tokenizer_page_runs(self):
        self.assert_runs("tokenizer.md")

    def test_the_certificates_of_the_tls_page_work(self):
        self.assert_runs("tls.md")

    def test_the_upgrading_page_runs(self):
        self.assert_runs("upgrading.md")

    def test_the_contents_list_every_page(self):
        contents = (DOCS / "README.md").read_text()
        for page in DOCS.glob("*.md"):
            self.assertTrue(page.name == "README.md" or f"({page.name})" in contents, page.name)

    def test_output_that_differs_is_noticed(self):
        self.assertTrue(has_output('"a": 1\n…\n"b": "…"\n', '{\n  "a": 1,\n'.replace(",", "") + '  "x": 2\n  "b": "y"\n}\n'))
        self.assertFalse(has_output('"a": 1\n…\n"b": "…"\n', '{\n  "a": 2\n  "x": 2\n  "b": "y"\n}\n'))
        self.assertFalse(has_output("5\n", "5\n6\n"))
        self.assertFalse(has_output("a…\nc\n", "ab\nx\nc\n"))
        self.assertTrue(blocks("cookbook.md"))


class TablesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = (DOCS / "operating.md").read_text()

    def documented_flags(self):
        """Defaults of flags, by program."""
        flags = {program: {} for program in PROGRAMS}
        for heading, text in sections(self.page):
            for program in re.findall(r"`(lnb-\w+)`", heading):
                for name, default, *_ in rows(text):
                    if name.startswith("`--"):
                        flags[program][name.strip("`-")] = default.strip("`")
        return flags

    def test_flags_and_defaults_are_those_of_help(self):
        documented = self.documented_flags()
        for program in PROGRAMS:
            text = run(program, "--help").stdout
            flags = dict(re.findall(r"^  --(\w+)  \(default: (.*)\)$", text, re.MULTILINE))
            flags = {name: "" if value == "unset" else value.strip('"') for name, value in flags.items()}
            self.assertTrue(flags, program)
            self.assertEqual(documented[program], flags, program)

    def test_error_reasons_are_those_of_the_sources_and_the_protos(self):
        documented = {row[0].strip("`") for row in rows(dict(sections(self.page))["Errors and their cures"])}
        documented.discard("reason")
        made = set()
        for top in ("common", "services"):
            for path in (PROJECT / top).rglob("*"):
                if path.suffix in (".cc", ".h"):
                    # The reason is the second argument of MakeStatus(), the third, or its default, of FieldInvalid().
                    text = path.read_text()
                    made.update(re.findall(r'absl::StatusCode::k\w+,\s*"([A-Z_]+)"', text))
                    made.update(re.findall(r'[,=]\s*"([A-Z]+_[A-Z_]+)"\);', text))
        self.assertGreater(len(made), 10)
        self.assertEqual(documented, made)
        protos = "".join(path.read_text() for path in (PROJECT / "proto/llama/v1").glob("*.proto"))
        for reason in documented:
            self.assertRegex(protos, rf"\b{reason}\b")

    def test_lines_of_failed_starts_are_those_of_the_programs(self):
        table = "".join(row[0] for row in rows(dict(sections(self.page))["When a program does not start"]))
        for program, flags, line in (
                ("lnb-tokenizer", [f"--model_dir={STORIES}", "--listen=192.0.2.1:1"], "cannot listen on"),
                ("lnb-model", [f"--model_dir={STORIES}", "--kv_cache_bytes=1000000000000000"], "does not fit"),
                ("lnb-model", ["--model_dir=/nowhere"], "No such file or directory"),
                ("lnb-model", [f"--model_dir={STORIES}", "--threads=-1"], "expected"),
                ("lnb-model", ["--thread=1"], "unknown flag")):
            self.assertIn(line, table)
            self.assertIn(line, run(program, *flags).stderr.splitlines()[-1])


class ArithmeticTest(unittest.TestCase):
    @staticmethod
    def sizes(dim, layers, heads, kv_heads, hidden, vocabulary):
        """Parameters, bytes of cache a token, bytes read a step, operations a token: as docs/operating.md says."""
        kv_dim = dim // heads * kv_heads
        in_layers = layers * (2 * dim * dim + 2 * dim * kv_dim + 3 * dim * hidden + 2 * dim)
        parameters = in_layers + 2 * vocabulary * dim + dim
        return (parameters, 4 * layers * kv_dim, 2 * (parameters - (vocabulary - 1) * dim), 2 * (in_layers + dim))

    def test_the_table_of_sizes_follows_from_the_formulas(self):
        table = {row[0]: row[1:] for row in rows((DOCS / "operating.md").read_text())}
        for name, shape in (("7B", (4096, 32, 32, 32, 11008, 32000)), ("13B", (5120, 40, 40, 40, 13824, 32000)),
                            ("70B", (8192, 80, 64, 8, 28672, 32000))):
            parameters, cache, step, operations = self.sizes(*shape)
            self.assertEqual(table[name], [f"{parameters:,}", f"{2 * parameters / 1e9:.2f} GB", f"{cache:,} B",
                                           f"{4096 * cache / 1e9:.2f} GB", f"{step / 1e9:.2f} GB",
                                           f"{operations / 1e9:.2f} GFLOP"])

    def test_the_formulas_give_what_the_program_prints(self):
        for folder, shape, context in ((DEMO, (192, 5, 6, 3, 512, 3000), 512), (STORIES, (64, 5, 8, 4, 172, 512), 128)):
            parameters, cache, step, _ = self.sizes(*shape)
            with Services(folder, model_flags=(f"--context_length={context}",)) as services:
                services.model.wait_until_ready()
                client = Client(services.model.address)
                plan = client.unary("llama.v1.ModelService/GetComputePlan")
                self.assertEqual(client.unary("llama.v1.ModelService/GetModelInfo")["parameter_count"], str(parameters))
                self.assertEqual(plan["weight_bytes"], str(2 * parameters))
                self.assertEqual(plan["kv_cache_bytes"], str(32 * context * cache))
                self.assertEqual(plan["bytes_per_decode_step"], str(step))
                self.assertAlmostEqual(plan["decode_tokens_per_second_limit"],
                                       plan["memory_read_gigabytes_per_second"] * 1e9 / step, delta=1)


if __name__ == "__main__":
    unittest.main()
