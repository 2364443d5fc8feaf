#!/usr/bin/env python3
"""Calls any rpc of a server that offers reflection, with JSON in and JSON out, as grpcurl does:

    reflection_client.py ADDRESS [list]
    reflection_client.py ADDRESS SERVICE/METHOD [JSON ...]

Needs no generated code: the messages are described by the server. Several JSON texts are a client's stream. Prints
one JSON object a line as the responses come; a failed call's status goes to standard error, exit status 1.
"""
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

    def __init__(self, address, timeout=60):
        self.channel = grpc.insecure_channel(address)
        self.timeout = timeout
        self.pool = descriptor_pool.DescriptorPool()
        self._request, self._response = _reflection_messages(descriptor_pool.DescriptorPool())
        self._known = set()

    def close(self):
        self.channel.close()

    def _ask(self, **question):
        call = self.channel.stream_stream(_REFLECTION, request_serializer=lambda m: m.SerializeToString(),
                                          response_deserializer=self._response.FromString)
        answer = next(call(iter([self._request(**question)]), timeout=self.timeout))
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

    def method(self, service, name):
        try:
            found = self.pool.FindServiceByName(service)
        except KeyError:
            self._load(file_containing_symbol=service)
            found = self.pool.FindServiceByName(service)
        return found.methods_by_name[name]

    def _prototype(self, descriptor):
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)

    def call(self, path, requests, timeout=None, metadata=None):
        """Starts a call of "service/method". Returns grpc's call object, which yields the responses; a unary method's
        too."""
        service, name = path.split("/")
        method = self.method(service, name)
        request_type = self._prototype(method.input_type)
        if isinstance(requests, dict):
            requests = [requests]
        messages = [json_format.ParseDict(r, request_type(), descriptor_pool=self.pool) for r in requests]
        call = self.channel.stream_stream(f"/{path}", request_serializer=lambda m: m.SerializeToString(),
                                          response_deserializer=self._prototype(method.output_type).FromString)
        return call(iter(messages), timeout=timeout or self.timeout, metadata=metadata)

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


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    client = Client(arguments[0])
    try:
        if len(arguments) == 1 or arguments[1] == "list":
            print("\n".join(client.services()))
            return 0
        requests = [json.loads(text) for text in arguments[2:] or ["{}"]]
        for response in client.dicts(arguments[1], requests):
            print(json.dumps(response, ensure_ascii=False), flush=True)
        return 0
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()} {error_details(error)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
