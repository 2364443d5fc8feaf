#!/usr/bin/python3
"""Calls any rpc of a server that offers reflection, JSON in and JSON out: the part of grpcurl that docs/cookbook.md uses,
with Debian's python3-grpcio alone.

    reflection_client.py [FLAG ...] ADDRESS list [SERVICE]
    reflection_client.py [FLAG ...] ADDRESS SERVICE/METHOD

    -plaintext                        no TLS
    -cacert FILE, -cert FILE, -key FILE    TLS: the authority to trust; the certificate to show, and its key
    -H 'NAME: VALUE'                  metadata to send; may be repeated
    -d JSON                           the request; several JSON texts are a client's stream; @: from standard input
    -max-time SECONDS                 the deadline

Flags, output and exit status are grpcurl's: responses as they come, indented; a failed call prints its status and the
details on standard error and exits with 64 plus the code.
"""
import argparse
import json
import sys

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format, message_factory

_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def _reflection_messages(pool):
    """The few messages of grpc.reflection.v1alpha that are needed, declared here."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="reflection", syntax="proto3")

    def message(name, *fields):
        declared = file.message_type.add(name=name)
        for number, field, kind, label in fields:
            added = declared.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = added.TYPE_MESSAGE, ".reflection." + kind
            else:
                added.type = kind

    one, many = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    text, raw = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    message("Request", (3, "file_by_filename", text, one), (4, "file_containing_symbol", text, one),
            (7, "list_services", text, one))
    message("Files", (1, "file_descriptor_proto", raw, many))
    message("Service", (1, "name", text, one))
    message("Services", (1, "service", "Service", many))
    message("Error", (2, "error_message", text, one))
    message("Response", (4, "files", "Files", one), (6, "services", "Services", one), (7, "error", "Error", one))
    pool.Add(file)
    return [message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("reflection." + name))
            for name in ("Request", "Response")]


class Client:
    """A channel to one server. Methods take and give protobuf messages or dicts in protobuf's JSON form."""

    def __init__(self, address, timeout=60, credentials=None, metadata=None):
        options = (("grpc.use_local_subchannel_pool", 1),)  # A connection of its own.
        self.channel = (grpc.secure_channel(address, credentials, options) if credentials
                        else grpc.insecure_channel(address, options))
        self.metadata = metadata
        self.timeout = timeout
        self.pool = descriptor_pool.DescriptorPool()
        self._request, self._response = _reflection_messages(descriptor_pool.DescriptorPool())
        self._known = set()

    def close(self):
        self.channel.close()

    def _ask(self, **question):
        call = self.channel.stream_stream(_REFLECTION, request_serializer=lambda m: m.SerializeToString(),
                                          response_deserializer=self._response.FromString)
        answer = next(call(iter([self._request(**question)]), timeout=self.timeout, metadata=self.metadata))
        if answer.error.error_message:
            raise LookupError(answer.error.error_message)
        return answer

    def services(self):
        return [service.name for service in self._ask(list_services="*").services.service]

    def _load(self, **question):
        for data in self._ask(**question).files.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for needed in file.dependency:
                if needed not in self._known:
                    self._load(file_by_filename=needed)
            self.pool.Add(file)

    def methods(self, service):
        """The methods of a service, by name."""
        try:
            found = self.pool.FindServiceByName(service)
        except KeyError:
            self._load(file_containing_symbol=service)
            found = self.pool.FindServiceByName(service)
        return found.methods_by_name

    def message(self, name):
        """The class of a message that the server knows, by its full name."""
        self._load(file_containing_symbol=name)
        return self._prototype(self.pool.FindMessageTypeByName(name))

    def _prototype(self, descriptor):
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)

    def call(self, path, requests, timeout=None, metadata=None):
        """Starts a call of "service/method". Returns grpc's call object, which yields the responses; a unary method's
        too."""
        service, name = path.split("/")
        method = self.methods(service)[name]
        request_type = self._prototype(method.input_type)
        if isinstance(requests, dict):
            requests = [requests]
        messages = [json_format.ParseDict(r, request_type(), descriptor_pool=self.pool) for r in requests]
        call = self.channel.stream_stream(f"/{path}", request_serializer=lambda m: m.SerializeToString(),
                                          response_deserializer=self._prototype(method.output_type).FromString)
        return call(iter(messages), timeout=timeout or self.timeout, metadata=metadata or self.metadata)

    def encode(self, path, request):
        """The bytes of a request."""
        service, name = path.split("/")
        request_type = self._prototype(self.methods(service)[name].input_type)
        return json_format.ParseDict(request, request_type(), descriptor_pool=self.pool).SerializeToString()

    def dicts(self, path, requests, **options):
        """The responses of a call as dicts, one after the other."""
        for response in self.call(path, requests, **options):
            yield json_format.MessageToDict(response, preserving_proto_field_name=True, descriptor_pool=self.pool)

    def unary(self, path, request=None, **options):
        (response,) = self.dicts(path, request or {}, **options)
        return response


