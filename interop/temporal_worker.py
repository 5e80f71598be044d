"""Python's `temporalio` SDK through the gateway to a real Temporal server: API key and client certificate, a worker each.

The server is the one that the `temporal` CLI carries, or with the argument `server` that of the Go module `go.temporal.io/server`.
Every line printed names the client, its version and what passed. Exits non-zero at the first thing that does not.
"""
import asyncio
import sys
from datetime import timedelta
from importlib.metadata import version

import temporalio.api.workflowservice.v1 as ws
from google.protobuf.duration_pb2 import Duration
from temporalio import activity, workflow
from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

import planes

SDK = f"python temporalio {version('temporalio')}"


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@workflow.defn
class Greeting:
    def __init__(self) -> None:
        self.go = False

    @workflow.signal
    def proceed(self) -> None:
        self.go = True

    @workflow.query
    def waiting(self) -> bool:
        return not self.go

    @workflow.run
    async def run(self, name: str) -> str:
        await workflow.wait_condition(lambda: self.go)
        return await workflow.execute_activity(greet, name, start_to_close_timeout=timedelta(seconds=20))


def passed(what):
    print(f"ok  {SDK}: {what}", flush=True)


async def run_one(client, queue, name):
    """A whole workflow: start, query, signal, activity, result."""
    async with Worker(client, task_queue=queue, workflows=[Greeting], activities=[greet]):
        handle = await client.start_workflow(Greeting.run, name, id=f"{queue}-1", task_queue=queue)
        assert await handle.query(Greeting.waiting)
        await handle.signal(Greeting.proceed)
        assert await asyncio.wait_for(handle.result(), 60) == f"hello {name}"


async def refused(what, connect):
    try:
        client = await connect
        await client.count_workflows()
    except (RPCError, RuntimeError) as error:
        return passed(f"{what} is refused: {str(error).splitlines()[0][:110]}")
    raise SystemExit(f"{what} got in")


async def main():
    big = sys.argv[1:] == ["server"]
    temporal, sign = planes.Temporal() if big else planes.DevTemporal(), planes.Countersign()
    server = f"Temporal server {planes.Temporal.VERSION}" if big else f"the server of {planes.DevTemporal.version()}"
    namespace = f"work.{sign.account}"
    host, target = f"{namespace}.localhost", f"127.0.0.1:{sign.port}"
    direct = None
    for _ in range(60):
        try:
            direct = await Client.connect(temporal.address)
            await direct.workflow_service.register_namespace(
                ws.RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=Duration(seconds=86400)))
            break
        except (RPCError, RuntimeError):
            await asyncio.sleep(1)
    assert direct, "the Temporal server does not answer"

    sign.cli("namespace", "create", "--namespace", "work", "--upstream", f"http://127.0.0.1:{temporal.port}",
             "--auth-method", "api_key_or_mtls")
    made = sign.cli("namespace", "generate-api-key", "--namespace", namespace)
    tls = TLSConfig(server_root_ca_cert=sign.ca, domain=host)

    def by_key(key):
        return Client.connect(target, namespace=namespace, api_key=key, tls=tls)

    client = await by_key(made["secretKey"])
    for _ in range(60):
        try:
            await client.count_workflows()
            break
        except RPCError:
            # The server takes its time until it knows a namespace that was just registered.
            await asyncio.sleep(1)
    await run_one(client, "by-key", "key")
    passed(f"worker and workflow with an API key, through the gateway to {server}")

    sign.cli("generate-certificates", "ca", "--organization", "interop", "--validity-period", "30d", "--ca-certificate-file", "ca.pem",
             "--ca-key-file", "ca.key")
    sign.cli("generate-certificates", "leaf", "--organization", "interop", "--common-name", "worker", "--ca-certificate-file", "ca.pem",
             "--ca-key-file", "ca.key", "--certificate-file", "leaf.pem", "--key-file", "leaf.key")
    mtls = TLSConfig(server_root_ca_cert=sign.ca, domain=host, client_cert=sign.read("leaf.pem"), client_private_key=sign.read("leaf.key"))
    await refused("a certificate of an unknown CA", Client.connect(target, namespace=namespace, tls=mtls))
    sign.cli("namespace", "accepted-client-ca", "add", "--namespace", namespace, "--ca-certificate-file", "ca.pem")
    await run_one(await Client.connect(target, namespace=namespace, tls=mtls), "by-certificate", "certificate")
    passed("worker and workflow with a client certificate made by generate-certificates")

    # A key swapped in while a worker runs: both work side by side, then the old one is deleted.
    async with Worker(client, task_queue="swap", workflows=[Greeting], activities=[greet]):
        handle = await client.start_workflow(Greeting.run, "swap", id="swap-1", task_queue="swap")
        assert await handle.query(Greeting.waiting)
        next_key = sign.cli("apikey", "create", "--name", "next", "--service-account-id", made["serviceAccountId"])
        client.api_key = next_key["secretKey"]
        await client.count_workflows()
        receipt = sign.cli("apikey", "delete", "--id", made["id"])["requestStatus"]["receipt"]
        await handle.signal(Greeting.proceed)
        assert await asyncio.wait_for(handle.result(), 90) == "hello swap"
    passed(f"a key swapped in mid-run; deleting the old one cut {receipt['streamsCut']} polls and lost nothing")

    await refused("the deleted key", by_key(made["secretKey"]))
    await refused("no credential", Client.connect(target, namespace=namespace, tls=tls))
    await refused("a key without a right here", by_key(other_key(sign)))
    await refused("the wrong server name", Client.connect(
        target, namespace=namespace, api_key=next_key["secretKey"], tls=TLSConfig(server_root_ca_cert=sign.ca, domain="nowhere.example")))


def other_key(sign):
    made = sign.cli("service-account", "create", "--name", "outsider", "--account-role", "read")
    account = made.get("id") or made.get("serviceAccountId")
    return sign.cli("apikey", "create", "--name", "outsider", "--service-account-id", account)["secretKey"]


if __name__ == "__main__":
    if sys.argv[1:] == ["server"] and not planes.Temporal.binary():
        sys.exit("the Temporal server is not installed; run interop/run")
    asyncio.run(main())
