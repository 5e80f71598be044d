"""Clients that nobody here wrote, through the gateway: curl, openssl, grpcio, websockets, and Python's Temporal SDK against a
WorkflowService made of the SDK's own service classes. Every line names client and version. Exits non-zero at the first failure."""
import asyncio
import os
import socket
import ssl
import subprocess
import threading
from concurrent import futures
from importlib.metadata import version

import grpc
import temporalio.api.workflowservice.v1 as ws
from temporalio.api.workflowservice.v1 import service_pb2_grpc
from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

import planes

PATIENCE = 20


def passed(client, what):
    print(f"ok  {client}: {what}", flush=True)


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def same(x):
    return x


class Rig:
    """A Countersign with the demo namespace, one key, one certificate of an accepted CA."""

    def __init__(self):
        self.sign = planes.Countersign()
        sign = self.sign
        self.namespace = sign.env["COUNTERSIGN_NAMESPACE"]
        self.host = sign.env["COUNTERSIGN_GATEWAY_HOST"]
        sign.cli("generate-certificates", "ca", "--organization", "clients", "--validity-period", "30d", "--ca-certificate-file", "ca.pem",
                 "--ca-key-file", "ca.key")
        sign.cli("generate-certificates", "leaf", "--organization", "clients", "--common-name", "c1", "--ca-certificate-file", "ca.pem",
                 "--ca-key-file", "ca.key", "--certificate-file", "leaf.pem", "--key-file", "leaf.key")
        sign.cli("namespace", "accepted-client-ca", "add", "--ca-certificate-file", "ca.pem")

    def key(self):
        made = self.sign.cli("apikey", "create", "--name", "client")
        return made["id"], made["secretKey"]

    def file(self, name):
        return os.path.join(self.sign.directory, name)

    def channel(self, certificate=False, host=None):
        host = host or self.host
        pair = {"private_key": self.sign.read("leaf.key"), "certificate_chain": self.sign.read("leaf.pem")} if certificate else {}
        credentials = grpc.ssl_channel_credentials(root_certificates=self.sign.ca, **pair)
        options = [("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)]
        return grpc.secure_channel(f"127.0.0.1:{self.sign.port}", credentials, options)


def curl(rig):
    name = " ".join(first_line("curl", "--version").split()[:2])
    _, secret = rig.key()
    url = f"https://{rig.host}:{rig.sign.port}/x"
    base = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert", rig.sign.env["COUNTERSIGN_CA_CERT"], url]
    for flag, http in (("--http1.1", "1.1"), ("--http2", "2")):
        for how, args in (("an API key", ["-H", f"Authorization: Bearer {secret}"]),
                          ("a client certificate", ["--cert", rig.file("leaf.pem"), "--key", rig.file("leaf.key")])):
            got = subprocess.run([*base, flag, *args], capture_output=True, text=True).stdout
            assert got == f"200 {http}", got
            passed(name, f"HTTP/{http} with {how}")
    for tls in ("--tlsv1.2", "--tlsv1.3"):
        got = subprocess.run([*base, tls, "--tls-max", tls[-3:], "-H", f"Authorization: Bearer {secret}"], capture_output=True, text=True).stdout
        assert got.startswith("200"), got
        passed(name, f"TLS {tls[-3:]}")


def openssl(rig):
    name = " ".join(first_line("openssl", "version").split()[:2])
    address = ["-connect", f"127.0.0.1:{rig.sign.port}", "-servername", rig.host]
    for old in ("-tls1", "-tls1_1"):
        done = subprocess.run(["openssl", "s_client", *address, old], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "Cipher is (NONE)" in done.stdout or done.returncode, done.stdout
    passed(name, "TLS 1.0 and 1.1 are refused")
    done = subprocess.run(["openssl", "s_client", *address, "-CAfile", rig.sign.env["COUNTERSIGN_CA_CERT"], "-verify_hostname", rig.host,
                           "-verify_return_error", "-x509_strict", "-brief"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "Verification: OK" in done.stderr, done.stderr
    passed(name, "the gateway's own certificate stands the strict check")


def grpcio(rig):
    name = f"grpcio {version('grpcio')}"
    key, secret = rig.key()
    bearer = [("authorization", f"Bearer {secret}")]
    with rig.channel() as channel:
        call = channel.unary_unary("/echo.Echo/Say", same, same)
        assert call(b"hello", metadata=bearer, timeout=PATIENCE) == b"hello"
        passed(name, "unary with an API key")
        stream = channel.stream_stream("/echo.Echo/Talk", same, same)
        assert list(stream(iter([b"a", b"b" * 70000, b"c"]), metadata=bearer, timeout=PATIENCE)) == [b"a", b"b" * 70000, b"c"]
        passed(name, "both streams, trailers")
        for what, metadata, code in (("no credential", [], grpc.StatusCode.UNAUTHENTICATED),
                                     ("a wrong key", [("authorization", "Bearer csk_x")], grpc.StatusCode.UNAUTHENTICATED)):
            try:
                call(b"", metadata=metadata, timeout=PATIENCE)
                raise SystemExit(f"{what} got in")
            except grpc.RpcError as error:
                assert error.code() == code, error
                assert "countersign-refusal-id" in dict(error.initial_metadata() + error.trailing_metadata()), error
        passed(name, "no key and a wrong key are UNAUTHENTICATED, trailers-only, with a refusal id")

        go, got = threading.Event(), []

        def talk():
            yield b"first"
            go.wait(PATIENCE)

        answers = stream(talk(), metadata=bearer, timeout=PATIENCE)
        got.append(next(answers))
        receipt = rig.sign.cli("apikey", "disable", "--id", key)["requestStatus"]["receipt"]
        try:
            next(answers)
            raise SystemExit("the stream of a disabled key goes on")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
        go.set()
        assert receipt["streamsCut"] == 1, receipt
        passed(name, "an open stream ends with UNAUTHENTICATED when its key is disabled")
    with rig.channel(certificate=True) as channel:
        assert channel.unary_unary("/echo.Echo/Say", same, same)(b"x", timeout=PATIENCE) == b"x"
        passed(name, "unary with a client certificate")
    rig.sign.cli("namespace", "create", "--namespace", "down", "--upstream", f"http://127.0.0.1:{planes.free_ports(1)[0]}", "--auth-method", "api_key")
    _, secret = rig.key()
    with rig.channel(host=f"down.{rig.sign.account}.localhost") as channel:
        try:
            channel.unary_unary("/echo.Echo/Say", same, same)(b"", metadata=[("authorization", f"Bearer {secret}")], timeout=PATIENCE)
            raise SystemExit("an upstream that is away answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    passed(name, "an upstream that is away is UNAVAILABLE")


def websockets(rig):
    name = f"websockets {version('websockets')}"
    key, secret = rig.key()
    context = ssl.create_default_context(cadata=rig.sign.ca.decode())
    uri = f"wss://{rig.host}:{rig.sign.port}/chat"

    def open_socket(headers):
        sock = socket.create_connection(("127.0.0.1", rig.sign.port))
        return websocket(uri, sock=sock, ssl=context, server_hostname=rig.host, additional_headers=headers, open_timeout=PATIENCE)

    with open_socket({"Authorization": f"Bearer {secret}"}) as ws_:
        ws_.send("hello")
        assert ws_.recv(timeout=PATIENCE) == "hello"
        passed(name, "a WebSocket through the gateway")
        receipt = rig.sign.cli("apikey", "delete", "--id", key)["requestStatus"]["receipt"]
        try:
            ws_.recv(timeout=PATIENCE)
            raise SystemExit("the WebSocket of a deleted key goes on")
        except ConnectionClosed:
            pass
        assert receipt["streamsCut"] == 1, receipt
    passed(name, "an open WebSocket ends when its key is deleted")


class Frontend(service_pb2_grpc.WorkflowServiceServicer):
    """Just enough of Temporal's frontend for a client to connect and count."""

    def GetSystemInfo(self, request, context):
        return ws.GetSystemInfoResponse(server_version="sdk-classes")

    def CountWorkflowExecutions(self, request, context):
        seen = dict(context.invocation_metadata())
        assert "authorization" not in seen, "the key went past the door"
        return ws.CountWorkflowExecutionsResponse(count=7)


def temporal(rig):
    name = f"python temporalio {version('temporalio')}"
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_WorkflowServiceServicer_to_server(Frontend(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    rig.sign.cli("namespace", "create", "--namespace", "flow", "--upstream", f"http://127.0.0.1:{port}", "--auth-method", "api_key_or_mtls",
                 "--ca-certificate-file", "ca.pem")
    namespace = f"flow.{rig.sign.account}"
    tls = {"server_root_ca_cert": rig.sign.ca, "domain": f"{namespace}.localhost"}
    pair = {"client_cert": rig.sign.read("leaf.pem"), "client_private_key": rig.sign.read("leaf.key")}
    target = f"127.0.0.1:{rig.sign.port}"

    async def run():
        _, secret = rig.key()
        client = await Client.connect(target, namespace=namespace, api_key=secret, tls=TLSConfig(**tls))
        assert (await client.count_workflows()).count == 7
        passed(name, "connects and calls with an API key (gzip, WorkflowService of the SDK's own classes)")
        client = await Client.connect(target, namespace=namespace, tls=TLSConfig(**tls, **pair))
        assert (await client.count_workflows()).count == 7
        passed(name, "connects and calls with a client certificate")
        try:
            await Client.connect(target, namespace=namespace, tls=TLSConfig(**tls))
            raise SystemExit("no credential got in")
        except (RPCError, RuntimeError) as error:
            assert "credential" in str(error) or "certificate" in str(error), error
        passed(name, "no credential is refused with a reason the SDK shows")

    asyncio.run(run())
    server.stop(0)


if __name__ == "__main__":
    rig = Rig()
    for part in (curl, openssl, grpcio, websockets, temporal):
        part(rig)
    print("interop: clients: all passed")
