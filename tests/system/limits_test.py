"""Walks along every edge of the table in services/limits/README.md through the running services: what lies on an edge is
accepted, what lies beyond is refused by the field's path, by the gateway before it asks anyone."""
import pathlib
import struct
import time
import unittest

import grpc
from log_test import calls_of
from reflection_client import Client, error_details
from services import GENERATE, Services

README = pathlib.Path(__file__).parent.parent.parent / "services" / "limits" / "README.md"
RPCS = {"gateway Generate": GENERATE, "model Generate": "llama.v1.ModelService/Generate",
        "model Score": "llama.v1.ModelService/Score", "tokenizer Encode": "llama.v1.TokenizerService/Encode",
        "tokenizer DecodeStream": "llama.v1.TokenizerService/DecodeStream",
        "tokenizer ListTokens": "llama.v1.TokenizerService/ListTokens"}
BASES = {"gateway Generate": {"prompt": {"text": "Once"}}, "model Generate": {"prompt_token_ids": [1, 403]},
         "model Score": {"token_ids": [1, 403]}, "tokenizer Encode": {}, "tokenizer DecodeStream": {},
         "tokenizer ListTokens": {}}
MOST_INT, MOST_FLOAT = 2**63 - 1, 2.0**128 - 2.0**104
FLOATS = ("temperature", "top_p", "min_p", "penalty", "logit_bias")
MAX_PROMPT_BYTES = 10_000


def rows():
    """The first table: (field, at least, at most, unit, [rpcs])."""
    found = []
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            found.append((cells[0].strip("`"), *cells[1:4], cells[4].split(", ")))
        elif found:
            break
    return found


def next_float(value, away):
    """The next 32-bit float in the direction of `away`."""
    if value == 0:
        return 2.0**-149 if away > 0 else -2.0**-149
    (bits,) = struct.unpack("<i", struct.pack("<f", value))
    bits += 1 if (away > value) == (value > 0) else -1
    return struct.unpack("<f", struct.pack("<i", bits))[0]


def edges(field, least, most, unit):
    """Values on the edges, and beyond them."""
    above, least = least.startswith("above"), float(least.split()[-1])
    if field.endswith(FLOATS):
        most = MOST_FLOAT if most == "no limit" else float(most)
        good = [next_float(least, 1e30) if above else least, most]
        bad = [least if above else next_float(least, -1e30)]
        if most < MOST_FLOAT:
            bad.append(next_float(most, 1e30))
        return good, [*bad, "NaN", "Infinity", "-Infinity"]
    least, most = int(least), MOST_INT if most == "no limit" else int(most)
    bad = [] if unit and least == 0 else [least - 1]
    if field == "page_size":
        bad = [-1]  # 0 is a page_size that is not set.
    return [least, most], bad + ([most + 1] if most < MOST_INT else [])