def error_details(error):
    """The google.rpc details of a failed call: {"reason": …, "metadata": {…}, "field": …, "retry_delay": seconds}."""
    details = {}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for packed in _fields(value)[3]:
            anything = any_pb2.Any.FromString(packed)
            fields = _fields(anything.value)
            if anything.type_url.endswith("ErrorInfo"):
                details["reason"] = fields[1][0].decode()
                pairs = [_fields(pair) for pair in fields.get(3, [])]
                details["metadata"] = {pair[1][0].decode(): pair.get(2, [b""])[0].decode() for pair in pairs}
            elif anything.type_url.endswith("BadRequest"):
                details["field"] = _fields(fields[1][0])[1][0].decode()
            elif anything.type_url.endswith("RetryInfo"):
                delay = _fields(fields[1][0]) if fields else {}
                details["retry_delay"] = delay.get(1, [0])[0] + delay.get(2, [0])[0] / 1e9
    return details


def _fields(data):
    """The fields of an encoded message by number: integers and bytes."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at += value
            value = bytes(data[at - value:at])
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="reflection_client.py", usage=__doc__.strip(), add_help=False)
    parser.add_argument("-plaintext", action="store_true")
    for name in ("-cacert", "-cert", "-key", "-d"):
        parser.add_argument(name)
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-max-time", type=float, default=60)
    parser.add_argument("address")
    parser.add_argument("what", nargs="+")
    return parser.parse_args(arguments)


def _connect(options):
    def read(path):
        if path is None:
            return None
        with open(path, "rb") as file:
            return file.read()

    credentials = None if options.plaintext else grpc.ssl_channel_credentials(read(options.cacert), read(options.key),
                                                                              read(options.cert))
    headers = [header.partition(":") for header in options.H]
    return Client(options.address, options.max_time, credentials,
                  [(name.strip().lower(), value.strip()) for name, _, value in headers])


def _json_texts(text):
    """The JSON values that stand one after the other in a text."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


def _indented(message, pool):
    fields = json_format.MessageToDict(message, descriptor_pool=pool)
    return json.dumps(fields, indent=2, ensure_ascii=False)


def _report(error, client):
    """A failed call's status on standard error, as grpcurl prints it; the exit status."""
    number, name = error.code().value
    code = "Canceled" if name == "cancelled" else name.title().replace(" ", "")  # As Go spells them.
    lines = ["ERROR:", f"  Code: {code}", f"  Message: {error.details()}"]
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if packed:
        status = client.message("google.rpc.Status").FromString(packed)
        lines.append("  Details:")
        for number_of, detail in enumerate(status.details, 1):
            client.message(detail.type_url.rpartition("/")[2])  # So that the pool knows it.
            lines.append(f"  {number_of})\t" + _indented(detail, client.pool).replace("\n", "\n    \t"))
    print("\n".join(lines), file=sys.stderr)
    return 64 + number


def main(arguments):
    if not arguments or arguments[0] in ("-h", "-help", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    options = _parse(arguments)
    client = _connect(options)
    try:
        if options.what == ["list"]:
            print("\n".join(sorted(client.services())))
        elif options.what[0] == "list":
            print("\n".join(sorted(method.full_name for method in client.methods(options.what[1]).values())))
        else:
            requests = list(_json_texts(sys.stdin.read() if options.d == "@" else options.d or "{}"))
            for response in client.call(options.what[0], requests):
                print(_indented(response, client.pool), flush=True)
        return 0
    except grpc.RpcError as error:
        return _report(error, client)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
