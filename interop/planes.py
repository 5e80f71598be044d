"""Servers for an interop run: a fresh Countersign, and a real Temporal server. Each ends with the run."""
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
_children = []


def _end():
    for child in _children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    for child in _children:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()


atexit.register(_end)


def free_ports(count):
    """Ports that are free now; held together so that all differ."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for_port(port, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port} after {seconds} s")


class Countersign:
    """`countersign dev` in a directory of its own, and its client."""

    def __init__(self):
        self.binary = os.environ.get("COUNTERSIGN_BINARY", os.path.join(ROOT, "target", "debug", "countersign"))
        self.directory = tempfile.mkdtemp(prefix="countersign-interop-")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        zero = "127.0.0.1:0"
        self.child = subprocess.Popen(
            [self.binary, "dev", "--data-dir", self.directory + "/data", "--control", zero, "--gateway", zero, "--metrics", zero],
            env={**os.environ, "COUNTERSIGN_CONFIG_DIR": self.directory + "/config"}, stdout=subprocess.PIPE, text=True)
        _children.append(self.child)
        while "Countersign is ready" not in (line := self.child.stdout.readline()):
            if not line:
                raise SystemExit("countersign dev ended before it was ready")
        with open(self.directory + "/data/dev.env") as f:
            self.env = dict(line.rstrip("\n").split("=", 1) for line in f)
        self.account = self.env["COUNTERSIGN_ACCOUNT"]
        self.port = int(self.env["COUNTERSIGN_GATEWAY"].rsplit(":", 1)[1])
        self.ca_file = self.env["COUNTERSIGN_CA_CERT"]
        with open(self.ca_file, "rb") as f:
            self.ca = f.read()
        self.key = self.env["COUNTERSIGN_API_KEY"]
        self.control = self.env["COUNTERSIGN_SERVER"]
        self.namespace = self.env["COUNTERSIGN_NAMESPACE"]

    def cli(self, *args, check=True):
        """Runs the client; its JSON, or None when it printed none."""
        done = subprocess.run([self.binary, "--auto-confirm", *args], env={"PATH": os.environ["PATH"], **self.env},
                              cwd=self.directory, capture_output=True, text=True)
        if check and done.returncode:
            raise SystemExit(f"countersign {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else None

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, *command, env=None, check=True, **more):
        """Runs somebody else's program in this directory, with our CA as its system roots and no credential but those given."""
        clean = {"PATH": os.environ["PATH"], "HOME": self.directory, "SSL_CERT_FILE": self.ca_file, **(env or {})}
        done = subprocess.run(command, cwd=self.directory, env=clean, capture_output=True, text=True, timeout=more.pop("timeout", 120),
                              stdin=more.pop("stdin", subprocess.DEVNULL), **more)
        if check and done.returncode:
            raise RuntimeError(f"{os.path.basename(command[0])} {' '.join(command[1:])[:200]} ended {done.returncode}: "
                               f"{(done.stderr.strip() or done.stdout.strip())[-500:]}")
        return done

    def client_certificate(self, organization="interop"):
        """A CA, and a leaf of it, made by our own program: `ca.crt`, `ca.key`, `leaf.crt`, `leaf.key` in this directory."""
        if not os.path.exists(self.path("leaf.key")):
            self.cli("generate-certificates", "ca", "--organization", organization, "--validity-period", "30d",
                     "--ca-certificate-file", "ca.crt", "--ca-key-file", "ca.key")
            self.cli("generate-certificates", "leaf", "--organization", organization, "--common-name", "worker",
                     "--ca-certificate-file", "ca.crt", "--ca-key-file", "ca.key", "--certificate-file", "leaf.crt", "--key-file", "leaf.key")
        return self.path("leaf.crt"), self.path("leaf.key")

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as f:
            return f.read()


def tool(*names):
    """The first of these programs that is in `work/bin`, in the virtual environment or on the path; None if there is none."""
    for name in names:
        for folder in ("work/bin", "work/venv/bin"):
            path = os.path.join(HERE, *folder.split("/"), name)
            if os.access(path, os.X_OK):
                return path
        if found := shutil.which(name):
            return found
    return None


class DevTemporal:
    """The Temporal server that the `temporal` CLI carries, in memory, as `temporal server start-dev` starts it."""

    def __init__(self, *namespaces):
        self.port, metrics, http = free_ports(3)
        self.address = f"127.0.0.1:{self.port}"
        self.cli = tool("temporal")
        wanted = [word for name in namespaces for word in ("--namespace", name)]
        self.child = subprocess.Popen(
            [self.cli, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port), "--http-port", str(http),
             "--metrics-port", str(metrics), "--log-level", "error", *wanted], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _children.append(self.child)
        wait_for_port(self.port)

    @staticmethod
    def version():
        return subprocess.run([tool("temporal"), "--version"], capture_output=True, text=True).stdout.strip()


class Temporal:
    """The Temporal server of the Go module `go.temporal.io/server`, in memory."""

    VERSION = "v1.30.4"

    @classmethod
    def binary(cls):
        """The server's program, or None where it was not installed."""
        path = os.path.join(HERE, "work", "bin", f"temporal-server-{cls.VERSION}")
        return path if os.path.exists(path) else None

    def __init__(self):
        ports = free_ports(8)
        names = ["FRONTEND", "M1", "MATCHING", "M2", "HISTORY", "M3", "WORKER", "M4"]
        with open(os.path.join(HERE, "temporal.yaml.in")) as f:
            text = f.read()
        for name, port in zip(names, ports):
            text = text.replace(f"@{name}@", str(port))
        self.directory = tempfile.mkdtemp(prefix="countersign-temporal-")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        config = os.path.join(self.directory, "server.yaml")
        with open(config, "w") as f:
            f.write(text)
        self.log = open(os.path.join(self.directory, "log"), "w")
        self.child = subprocess.Popen([self.binary(), "--config-file", config, "start"], stdout=self.log, stderr=subprocess.STDOUT)
        _children.append(self.child)
        self.address = f"127.0.0.1:{ports[0]}"
        self.port = ports[0]
        try:
            wait_for_port(ports[0])
        except SystemExit:
            with open(self.log.name) as f:
                print(f.read()[-2000:])
            raise