def items(field, count):
    if field == "prompt.chat.messages":  # In an order that is valid: a system message, then both in turn.
        roles = ["ROLE_SYSTEM"] * (count % 2 == 0) + ["ROLE_USER", "ROLE_ASSISTANT"] * (count // 2 + 1)
        return [{"role": role} for role in roles[:count]]
    return ["x"] * count if field == "stopping.stop_sequences" else [5] * count


def with_value(base, field, value, unit):
    """The request with that value, or that many of them, in a field. 64-bit numbers are text in JSON."""
    if field == "stopping.stop_sequences[]":
        return {**base, "stopping": {"stop_sequences": ["x" * value]}}
    if field == "sampling.logit_bias":
        return {**base, "sampling": {"logit_bias": {5: value}}}
    if unit == "bytes":
        value = "x" * value
    elif unit:
        value = items(field, value)
    for name in reversed(field.split(".")):
        value = {name: value}
    (top,) = value
    return {**base, top: value[top]}


class LimitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services(flags=("--log_format=json",), tokenizer_flags=(f"--max_prompt_bytes={MAX_PROMPT_BYTES}",))
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gateway.wait_until_ready()
        cls.clients = {name: Client(getattr(cls.services, name).address)
                       for name in ("gateway", "model", "tokenizer")}
        cls.calls = 0

    def ask(self, rpc, request):
        """Whether the call was refused, with which details: its first answer is enough."""
        type(self).calls += 1
        self.request_id = f"edge-{self.calls}"
        call = self.clients[rpc.split()[0]].call(RPCS[rpc], request, metadata=(("llama-request-id", self.request_id),))
        try:
            next(call)
            return None
        except grpc.RpcError as error:
            return {**error_details(error), "code": error.code()}
        finally:
            call.cancel()

    def assert_not_asked(self, request_id):
        time.sleep(0.05)
        asked = [line for line in calls_of(self.services.tokenizer) if line["request_id"] == request_id]
        self.assertEqual(asked, [])

    def test_every_edge_of_the_table(self):
        table = rows()
        self.assertGreater(len(table), 20)
        refused = 0
        for field, least, most, unit, rpcs in table:
            good, bad = edges(field, least, most, unit)
            for rpc in rpcs:
                for value in good:
                    with self.subTest(field=field, rpc=rpc, accepted=value):
                        found = self.ask(rpc, with_value(BASES[rpc], field, value, unit))
                        if found:  # So many messages are more than the small model's context.
                            self.assertEqual((field, found["reason"]), ("prompt.chat.messages", "CONTEXT_LENGTH_EXCEEDED"))
                for value in bad:
                    with self.subTest(field=field, rpc=rpc, refused=value):
                        found = self.ask(rpc, with_value(BASES[rpc], field, value, unit))
                        self.assertIsNotNone(found, "it was accepted")
                        self.assertEqual((found["code"], found["reason"]),
                                         (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"))
                        path = field.replace("[]", "[0]") + ("[5]" if field == "sampling.logit_bias" else "")
                        self.assertEqual(found["field"], path)
                        if rpc == "gateway Generate":
                            self.assert_not_asked(self.request_id)
                        refused += 1
        self.assertGreater(refused, 60)

    def test_a_prompts_bytes_are_bounded_before_it_is_encoded(self):
        def messages(*sizes):
            roles = ["ROLE_USER", "ROLE_ASSISTANT"] * len(sizes)
            return {"chat": {"messages": [{"role": role, "content": "x" * size} for role, size in zip(roles, sizes)]}}

        half = MAX_PROMPT_BYTES // 2
        for on, beyond in (({"text": "x" * MAX_PROMPT_BYTES}, {"text": "x" * (MAX_PROMPT_BYTES + 1)}),
                           (messages(half, half - 1, 1), messages(half, half - 1, 2))):
            self.assertIsNone(self.ask("tokenizer Encode", {"prompt": on}))
            found = self.ask("gateway Generate", {"prompt": on})  # Or else more tokens than the context has.
            self.assertIn(found and found["reason"], (None, "CONTEXT_LENGTH_EXCEEDED"))
            for rpc in ("tokenizer Encode", "gateway Generate"):
                found = self.ask(rpc, {"prompt": beyond})
                self.assertEqual(found["reason"], "PROMPT_TOO_LONG")
                self.assertEqual(found["metadata"], {"bytes": str(MAX_PROMPT_BYTES + 1), "limit": str(MAX_PROMPT_BYTES)})
            self.assert_not_asked(self.request_id)
        for rpc in ("tokenizer Encode", "gateway Generate"):
            found = self.ask(rpc, {"prompt": {"token_ids": {"ids": [5] * (MAX_PROMPT_BYTES + 1)}}})
            self.assertEqual((found["reason"], found["field"]), ("FIELD_INVALID", "prompt.token_ids.ids"))

    def test_ids_lie_within_the_vocabulary(self):
        size = int(self.clients["tokenizer"].unary("llama.v1.TokenizerService/GetTokenizerInfo")["vocabulary_size"])
        for rpc, field, make in (
                ("gateway Generate", "prompt.token_ids.ids[1]", lambda i: {"prompt": {"token_ids": {"ids": [1, i]}}}),
                ("model Generate", "prompt_token_ids[1]", lambda i: {"prompt_token_ids": [1, i]}),
                ("tokenizer Encode", "prompt.token_ids.ids[1]", lambda i: {"prompt": {"token_ids": {"ids": [1, i]}}}),
                ("gateway Generate", "sampling.logit_bias[@]",
                 lambda i: {**BASES["gateway Generate"], "sampling": {"logit_bias": {i: 1}}}),
                ("model Generate", "stopping.stop_token_ids[0]",
                 lambda i: {**BASES["model Generate"], "stopping": {"stop_token_ids": [i]}}),
                ("model Generate", "eos_token_ids[0]", lambda i: {**BASES["model Generate"], "eos_token_ids": [i]}),
                ("model Score", "token_ids[1]", lambda i: {"token_ids": [1, i]}),
                ("model Score", "candidate_token_ids[0]",
                 lambda i: {"token_ids": [1], "candidate_token_ids": [i]})):
            with self.subTest(rpc=rpc, field=field):
                self.assertIsNone(self.ask(rpc, make(size - 1)))
                for bad in (size, 2**32 - 1):
                    found = self.ask(rpc, make(bad))
                    self.assertEqual((found["reason"], found["field"]), ("FIELD_INVALID", field.replace("@", str(bad))))
        self.assertIsNone(self.ask("tokenizer DecodeStream", {"ids": [size - 1]}))
        self.assertEqual(self.ask("tokenizer DecodeStream", {"ids": [size]})["reason"], "TOKEN_ID")

    def test_what_depends_on_the_context_and_the_prompt(self):
        context = int(self.clients["model"].unary("llama.v1.ModelService/GetModelInfo")["context_length"])
        for rpc, field, most in (("model Generate", "prompt_token_ids", context - 1), ("model Score", "token_ids", context)):
            self.assertIsNone(self.ask(rpc, {field: [5] * most}))
            found = self.ask(rpc, {field: [5] * (most + 1)})
            self.assertEqual(found["reason"], "CONTEXT_LENGTH_EXCEEDED")
            self.assertEqual(found["metadata"], {"prompt_tokens": str(most + 1), "context_length": str(context)})
            self.assertEqual(self.ask(rpc, {field: []})["field"], field)
        for rpc in ("gateway Generate", "model Generate"):
            base = {"gateway Generate": {"prompt": {"token_ids": {"ids": [1, 5]}}},
                    "model Generate": {"prompt_token_ids": [1, 5]}}[rpc]
            self.assertIsNone(self.ask(rpc, {**base, "stopping": {"max_total_tokens": 3}}))
            for bad in (2, 0, -1):
                found = self.ask(rpc, {**base, "stopping": {"max_total_tokens": bad}})
                self.assertEqual((found["reason"], found["field"]), ("FIELD_INVALID", "stopping.max_total_tokens"))
        for position, expected in ((1, None), (2, "from_position"), (-1, "from_position")):
            found = self.ask("model Score", {"token_ids": [1, 5], "from_position": position})
            self.assertEqual(found and found["field"], expected)

    def test_a_time_limit_is_above_zero(self):
        for rpc in ("gateway Generate", "model Generate"):
            for good in ("0.000000001s", "315576000000s"):
                self.assertIsNone(self.ask(rpc, {**BASES[rpc], "stopping": {"time_limit": good}}))
            for bad in ("0s", "-1s", "-315576000000s"):
                found = self.ask(rpc, {**BASES[rpc], "stopping": {"time_limit": bad}})
                self.assertEqual((found["reason"], found["field"]), ("FIELD_INVALID", "stopping.time_limit"))
                if rpc == "gateway Generate":
                    self.assert_not_asked(self.request_id)

    def test_metadata_and_messages_are_bounded_by_every_server(self):
        for rpc, request in (("gateway Generate", BASES["gateway Generate"]), ("model Generate", BASES["model Generate"]),
                             ("tokenizer Encode", {"prompt": {"text": "Once"}})):
            address = getattr(self.services, rpc.split()[0]).address

            # Each on a connection of its own, for gRPC may end one on which metadata are too large.
            def code(metadata_bytes, address=address, rpc=rpc, request=request):
                client = Client(address)
                self.addCleanup(client.close)
                call = client.call(RPCS[rpc], request, metadata=(("padding", "x" * metadata_bytes),))
                try:
                    next(call)
                    return grpc.StatusCode.OK
                except grpc.RpcError as error:
                    return error.code()
                finally:
                    call.cancel()

            self.assertEqual(code(7 << 10), grpc.StatusCode.OK)
            self.assertIn(code(9 << 10), (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE))
            self.assertEqual(code(100), grpc.StatusCode.OK)
            client = Client(address)
            self.addCleanup(client.close)
            call = client.channel.unary_stream(f"/{RPCS[rpc]}")(b"x" * ((4 << 20) + 1))
            with self.assertRaises(grpc.RpcError) as raised:
                next(call)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


if __name__ == "__main__":
    unittest.main()
