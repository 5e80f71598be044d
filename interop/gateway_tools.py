"""The `temporal` CLI and the TypeScript SDK through the gateway to a real Temporal server. One line a promise; non-zero if one is not kept."""
import json
import os
import shutil
import subprocess
import sys
import time

import planes
import report

PATIENCE = 120


def npm_version(package):
    with open(os.path.join(planes.HERE, "work", "npm", "node_modules", package, "package.json")) as f:
        return json.load(f)["version"]


def node_folder():
    """The scripts stand beside the packages, because that is where Node looks for them."""
    folder = os.path.join(planes.HERE, "work", "npm", "app")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(planes.HERE, "node"), folder)
    return folder


class Door:
    """A Countersign with a namespace in front of a Temporal server, a key and a certificate for it."""

    def __init__(self):
        self.sign = planes.Countersign()
        self.namespace = f"tools.{self.sign.account}"
        self.host = f"{self.namespace}.localhost"
        self.address = f"127.0.0.1:{self.sign.port}"
        self.temporal = planes.DevTemporal(self.namespace)
        self.sign.client_certificate()
        self.sign.cli("namespace", "create", "--namespace", "tools", "--upstream", f"http://{self.temporal.address}",
                      "--auth-method", "api_key_or_mtls", "--ca-certificate-file", "ca.crt")
        self.made = self.sign.cli("namespace", "generate-api-key", "--namespace", self.namespace)

    def settle(self):
        """The server takes its time until it knows a namespace that was just registered."""
        for _ in range(60):
            if self.cli_key("workflow", "list", check=False).returncode == 0:
                return
            time.sleep(0.5)
        self.cli_key("workflow", "list")

    def _cli(self, credential, *words, key=None, **more):
        return self.sign.run(self.temporal.cli, *words, "--address", self.address, "--namespace", self.namespace, "--tls",
                             "--tls-ca-path", self.sign.ca_file, "--tls-server-name", self.host, "-o", "json", *credential,
                             env={"TEMPORAL_API_KEY": key} if key else {}, **more)

    def cli_key(self, *words, key=None, **more):
        return self._cli([], *words, key=key or self.made["secretKey"], **more)

    def cli_certificate(self, *words, **more):
        return self._cli(["--tls-cert-path", self.sign.path("leaf.crt"), "--tls-key-path", self.sign.path("leaf.key")], *words, **more)


def typescript(door, worker, lines):
    swapped = door.made["secretKey"]
    while (line := lines.readline()) and line.strip() != "serving":
        word, _, what = line.strip().partition(" ")
        if word == "passed":
            worker.passed(what)
        elif word == "swap":
            made = door.sign.cli("apikey", "create", "--name", "next", "--service-account-id", door.made["serviceAccountId"])
            swapped = made["secretKey"]
            yield swapped
        elif word == "swapped":
            door.sign.cli("apikey", "delete", "--id", door.made["id"])
            yield "go"
    door.made["secretKey"] = swapped
    report.need(line, "the TypeScript worker ended before its time")


def cli(door):
    say = report.Report(planes.DevTemporal.version().split(" (")[0].replace("version ", ""))
    for how, run in (("an API key", door.cli_key), ("a client certificate", door.cli_certificate)):
        with say.promise(f"workflow start, list, describe, query, signal, show and result with {how}"):
            name = f"cli-{how.split()[-1]}"
            run("workflow", "start", "--type", "greeting", "--task-queue", "cli", "--workflow-id", name, "--input", '"cli"')
            report.need(json.loads(run("workflow", "describe", "--workflow-id", name).stdout)["workflowExecutionInfo"]["execution"]["workflowId"] == name)
            run("workflow", "query", "--workflow-id", name, "--type", "waiting")
            run("workflow", "signal", "--workflow-id", name, "--name", "proceed")
            done = run("workflow", "result", "--workflow-id", name)
            report.need("hello cli" in done.stdout, done.stdout)
            report.need("WorkflowExecutionCompleted" in (shown := run("workflow", "show", "--workflow-id", name).stdout) or "COMPLETED" in shown, shown[:300])
            run("workflow", "list")
            run("task-queue", "describe", "--task-queue", "cli")
            run("workflow", "count")
    with say.promise("schedule create, describe and delete with an API key"):
        door.cli_key("schedule", "create", "--schedule-id", "s1", "--interval", "1h", "--type", "greeting", "--task-queue", "cli", "--workflow-id", "by-schedule")
        door.cli_key("schedule", "describe", "--schedule-id", "s1")
        door.cli_key("schedule", "delete", "--schedule-id", "s1")
    with say.promise("a wrong key, no key and another namespace are refused"):
        for key in ("wrong", None):
            done = door._cli([], "workflow", "list", key=key, check=False)
            # What the CLI shows of status 16; it keeps the message to itself.
            report.need(done.returncode and "unauthenticated" in done.stderr.lower(), done.stderr)
        other = door.sign.run(door.temporal.cli, "workflow", "list", "--address", door.address, "--namespace", "default", "--tls", "--tls-ca-path",
                              door.sign.ca_file, "--tls-server-name", door.host, env={"TEMPORAL_API_KEY": door.made["secretKey"]}, check=False)
        report.need(other.returncode, other.stdout)
    with say.promise("what acts on the whole Temporal server is refused through a namespace's door"):
        done = door.cli_key("operator", "namespace", "create", "elsewhere", check=False)
        report.need(done.returncode, done.stdout)
        done = door.cli_key("operator", "namespace", "list", check=False)
        report.need(done.returncode, done.stdout)
    with say.promise("a key that may only read lists workflows and starts none"):
        made = door.sign.cli("service-account", "create", "--name", "reader", "--account-role", "read", "--namespace-permission", f"{door.namespace}=read")
        key = door.sign.cli("apikey", "create", "--name", "reader", "--service-account-id", made.get("id") or made["serviceAccountId"])["secretKey"]
        door.cli_key("workflow", "list", key=key)
        done = door.cli_key("workflow", "start", "--type", "greeting", "--task-queue", "cli", "--workflow-id", "no", key=key, check=False)
        report.need(done.returncode and "Request unauthorized" in done.stderr, done.stderr)


def main():
    door = Door()
    door.settle()
    if not shutil.which("node") or not os.path.isdir(os.path.join(planes.HERE, "work", "npm", "node_modules")):
        report.Report("@temporalio/worker").skipped("everything through the gateway", "npm is missing, and with it the worker that the temporal CLI's turn needs")
        return
    say = report.Report(f"@temporalio/worker {npm_version('@temporalio/worker')} and client {npm_version('@temporalio/client')}")
    child = subprocess.Popen(
        ["node", os.path.join(node_folder(), "worker.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        env={"PATH": os.environ["PATH"], "HOME": door.sign.directory, "GATEWAY": door.address, "GATEWAY_HOST": door.host, "NAMESPACE": door.namespace,
             "CA": door.sign.ca_file, "API_KEY": door.made["secretKey"], "CERTIFICATE": door.sign.path("leaf.crt"),
             "CERTIFICATE_KEY": door.sign.path("leaf.key")})
    try:
        with say.promise("every promise of the worker"):
            for answer in typescript(door, say, child.stdout):
                child.stdin.write(answer + "\n")
            cli(door)
            child.stdin.write("end\n")
            report.need(child.wait(PATIENCE) == 0, f"node ended {child.returncode}")
    finally:
        if child.poll() is None:
            child.kill()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
